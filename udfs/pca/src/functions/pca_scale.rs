//! `pca_scale(model)`

use super::models;
use super::udf::Function;
use crate::model::PcaModel;
use arrow::datatypes::DataType;
use datafusion_common::Result;
use datafusion_expr::{ColumnarValue, Documentation, ScalarFunctionArgs};
use datafusion_macros::user_doc;

#[user_doc(
    doc_section(label = "PCA Functions"),
    description = "What `pca_transform` divides each column by: its standard deviation with n in the denominator, 1 if the column is constant or the model was fitted with `scale => false`. In the convention 'spark' it has n - 1 in the denominator, and 0, for which `pca_transform` gives 0, stands for a constant column.",
    syntax_example = "pca_scale(model)",
    sql_example = r#"```sql
> SELECT pca_scale(pca) FROM model;
```"#,
    argument(
        name = "model",
        description = "A model, as `pca_fit` returns it. NULL gives NULL."
    )
)]
/// The SQL function `pca_scale`.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct PcaScale;

impl Function for PcaScale {
    type Model = PcaModel;

    const NAME: &'static str = "pca_scale";
    const ROWS: Option<&'static str> = None;

    fn return_type() -> DataType {
        DataType::new_list(DataType::Float64, true)
    }

    fn invoke(args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
        models::float_lists::<Self>(args, PcaModel::scale)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}
