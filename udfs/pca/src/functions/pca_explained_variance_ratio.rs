//! `pca_explained_variance_ratio(model)`

use super::models;
use super::udf::{function, list_of_floats};
use crate::model::pca::PcaModel;

function! {
    PcaExplainedVarianceRatio: "pca_explained_variance_ratio"(PcaModel) -> list_of_floats(),
    |args| models::float_lists::<PcaExplainedVarianceRatio>(args, PcaModel::explained_variance_ratio);
    description = "Share of each component in the total variance of the rows. The total includes the components that were dropped.",
    syntax_example = "pca_explained_variance_ratio(model)",
    sql_example = r#"```sql
> SELECT pca_explained_variance_ratio(pca) FROM model;
```"#
}
