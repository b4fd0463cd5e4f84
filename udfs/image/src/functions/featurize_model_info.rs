//! `featurize_model_info(model [, weights [, pooling [, input_size]]])`

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray, StructArray, UInt32Array, UInt64Array};
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion_common::config::ConfigOptions;
use datafusion_common::{Result, ScalarValue, exec_datafusion_err};
use datafusion_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion_expr::{
    ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature,
};
use datafusion_macros::user_doc;

use super::arguments::{self, Constants};
use super::hidden;
use super::planned::Instance;
use crate::decode::DecodeOptions;
use crate::model::Model;
use crate::models::Pooling;
use crate::weights::WeightsAccess;

#[user_doc(
    doc_section(label = "Image Functions"),
    description = "What `featurize` computes with: a struct of the network's `name`, the `dimension` of its vectors, its number of `parameters`, the `weights_sha256` (of the file, or of the recipe of seeded weights), the `preprocessing` and the `decoder`. Stored beside features, it tells vectors of different weights apart.",
    syntax_example = "featurize_model_info(model[, weights[, pooling[, input_size]]])",
    sql_example = r#"```sql
> SELECT featurize_model_info('mobilenet_v2', 'seeded')['weights_sha256'];
```"#,
    argument(name = "model", description = "As for `featurize`."),
    argument(name = "weights", description = "As for `featurize`."),
    argument(name = "pooling", description = "As for `featurize`."),
    argument(name = "input_size", description = "As for `featurize`."),
    related_udf(name = "featurize")
)]
/// The `featurize_model_info` function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct FeaturizeModelInfo(pub(super) Instance);

impl Default for FeaturizeModelInfo {
    fn default() -> Self {
        Self::new()
    }
}

impl FeaturizeModelInfo {
    /// The function, with weights from this machine and the web.
    pub fn new() -> Self {
        Self::with_access(WeightsAccess::default())
    }

    /// The function, with weights from these stores.
    pub fn with_access(access: WeightsAccess) -> Self {
        Self(Instance::new(arguments::model_signature(), access))
    }
}

impl ScalarUDFImpl for FeaturizeModelInfo {
    fn name(&self) -> &str {
        "featurize_model_info"
    }

    fn signature(&self) -> &Signature {
        &self.0.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Struct(fields()))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        Constants::check(self.name(), &args, 0)?;
        let data_type = DataType::Struct(fields());
        Ok(Arc::new(Field::new(self.name(), data_type, false)))
    }

    fn simplify(&self, args: Vec<Expr>, _info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        Constants::check_constant(self.name(), &args, 0)?;
        let into_function = |instance| Self(instance).into();
        Ok(hidden::simplified(&self.0, args, 0, into_function))
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        hidden::schema_name(self.name(), args)
    }

    fn with_updated_config(&self, config: &ConfigOptions) -> Option<ScalarUDF> {
        Some(Self(self.0.updated(config)).into())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constants = Constants::from_values(self.name(), &args.args, 0)?;
        let settings = self.0.settings(&args.config_options)?;
        let (model, pooling) = constants
            .model(&settings, &self.0.access)
            .map_err(|error| error.in_function(self.name()))?;
        let info = ScalarValue::Struct(Arc::new(describe(
            &model,
            pooling,
            settings.decode_options(),
        )?));
        Ok(ColumnarValue::Scalar(info))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn fields() -> Fields {
    Fields::from(vec![
        Field::new("name", DataType::Utf8, false),
        Field::new("dimension", DataType::UInt32, false),
        Field::new("parameters", DataType::UInt64, false),
        Field::new("weights_sha256", DataType::Utf8, false),
        Field::new("preprocessing", DataType::Utf8, false),
        Field::new("decoder", DataType::Utf8, false),
    ])
}

fn describe(model: &Model, pooling: Pooling, options: DecodeOptions) -> Result<StructArray> {
    let dimension = model
        .dimension(pooling)
        .map_err(|error| error.in_function("featurize_model_info"))?;
    let dimension = u32::try_from(dimension)
        .map_err(|error| exec_datafusion_err!("featurize_model_info: dimension: {error}"))?;
    let text = |value: &str| -> ArrayRef { Arc::new(StringArray::from(vec![value])) };
    let columns: Vec<ArrayRef> = vec![
        text(model.name()),
        Arc::new(UInt32Array::from(vec![dimension])),
        Arc::new(UInt64Array::from(vec![model.parameter_count() as u64])),
        text(model.weights_sha256()),
        text(&model.preparation().describe()),
        text(&options.provenance()),
    ];
    Ok(StructArray::try_new(fields(), columns, None)?)
}
