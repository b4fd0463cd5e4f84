//! `pca_mean(model)`

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

const NAME: &str = "pca_mean";

#[user_doc(
    doc_section(label = "PCA Functions"),
    description = "Mean of each column, which `pca_transform` subtracts.",
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
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct PcaMean {
    signature: Signature,
}

impl Default for PcaMean {
    fn default() -> Self {
        Self::new()
    }
}

impl PcaMean {
    /// The function.
    #[must_use]
    pub fn new() -> Self {
        Self {
            signature: accessor_signature(),
        }
    }
}

impl ScalarUDFImpl for PcaMean {
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
            Ok(float_lists(models.map(|m| m.map(PcaModel::mean))))
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}
