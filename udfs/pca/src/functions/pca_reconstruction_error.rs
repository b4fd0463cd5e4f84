//! `pca_reconstruction_error(features, model)`

use super::apply::{self, Operation};
use super::models::return_field;
use crate::error::PcaError;
use crate::model::PcaModel;
use crate::value::Value;
use arrow::datatypes::{DataType, FieldRef};
use datafusion_common::{Result, internal_err};
use datafusion_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature,
};
use datafusion_macros::user_doc;

#[user_doc(
    doc_section(label = "PCA Functions"),
    description = "Mean over the columns of the squared difference between the standardised features and their reconstruction from the components of a model. Rows unlike those the model was fitted on have a large one, which makes it a measure for anomalies.",
    syntax_example = "pca_reconstruction_error(features, model)",
    sql_example = r#"```sql
> SELECT path FROM features ORDER BY pca_reconstruction_error(features, (SELECT pca FROM model)) DESC LIMIT 10;
```"#,
    argument(
        name = "features",
        description = "List of numbers, as long as those the model was fitted on. NULL gives NULL."
    ),
    argument(
        name = "model",
        description = "A model, as `pca_fit` returns it: a scalar subquery, a column or a literal. NULL gives NULL."
    )
)]
/// The SQL function `pca_reconstruction_error`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct PcaReconstructionError {
    signature: Signature,
}

impl Default for PcaReconstructionError {
    fn default() -> Self {
        Self::new()
    }
}

impl PcaReconstructionError {
    /// The function.
    #[must_use]
    pub fn new() -> Self {
        Self {
            signature: super::named(&["features", "model"]),
        }
    }
}

impl ScalarUDFImpl for PcaReconstructionError {
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
        Ok(return_field(Self::NAME, DataType::Float64, &args))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        apply::invoke_numbers::<Self>(&args)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

impl Operation for PcaReconstructionError {
    type Model = PcaModel;

    const NAME: &'static str = "pca_reconstruction_error";
    const ARGUMENT: &'static str = "features";

    fn check(model: &PcaModel, row: u64, found: usize) -> Result<(), PcaError> {
        apply::check_features(model, row, found)
    }

    fn outputs(_model: &PcaModel) -> usize {
        1
    }

    fn apply<'a, T: Value>(
        model: &PcaModel,
        rows: impl IntoIterator<Item = &'a [T]>,
        outputs: &mut Vec<f64>,
    ) {
        model.reconstruction_errors(rows, outputs);
    }
}
