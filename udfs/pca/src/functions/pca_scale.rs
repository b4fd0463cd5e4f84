//! `pca_scale(model)`

use super::models;
use super::udf::{function, list_of_floats};
use crate::model::pca::PcaModel;

function! {
    PcaScale: "pca_scale"(PcaModel) -> list_of_floats(),
    |args| models::float_lists::<PcaScale>(args, PcaModel::scale);
    description = "What `pca_transform` divides each column by: its standard deviation with n in the denominator, 1 if the column is constant or the model was fitted with `scale => false`. In the convention 'spark' it has n - 1 in the denominator, and 0, for which `pca_transform` gives 0, stands for a constant column.",
    syntax_example = "pca_scale(model)",
    sql_example = r#"```sql
> SELECT pca_scale(pca) FROM model;
```"#
}
