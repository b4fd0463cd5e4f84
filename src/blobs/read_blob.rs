//! `read_blob(uri)`

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::types::logical_string;
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    Coercion, ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs,
    ScalarUDFImpl, Signature, TypeSignatureClass, Volatility,
};
use datafusion_macros::user_doc;

use super::access::BlobCall;
use super::{function, in_place};

#[user_doc(
    doc_section(label = "Object Store Functions"),
    description = "The bytes of the object at a URI: in any bucket that this session or its environment can read, on a web server, or on the local disk. Objects are fetched ahead of the rows that want them, `featurize.scan_concurrency` at once, and rows keep their order. An object that cannot be had is an error that names it; `try_read_blob` gives NULL. NULL in gives NULL out.",
    syntax_example = "read_blob(uri)",
    sql_example = r#"```sql
> SELECT label, featurize(read_blob(url), 'mobilenet_v2') AS features FROM 'photos.parquet';
```"#,
    argument(
        name = "uri",
        description = "`s3://bucket/key`, `gs://bucket/key`, `http(s)://host/path`, `file:///path` or a path. The names of objects are taken as they are written; if there is none of that name, percent-decoded. `featurize.read_blob_from` says which places may be read."
    ),
    related_udf(name = "try_read_blob"),
    related_udf(name = "featurize")
)]
/// The `read_blob` function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ReadBlob {
    signature: Signature,
    pub(super) call: BlobCall,
}

impl Default for ReadBlob {
    fn default() -> Self {
        Self::new()
    }
}

impl ReadBlob {
    /// The function of no session. Where no operator of this crate is around it, it has no stores.
    pub fn new() -> Self {
        Self::with_call(BlobCall::new(false, None))
    }

    pub(super) fn with_call(call: BlobCall) -> Self {
        let signature = signature();
        Self { signature, call }
    }
}

pub(super) fn signature() -> Signature {
    let uri = Coercion::new_exact(TypeSignatureClass::Native(logical_string()));
    // See the module: not twice, not while planning.
    let mut signature = Signature::coercible(vec![uri], Volatility::Volatile);
    signature.parameter_names = Some(vec!["uri".to_owned()]);
    signature
}

impl ScalarUDFImpl for ReadBlob {
    fn name(&self) -> &str {
        "read_blob"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        internal_err!("read_blob tells its type with return_field_from_args")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(
            self.name(),
            DataType::BinaryView,
            nullable,
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
