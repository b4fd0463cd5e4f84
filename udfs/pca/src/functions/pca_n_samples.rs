//! `pca_n_samples(model)`

use super::models;
use super::udf::function;
use crate::model::pca::PcaModel;
use arrow::datatypes::DataType;

function! {
    PcaNSamples: "pca_n_samples"(PcaModel) -> DataType::Int64,
    |args| models::integers::<PcaNSamples>(args, |m| m.n_samples() as i64);
    description = "Number of rows that a model was fitted on. NULL rows are not counted.",
    syntax_example = "pca_n_samples(model)",
    sql_example = r#"```sql
> SELECT pca_n_samples(pca) FROM model;
+--------------------------+
| pca_n_samples(model.pca) |
+--------------------------+
| 22688                    |
+--------------------------+
```"#
}
