//! `pca_explained_variance(model)`

use super::models;
use super::udf::{function, list_of_floats};
use crate::model::pca::PcaModel;

function! {
    PcaExplainedVariance: "pca_explained_variance"(PcaModel) -> list_of_floats(),
    |args| models::float_lists::<PcaExplainedVariance>(args, PcaModel::explained_variance);
    description = "Variance of the rows along each component, in descending order, with n - 1 in the denominator.",
    syntax_example = "pca_explained_variance(model)",
    sql_example = r#"```sql
> SELECT pca_explained_variance(pca) FROM model;
```"#
}
