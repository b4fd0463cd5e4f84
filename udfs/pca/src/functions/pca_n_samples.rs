//! `pca_n_samples(model)`

use super::models;
use super::udf::function;
use crate::model::PcaModel;
use arrow::datatypes::DataType;
use datafusion_macros::user_doc;

#[user_doc(
    doc_section(label = "PCA Functions"),
    description = "Number of rows that a model was fitted on. NULL rows are not counted.",
    syntax_example = "pca_n_samples(model)",
    sql_example = r#"```sql
> SELECT pca_n_samples(pca) FROM model;
+--------------------------+
| pca_n_samples(model.pca) |
+--------------------------+
| 22688                    |
+--------------------------+
```"#,
    argument(
        name = "model",
        description = "A model, as `pca_fit` returns it. NULL gives NULL."
    )
)]
/// The SQL function `pca_n_samples`.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct PcaNSamples;

function! {
    PcaNSamples: "pca_n_samples"(PcaModel) -> DataType::Int64,
    |args| models::integers::<PcaNSamples>(args, |m| m.n_samples() as i64)
}
