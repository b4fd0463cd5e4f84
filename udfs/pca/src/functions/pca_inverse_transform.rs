//! `pca_inverse_transform(components, model)`

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
    description = "Turns scores back into features: multiplies by the components, then by the scale, and adds the mean. What the dropped components explained is lost.",
    syntax_example = "pca_inverse_transform(components, model)",
    sql_example = r#"```sql
> SELECT pca_inverse_transform(features_pca, (SELECT pca FROM model)) FROM scores;
```"#,
    argument(
        name = "components",
        description = "List of numbers, as many as the model has components: what `pca_transform` returns. NULL gives NULL."
    ),
    argument(
        name = "model",
        description = "A model, as `pca_fit` returns it: a scalar subquery, a column or a literal. NULL gives NULL."
    )
)]
/// The SQL function `pca_inverse_transform`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct PcaInverseTransform {
    signature: Signature,
}

impl Default for PcaInverseTransform {
    fn default() -> Self {
        Self::new()
    }
}

impl PcaInverseTransform {
    /// The function.
    #[must_use]
    pub fn new() -> Self {
        Self {
            signature: super::named(&["components", "model"]),
        }
    }
}

impl ScalarUDFImpl for PcaInverseTransform {
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

impl Operation for PcaInverseTransform {
    type Model = PcaModel;

    const NAME: &'static str = "pca_inverse_transform";
    const ARGUMENT: &'static str = "components";

    fn check(model: &PcaModel, row: u64, found: usize) -> Result<(), PcaError> {
        let expected = model.n_components();
        if found == expected {
            return Ok(());
        }
        Err(PcaError::ModelComponents {
            row,
            expected,
            found,
        })
    }

    fn outputs(model: &PcaModel) -> usize {
        model.n_features()
    }

    fn apply<'a, T: Value>(
        model: &PcaModel,
        rows: impl IntoIterator<Item = &'a [T]>,
        outputs: &mut Vec<f64>,
    ) {
        model.inverse_transform(rows, outputs);
    }
}
