//! `scaler_transform(features, model)`

use super::apply::{self, Operation};
use super::models::return_field;
use crate::error::PcaError;
use crate::scaler::Scaler;
use crate::value::Value;
use arrow::datatypes::{DataType, FieldRef};
use datafusion_common::{Result, internal_err};
use datafusion_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature,
};
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
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ScalerTransform {
    signature: Signature,
}

impl Default for ScalerTransform {
    fn default() -> Self {
        Self::new()
    }
}

impl ScalerTransform {
    /// The function.
    #[must_use]
    pub fn new() -> Self {
        Self {
            signature: super::named(&["features", "model"]),
        }
    }
}

impl ScalarUDFImpl for ScalerTransform {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        apply::coerce::<Self>(arg_types)
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        internal_err!("return_field_from_args should be used instead")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        Ok(return_field(
            Self::NAME,
            DataType::new_list(DataType::Float64, true),
            &args,
        ))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        apply::invoke_lists::<Self>(&args)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

impl Operation for ScalerTransform {
    type Model = Scaler;

    const NAME: &'static str = "scaler_transform";
    const ARGUMENT: &'static str = "features";

    fn check(model: &Scaler, row: u64, found: usize) -> Result<(), PcaError> {
        let expected = model.n_features();
        if found == expected {
            return Ok(());
        }
        Err(PcaError::ModelWidth {
            row,
            expected,
            found,
        })
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
