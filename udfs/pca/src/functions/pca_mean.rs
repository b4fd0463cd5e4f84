//! `pca_mean(model)`

use super::models;
use super::udf::{function, list_of_floats};
use crate::model::PcaModel;
use datafusion_macros::user_doc;

#[user_doc(
    doc_section(label = "PCA Functions"),
    description = "Mean of each column, which `pca_transform` subtracts (from models of the convention 'spark' only if they were fitted `with_mean`).",
    syntax_example = "pca_mean(model)",
    sql_example = r#"```sql
> SELECT pca_mean(pca) FROM model;
```"#,
    argument(
        name = "model",
        description = "A model, as `pca_fit` returns it. NULL gives NULL."
    )
)]
/// The SQL function `pca_mean`.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct PcaMean;

function! {
    PcaMean: "pca_mean"(PcaModel) -> list_of_floats(),
    |args| models::float_lists::<PcaMean>(args, PcaModel::mean)
}
