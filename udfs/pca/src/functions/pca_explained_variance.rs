//! `pca_explained_variance(model)`

use super::models;
use super::udf::Function;
use crate::model::PcaModel;
use arrow::datatypes::DataType;
use datafusion_common::Result;
use datafusion_expr::{ColumnarValue, Documentation, ScalarFunctionArgs};
use datafusion_macros::user_doc;

#[user_doc(
    doc_section(label = "PCA Functions"),
    description = "Variance of the rows along each component, in descending order, with n - 1 in the denominator.",
    syntax_example = "pca_explained_variance(model)",
    sql_example = r#"```sql
> SELECT pca_explained_variance(pca) FROM model;
```"#,
    argument(
        name = "model",
        description = "A model, as `pca_fit` returns it. NULL gives NULL."
    )
)]
/// The SQL function `pca_explained_variance`.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct PcaExplainedVariance;

impl Function for PcaExplainedVariance {
    type Model = PcaModel;

    const NAME: &'static str = "pca_explained_variance";
    const ROWS: Option<&'static str> = None;

    fn return_type() -> DataType {
        DataType::new_list(DataType::Float64, true)
    }

    fn invoke(args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
        models::float_lists::<Self>(args, PcaModel::explained_variance)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}
