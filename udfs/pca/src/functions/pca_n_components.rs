//! `pca_n_components(model)`

use super::models;
use super::udf::function;
use crate::model::pca::PcaModel;
use arrow::datatypes::DataType;

function! {
    PcaNComponents: "pca_n_components"(PcaModel) -> DataType::Int64,
    |args| models::integers::<PcaNComponents>(args, |m| m.n_components() as i64);
    description = "Number of components of a model.",
    syntax_example = "pca_n_components(model)",
    sql_example = r#"```sql
> SELECT pca_n_components(pca) FROM model;
+-----------------------------+
| pca_n_components(model.pca) |
+-----------------------------+
| 123                         |
+-----------------------------+
```"#
}
