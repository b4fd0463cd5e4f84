//! `pca_n_samples(model)`

use super::models::{accessor_signature, coerce_accessor, invoke_accessor, return_field};
use arrow::array::Int64Array;
use arrow::datatypes::{DataType, FieldRef};
use datafusion_common::{Result, internal_err};
use datafusion_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature,
};
use datafusion_macros::user_doc;
use std::sync::Arc;

const NAME: &str = "pca_n_samples";

#[user_doc(
    doc_section(label = "PCA Functions"),
    description = "Number of rows that a model was fitted on. NULL rows are not counted.",
    syntax_example = "pca_n_samples(model)",
    sql_example = r#"```sql
> SELECT pca_n_samples(pca) FROM model;
+--------------------------+
| pca_n_samples(model.pca) |
+--------------------------+
| 22688                    |
+--------------------------+
```"#,
    argument(
        name = "model",
        description = "A model, as `pca_fit` returns it. NULL gives NULL."
    )
)]
/// The SQL function `pca_n_samples`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct PcaNSamples {
    signature: Signature,
}

impl Default for PcaNSamples {
    fn default() -> Self {
        Self::new()
    }
}

impl PcaNSamples {
    /// The function.
    #[must_use]
    pub fn new() -> Self {
        Self {
            signature: accessor_signature(),
        }
    }
}

impl ScalarUDFImpl for PcaNSamples {
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
        Ok(return_field(NAME, DataType::Int64, &args))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        invoke_accessor(NAME, &args, |models| {
            Ok(Arc::new(Int64Array::from_iter(
                models.map(|m| m.map(|m| m.n_samples() as i64)),
            )))
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}
