//! `pca_transform(features, model)`

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
    description = "Projects features on the components of a model: subtracts the mean, divides by the scale, and multiplies by the components. Returns as many numbers as the model has components. A model fitted with `convention => 'spark'` subtracts nothing.",
    syntax_example = "pca_transform(features, model)",
    sql_example = r#"```sql
> SELECT path, pca_transform(features, (SELECT pca FROM model)) AS features_pca FROM features;
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
/// The SQL function `pca_transform`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct PcaTransform {
    signature: Signature,
}

impl Default for PcaTransform {
    fn default() -> Self {
        Self::new()
    }
}

impl PcaTransform {
    /// The function.
    #[must_use]
    pub fn new() -> Self {
        Self {
            signature: super::named(&["features", "model"]),
        }
    }
}

impl ScalarUDFImpl for PcaTransform {
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

impl Operation for PcaTransform {
    type Model = PcaModel;

    const NAME: &'static str = "pca_transform";
    const ARGUMENT: &'static str = "features";

    fn check(model: &PcaModel, row: u64, found: usize) -> Result<(), PcaError> {
        apply::check_features(model, row, found)
    }

    fn outputs(model: &PcaModel) -> usize {
        model.n_components()
    }

    fn apply<'a, T: Value>(
        model: &PcaModel,
        rows: impl IntoIterator<Item = &'a [T]>,
        outputs: &mut Vec<f64>,
    ) {
        model.transform(rows, outputs);
    }
}
