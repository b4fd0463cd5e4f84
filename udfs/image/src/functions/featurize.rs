//! `featurize(content [, model [, weights [, pooling [, input_size]]]])`

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
    description = "Runs a convolutional network, a vision transformer or, in builds with the feature `onnx`, the network in an ONNX file over an encoded image (JPEG, JPEG 2000, PNG, WebP, BMP, GIF or TIFF) and returns its features as List(Float32). The metadata of the field, which Parquet files keep, holds what arguments and settings say about model, weights and decoding. NULL in gives NULL out; an image that cannot be decoded is an error that says why.",
    syntax_example = "featurize(content[, model[, weights[, pooling[, input_size]]]])",
    sql_example = r#"```sql
> SELECT path, featurize(content, 'vgg16', weights => 'seeded') AS features FROM images;
```"#,
    argument(
        name = "content",
        description = "The encoded image, of any binary type."
    ),
    argument(
        name = "model",
        description = "Constant; `'vgg16'` (25,088 features in height, width, channel order), `'mobilenet_v2'` (1,280 features; also of the widths `'mobilenet_v2_035'`, `_050`, `_075`, `_130` and `_140`), `'resnet50'` or `'inception_v3'` (2,048 features each); they look at 224×224 pixels, `'inception_v3'` at 299×299. Vision transformers: `'dinov2_small'`, `'dinov2_base'`, `'clip_vit_b32'`, `'clip_vit_l14'`, `'siglip_b16'`, or the address of a folder in Hugging Face's layout (`hf://owner/repo`, `s3://…/`, a path). In builds with the feature `onnx`, the address of an `.onnx` file. NULL or absent: the setting `featurize.model`."
    ),
    argument(
        name = "weights",
        description = "Constant; `'imagenet'` (the file of Keras Applications, downloaded into the folder `featurize.weights_dir` when it is first needed), the path or URL (`http(s)://`, `s3://`, `gs://`, `hf://owner/repo/file`) of a `.h5`, `.keras` or `.safetensors` file, or `'seeded'` (deterministic random numbers for trials). NULL or absent: the setting `featurize.weights`, whose default `'imagenet'` means a transformer's own weights."
    ),
    argument(
        name = "pooling",
        description = "Constant; `'none'` (the whole last feature map), `'avg'` or `'max'` (one value per channel); of transformers also `'cls'` (the class token) and `'projection'`. NULL or absent: `'none'` for `vgg16`, `'avg'` for the other convolutional networks, for transformers what the reference calls the image's embedding. Of an ONNX file, the name of an output; NULL or absent: the only one of two dimensions."
    ),
    argument(
        name = "input_size",
        description = "Constant; the side in pixels of the square that the image is resized to, at least 32 (75 for `inception_v3`) and at most 1,024, as `input_shape=(100, 100, 3)` in Keras. It decides how many features `pooling => 'none'` gives. NULL or absent: the setting `featurize.input_size`, else the network's own size."
    ),
    related_udf(name = "try_featurize"),
    related_udf(name = "image_info"),
    related_udf(name = "featurize_model_info")
)]
/// The `featurize` function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Featurize(pub(super) Instance);

impl Default for Featurize {
    fn default() -> Self {
        Self::new()
    }
}

impl Featurize {
    /// The function, with weights from this machine and the web.
    pub fn new() -> Self {
        Self::with_access(WeightsAccess::default())
    }

    /// The function, with weights from these stores.
    pub fn with_access(access: WeightsAccess) -> Self {
        Self(Instance::new(arguments::signature(), access))
    }
}

impl ScalarUDFImpl for Featurize {
    fn name(&self) -> &str {
        "featurize"
    }

    fn signature(&self) -> &Signature {
        &self.0.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        internal_err!("return_field_from_args should be used instead")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let nullable = args
            .arg_fields
            .first()
            .is_none_or(|field| field.is_nullable());
        arguments::features_field(self.name(), &args, &self.0, nullable)
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
        arguments::featurize(self.name(), &args, &self.0, OnUndecodable::Fail)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}
