//! `scaler_transform(features, model)`

use super::apply::{self, Operation};
use super::udf::Function;
use crate::error::PcaError;
use crate::scaler::Scaler;
use crate::value::Value;
use arrow::datatypes::DataType;
use datafusion_common::Result;
use datafusion_expr::{ColumnarValue, Documentation, ScalarFunctionArgs};
use datafusion_macros::user_doc;

#[user_doc(
    doc_section(label = "PCA Functions"),
    description = "Standardises features: subtracts the mean and divides by the scale of each column. A scaler fitted with `convention => 'spark'` subtracts nothing.",
    syntax_example = "scaler_transform(features, model)",
    sql_example = r#"```sql
> SELECT scaler_transform(features, (SELECT scaler_fit(features) FROM features)) FROM features;
```"#,
    argument(
        name = "features",
        description = "List of numbers, as long as those the model was fitted on. NULL gives NULL."
    ),
    argument(
        name = "model",
        description = "A scaler, as `scaler_fit` returns it: a scalar subquery, a column or a literal. NULL gives NULL."
    )
)]
/// The SQL function `scaler_transform`.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct ScalerTransform;

impl Function for ScalerTransform {
    type Model = Scaler;

    const NAME: &'static str = "scaler_transform";
    const ROWS: Option<&'static str> = Some("features");

    fn return_type() -> DataType {
        DataType::new_list(DataType::Float64, true)
    }

    fn invoke(args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
        apply::invoke_lists::<Self>(args)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

impl Operation for ScalerTransform {
    fn check(model: &Scaler, row: u64, found: usize) -> Result<(), PcaError> {
        apply::check_features(model.n_features(), row, found)
    }

    fn outputs(model: &Scaler) -> usize {
        model.n_features()
    }

    fn apply<'a, T: Value>(
        model: &Scaler,
        rows: impl IntoIterator<Item = &'a [T]>,
        outputs: &mut Vec<f64>,
    ) {
        model.transform(rows, outputs);
    }
}
