//! `pca_explained_variance(model)`

use super::models::{
    accessor_signature, coerce_accessor, float_lists, invoke_accessor, return_field,
};
use crate::model::PcaModel;
use arrow::datatypes::{DataType, FieldRef};
use datafusion_common::{Result, internal_err};
use datafusion_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature,
};
use datafusion_macros::user_doc;

const NAME: &str = "pca_explained_variance";

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
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct PcaExplainedVariance {
    signature: Signature,
}

impl Default for PcaExplainedVariance {
    fn default() -> Self {
        Self::new()
    }
}

impl PcaExplainedVariance {
    /// The function.
    #[must_use]
    pub fn new() -> Self {
        Self {
            signature: accessor_signature(),
        }
    }
}

impl ScalarUDFImpl for PcaExplainedVariance {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        coerce_accessor(NAME, arg_types)
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        internal_err!("return_field_from_args should be used instead")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        Ok(return_field(
            NAME,
            DataType::new_list(DataType::Float64, true),
            &args,
        ))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        invoke_accessor(NAME, &args, |models| {
            Ok(float_lists(
                models.map(|m| m.map(PcaModel::explained_variance)),
            ))
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}
