//! `try_read_blob(uri)`

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl,
    Signature,
};
use datafusion_macros::user_doc;

use super::access::BlobCall;
use super::read_blob::signature;
use super::{function, in_place};

#[user_doc(
    doc_section(label = "Object Store Functions"),
    description = "As `read_blob`, but an object that cannot be had is NULL: one that is missing, denied, longer than `featurize.read_blob_max_length`, out of reach after retries, or not allowed by `featurize.read_blob_from`. A warning counts such objects and tells why the first could not be had.",
    syntax_example = "try_read_blob(uri)",
    sql_example = r#"```sql
> SELECT url FROM 'photos.parquet' WHERE try_read_blob(url) IS NULL;
```"#,
    argument(name = "uri", description = "As for `read_blob`."),
    related_udf(name = "read_blob"),
    related_udf(name = "try_featurize")
)]
/// The `try_read_blob` function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct TryReadBlob {
    signature: Signature,
    pub(super) call: BlobCall,
}

impl Default for TryReadBlob {
    fn default() -> Self {
        Self::new()
    }
}

impl TryReadBlob {
    /// The function of no session. Where no operator of this crate is around it, it has no stores.
    pub fn new() -> Self {
        Self::with_call(BlobCall::new(true, None))
    }

    pub(super) fn with_call(call: BlobCall) -> Self {
        let signature = signature();
        Self { signature, call }
    }
}

impl ScalarUDFImpl for TryReadBlob {
    fn name(&self) -> &str {
        "try_read_blob"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        internal_err!("try_read_blob tells its type with return_field_from_args")
    }

    fn return_field_from_args(&self, _args: ReturnFieldArgs) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(
            self.name(),
            DataType::BinaryView,
            true,
        )))
    }

    fn simplify(&self, args: Vec<Expr>, _info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        Ok(function::simplified(&self.call, args))
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        Ok(function::column_name(self.name(), args))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        in_place::evaluate(&self.call, &args)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}
