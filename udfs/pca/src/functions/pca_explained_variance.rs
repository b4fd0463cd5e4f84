//! `pca_explained_variance(model)`

use super::models;
use super::udf::{function, list_of_floats};
use crate::model::PcaModel;
use datafusion_macros::user_doc;

#[user_doc(
    doc_section(label = "PCA Functions"),
    description = "Variance of the rows along each component, in descending order, with n - 1 in the denominator.",
    syntax_example = "pca_explained_variance(model)",
    sql_example = r#"```sql
> SELECT pca_explained_variance(pca) FROM model;
```"#,
    argument(
        name = "model",
        description = "A model, as `pca_fit` returns it. NULL gives NULL."
    )
)]
/// The SQL function `pca_explained_variance`.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct PcaExplainedVariance;

function! {
    PcaExplainedVariance: "pca_explained_variance"(PcaModel) -> list_of_floats(),
    |args| models::float_lists::<PcaExplainedVariance>(args, PcaModel::explained_variance)
}
