//! `pca_scree(model)`

use super::models;
use super::udf::function;
use crate::model::pca::PcaModel;
use crate::model::scree;
use arrow::array::StringArray;
use arrow::datatypes::DataType;
use datafusion_common::Result;
use datafusion_expr::{ColumnarValue, ScalarFunctionArgs};
use std::sync::Arc;

function! {
    PcaScree: "pca_scree"(PcaModel) -> DataType::Utf8,
    invoke;
    description = "Scree plot of a model as text, for a terminal of 80 columns: for each component its eigenvalue, its share in the total variance, the sum of the shares up to it, and a bar; and a line where the sum reaches 90 %. Of many components it shows the first 16, the one at the line, and the last.",
    syntax_example = "pca_scree(model)",
    sql_example = r#"```sql
> SELECT pca_scree(pca) FROM model;
```"#,
    related_udf(name = "pca_info")
}

fn invoke(args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    models::invoke::<PcaScree>(args, |models| {
        let plots = models.map(|model| {
            let model = model?;
            let mut plot =
                scree::plot(model.explained_variance(), model.explained_variance_ratio());
            if let Some(k) = model.n_components_requested() {
                plot += &format!("\n{k} components were asked for: these are all");
            }
            Some(plot)
        });
        Ok(Arc::new(StringArray::from_iter(plots)))
    })
}
