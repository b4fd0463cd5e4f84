//! `pca_mean(model)`

use super::models;
use super::udf::Function;
use crate::model::PcaModel;
use arrow::datatypes::DataType;
use datafusion_common::Result;
use datafusion_expr::{ColumnarValue, Documentation, ScalarFunctionArgs};
use datafusion_macros::user_doc;

#[user_doc(
    doc_section(label = "PCA Functions"),
    description = "Mean of each column, which `pca_transform` subtracts (not from models of the convention 'spark').",
    syntax_example = "pca_mean(model)",
    sql_example = r#"```sql
> SELECT pca_mean(pca) FROM model;
```"#,
    argument(
        name = "model",
        description = "A model, as `pca_fit` returns it. NULL gives NULL."
    )
)]
/// The SQL function `pca_mean`.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct PcaMean;

impl Function for PcaMean {
    type Model = PcaModel;

    const NAME: &'static str = "pca_mean";
    const ROWS: Option<&'static str> = None;

    fn return_type() -> DataType {
        DataType::new_list(DataType::Float64, true)
    }

    fn invoke(args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
        models::float_lists::<Self>(args, PcaModel::mean)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}
