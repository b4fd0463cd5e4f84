//! `pca_mean(model)`

use super::models;
use super::udf::{function, list_of_floats};
use crate::model::pca::PcaModel;

function! {
    PcaMean: "pca_mean"(PcaModel) -> list_of_floats(),
    |args| models::float_lists::<PcaMean>(args, PcaModel::mean);
    description = "Mean of each column, which `pca_transform` subtracts (from models of the convention 'spark' only if they were fitted `with_mean`).",
    syntax_example = "pca_mean(model)",
    sql_example = r#"```sql
> SELECT pca_mean(pca) FROM model;
```"#
}
