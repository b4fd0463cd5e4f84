//! `pca_explained_variance_ratio(model)`

use super::models;
use super::udf::{function, list_of_floats};
use crate::model::PcaModel;
use datafusion_macros::user_doc;

#[user_doc(
    doc_section(label = "PCA Functions"),
    description = "Share of each component in the total variance of the rows. The total includes the components that were dropped.",
    syntax_example = "pca_explained_variance_ratio(model)",
    sql_example = r#"```sql
> SELECT pca_explained_variance_ratio(pca) FROM model;
```"#,
    argument(
        name = "model",
        description = "A model, as `pca_fit` returns it. NULL gives NULL."
    )
)]
/// The SQL function `pca_explained_variance_ratio`.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct PcaExplainedVarianceRatio;

function! {
    PcaExplainedVarianceRatio: "pca_explained_variance_ratio"(PcaModel) -> list_of_floats(),
    |args| models::float_lists::<PcaExplainedVarianceRatio>(args, PcaModel::explained_variance_ratio)
}
