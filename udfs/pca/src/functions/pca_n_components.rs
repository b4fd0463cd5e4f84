//! `pca_n_components(model)`

use super::models;
use super::udf::function;
use crate::model::PcaModel;
use arrow::datatypes::DataType;
use datafusion_macros::user_doc;

#[user_doc(
    doc_section(label = "PCA Functions"),
    description = "Number of components of a model.",
    syntax_example = "pca_n_components(model)",
    sql_example = r#"```sql
> SELECT pca_n_components(pca) FROM model;
+-----------------------------+
| pca_n_components(model.pca) |
+-----------------------------+
| 123                         |
+-----------------------------+
```"#,
    argument(
        name = "model",
        description = "A model, as `pca_fit` returns it. NULL gives NULL."
    )
)]
/// The SQL function `pca_n_components`.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct PcaNComponents;

function! {
    PcaNComponents: "pca_n_components"(PcaModel) -> DataType::Int64,
    |args| models::integers::<PcaNComponents>(args, |m| m.n_components() as i64)
}
