//! `pca_components(model)`

use super::models;
use super::udf::{function, list_of_floats};
use crate::model::pca::PcaModel;
use arrow::array::{Float64Builder, ListBuilder};
use arrow::datatypes::DataType;
use datafusion_common::Result;
use datafusion_expr::{ColumnarValue, ScalarFunctionArgs};
use std::sync::Arc;

function! {
    PcaComponents: "pca_components"(PcaModel) -> DataType::new_list(list_of_floats(), true),
    invoke;
    description = "Components of a model: a list of unit vectors, each of the length of the features, in descending order of explained variance.",
    syntax_example = "pca_components(model)",
    sql_example = r#"```sql
> SELECT pca_components(pca)[1] AS first_component FROM model;
```"#
}

fn invoke(args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    models::invoke::<PcaComponents>(args, |models| {
        let mut lists = ListBuilder::new(ListBuilder::new(Float64Builder::new()));
        for model in models {
            if let Some(model) = model {
                for component in model.components().chunks_exact(model.n_features()) {
                    lists.values().values().append_slice(component);
                    lists.values().append(true);
                }
            }
            lists.append(model.is_some());
        }
        Ok(Arc::new(lists.finish()))
    })
}
