//! `try_featurize(content [, model [, weights [, pooling [, input_size]]]])`

use arrow::datatypes::{DataType, FieldRef};
use datafusion_common::config::ConfigOptions;
use datafusion_common::{Result, internal_err};
use datafusion_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion_expr::{
    ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature,
};
use datafusion_macros::user_doc;

use super::arguments::{self, Constants};
use super::hidden;
use super::planned::Instance;
use crate::features::OnUndecodable;
use crate::weights::WeightsAccess;

#[user_doc(
    doc_section(label = "Image Functions"),
    description = "Like `featurize`, but an image that cannot be decoded gives NULL. A problem with the weights or the settings is still an error.",
    syntax_example = "try_featurize(content[, model[, weights[, pooling]]])",
    sql_example = r#"```sql
> SELECT path FROM images WHERE try_featurize(content, 'vgg16', 'seeded') IS NULL;
```"#,
    argument(
        name = "content",
        description = "The encoded image, of any binary type."
    ),
    argument(name = "model", description = "As for `featurize`."),
    argument(name = "weights", description = "As for `featurize`."),
    argument(name = "pooling", description = "As for `featurize`."),
    argument(name = "input_size", description = "As for `featurize`."),
    related_udf(name = "featurize"),
    related_udf(name = "image_info"),
    related_udf(name = "featurize_model_info")
)]
/// The `try_featurize` function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct TryFeaturize(pub(super) Instance);

impl Default for TryFeaturize {
    fn default() -> Self {
        Self::new()
    }
}

impl TryFeaturize {
    /// The function, with weights from this machine and the web.
    pub fn new() -> Self {
        Self::with_access(WeightsAccess::default())
    }

    /// The function, with weights from these stores.
    pub fn with_access(access: WeightsAccess) -> Self {
        Self(Instance::new(arguments::signature(), access))
    }
}

impl ScalarUDFImpl for TryFeaturize {
    fn name(&self) -> &str {
        "try_featurize"
    }

    fn signature(&self) -> &Signature {
        &self.0.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        internal_err!("return_field_from_args should be used instead")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        arguments::features_field(self.name(), &args, &self.0, true)
    }

    fn simplify(&self, args: Vec<Expr>, _info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        Constants::check_constant(self.name(), &args, 1)?;
        let into_function = |instance| Self(instance).into();
        Ok(hidden::simplified(&self.0, args, 1, into_function))
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        hidden::schema_name(self.name(), args)
    }

    fn with_updated_config(&self, config: &ConfigOptions) -> Option<ScalarUDF> {
        Some(Self(self.0.updated(config)).into())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        arguments::featurize(self.name(), &args, &self.0, OnUndecodable::Null)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}
