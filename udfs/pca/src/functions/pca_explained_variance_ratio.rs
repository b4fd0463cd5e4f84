//! `pca_explained_variance_ratio(model)`

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

const NAME: &str = "pca_explained_variance_ratio";

#[user_doc(
    doc_section(label = "PCA Functions"),
    description = "Share of each component in the total variance of the rows. The total includes the components that were dropped.",
    syntax_example = "pca_explained_variance_ratio(model)",
    sql_example = r#"```sql
> SELECT pca_explained_variance_ratio(pca) FROM model;
```"#,
    argument(
        name = "model",
        description = "A model, as `pca_fit` returns it. NULL gives NULL."
    )
)]
/// The SQL function `pca_explained_variance_ratio`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct PcaExplainedVarianceRatio {
    signature: Signature,
}

impl Default for PcaExplainedVarianceRatio {
    fn default() -> Self {
        Self::new()
    }
}

impl PcaExplainedVarianceRatio {
    /// The function.
    #[must_use]
    pub fn new() -> Self {
        Self {
            signature: accessor_signature(),
        }
    }
}

impl ScalarUDFImpl for PcaExplainedVarianceRatio {
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
                models.map(|m| m.map(PcaModel::explained_variance_ratio)),
            ))
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}
