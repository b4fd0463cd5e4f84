//! Arguments that `featurize` and `try_featurize` have in common.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_common::types::logical_string;
use datafusion_common::{DataFusionError, Result, ScalarValue, exec_err, plan_err};
use datafusion_expr::{
    Coercion, ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, Signature, TypeSignature,
    TypeSignatureClass, Volatility,
};

use super::images::Images;
use super::planned::Instance;
use super::reading::Reading;
use crate::cancel;
use crate::decode::DECODERS;
use crate::error::Error;
use crate::features::{Featurizer, OnUndecodable, item_field};
use crate::model::{DeviceKind, Model};
use crate::models::{ModelSpec, Pooling};
use crate::origins;
use crate::pool::ComputePool;
use crate::settings::{FeatureSettings, PREFIX, Settings};
use crate::weights::{WeightsAccess, WeightsSpec};

/// Name of the first argument.
const CONTENT: &str = "content";
/// Names of the constants, in order; no function leaves one out before its last.
const CONSTANTS: [&str; 4] = ["model", "weights", "pooling", INPUT_SIZE];
/// The only one that is a number.
const INPUT_SIZE: &str = "input_size";

/// Signature of `featurize` and `try_featurize`: any binary layout for the content; the constants
/// keep their type, so that NULL is still a literal when it is looked at.
///
/// Content of any other type is accepted too, and refused by [`check_content`]: DataFusion would
/// list every alternative of the signature instead of saying what is wrong. The alternative without
/// constants is the one that SHOW FUNCTIONS lists.
pub(super) fn signature() -> Signature {
    let names = [CONTENT].into_iter().chain(CONSTANTS);
    signature_of(
        &[TypeSignatureClass::Binary, TypeSignatureClass::Any],
        names,
        Volatility::Immutable,
    )
}

/// Signature of a function of the model and the weights. It is not immutable, as a file may change.
pub(super) fn model_signature() -> Signature {
    let names = CONSTANTS.into_iter();
    signature_of(
        &[
            TypeSignatureClass::Native(logical_string()),
            TypeSignatureClass::Any,
        ],
        names,
        Volatility::Stable,
    )
}

/// A first argument of one of these classes that must be there, then constants that need not.
fn signature_of(
    first: &[TypeSignatureClass],
    names: impl Iterator<Item = &'static str>,
    volatility: Volatility,
) -> Signature {
    let names: Vec<String> = names.map(str::to_owned).collect();
    let mut signatures = Vec::with_capacity(names.len() * first.len());
    for constants in 0..names.len() {
        for first in first {
            let first = [first.clone()];
            let constants = std::iter::repeat_n(TypeSignatureClass::Any, constants);
            let coercions = first.into_iter().chain(constants).map(Coercion::new_exact);
            signatures.push(TypeSignature::Coercible(coercions.collect()));
        }
    }
    let mut signature = Signature::one_of(signatures, volatility);
    signature.parameter_names = Some(names);
    signature
}

/// Refuses content that is not binary.
fn check_content(function: &str, args: &ReturnFieldArgs) -> Result<()> {
    let Some(content) = args.arg_fields.first() else {
        return plan_err!("{function}: argument 'content' is missing");
    };
    match content.data_type() {
        DataType::Null
        | DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => Ok(()),
        other => plan_err!(
            "{function}: argument 'content' must be binary, the bytes of an encoded image, found \
             {other}; a table STORED AS BINARYFILE reads files into such a column"
        ),
    }
}

/// The constants as far as the planner knows them: `None` for what the settings decide.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Constants {
    model: Option<ModelSpec>,
    weights: Option<WeightsSpec>,
    reading: Option<Reading>,
    input_size: Option<i64>,
}

impl Constants {
    /// Checks whatever constants, which begin at argument `first`, are literals. Constant
    /// expressions and the placeholders of a prepared statement become literals only later.
    pub(super) fn check(function: &str, args: &ReturnFieldArgs, first: usize) -> Result<Self> {
        let types = args.arg_fields.iter().map(|field| field.data_type());
        for (name, data_type) in CONSTANTS.iter().zip(types.skip(first)) {
            let fits = match data_type {
                DataType::Null => true,
                DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => *name != INPUT_SIZE,
                number => *name == INPUT_SIZE && number.is_integer(),
            };
            if !fits {
                let kind = kind(name);
                return plan_err!(
                    "{function}: argument '{name}' must be a constant {kind}, found {data_type}"
                );
            }
        }
        let literals = args.scalar_arguments.iter().map(|value| value.as_deref());
        Self::parse(function, literals.skip(first))
    }

    /// Refuses arguments that differ from row to row.
    pub(super) fn check_constant(function: &str, args: &[Expr], first: usize) -> Result<()> {
        for (name, arg) in CONSTANTS.iter().zip(args.iter().skip(first)) {
            if arg.any_column_refs() || arg.is_volatile() {
                let kind = kind(name);
                return plan_err!(
                    "{function}: argument '{name}' must be the same constant {kind} for all rows, \
                     found the expression {arg}"
                );
            }
        }
        Ok(())
    }

    /// Reads the constants, which begin at argument `first`.
    pub(super) fn from_values(
        function: &str,
        args: &[ColumnarValue],
        first: usize,
    ) -> Result<Self> {
        let mut literals = Vec::with_capacity(CONSTANTS.len());
        for (name, arg) in CONSTANTS.iter().zip(args.iter().skip(first)) {
            match arg {
                ColumnarValue::Scalar(value) => literals.push(Some(value)),
                ColumnarValue::Array(_) => {
                    let kind = kind(name);
                    return exec_err!(
                        "{function}: argument '{name}' must be the same constant {kind} for all \
                         rows"
                    );
                }
            }
        }
        Self::parse(function, literals.into_iter())
    }

    fn parse<'a>(
        function: &str,
        mut literals: impl Iterator<Item = Option<&'a ScalarValue>>,
    ) -> Result<Self> {
        let mut next = || literals.next().flatten();
        let text = |literal: Option<&'a ScalarValue>| literal?.try_as_str().flatten();
        let mut parse = || -> crate::error::Result<Self> {
            let model = text(next()).map(ModelSpec::parse).transpose()?;
            let weights = text(next()).map(WeightsSpec::parse).transpose()?;
            let reading = text(next()).map(|text| Reading::parse(text, model.as_ref()));
            let constants = Self {
                reading: reading.transpose()?,
                input_size: next().and_then(integer),
                model,
                weights,
            };
            if let Some(model) = &constants.model {
                let pooling = constants.reading.as_ref().and_then(Reading::known);
                model.check(pooling, constants.side())?;
            }
            Ok(constants)
        };
        parse().map_err(|error| error.in_function(function))
    }

    /// What is known of features when a statement is planned, as metadata of their field: what the
    /// arguments say, and the settings in their place.
    ///
    /// Nothing here depends on files or the network: every partition and machine that plans the same call
    /// must come to the same schema. `featurize_model_info` tells the rest.
    fn provenance(&self, planned: Option<&FeatureSettings>) -> HashMap<String, String> {
        let mut entries = vec![("decoder", DECODERS.to_owned())];
        // What a setting says wrongly is the error of whoever executes.
        let set = |setting: fn(&FeatureSettings) -> &str| planned.map(setting);
        let model = self.model.clone();
        let model = model.or_else(|| ModelSpec::parse(set(|set| &set.model)?).ok());
        let weights = self.weights.clone().or_else(|| {
            let weights = WeightsSpec::parse(set(|set| &set.weights)?).ok()?;
            // The setting's default stands for each network's own weights, which are not ImageNet's everywhere.
            let is_named = !matches!(weights, WeightsSpec::ImageNet)
                || matches!(model, Some(ModelSpec::Convolutional(_)));
            is_named.then_some(weights)
        });
        if let Some(model) = &model {
            entries.push(("model", model.to_string()));
        }
        if let Some(weights) = &weights {
            entries.push(("weights", weights.to_string()));
        }
        if let (Some(model), Some(weights)) = (&model, &weights) {
            let identity = weights.known(model);
            entries.extend(identity.preprocessing.map(|name| ("preprocessing", name)));
            entries.extend(identity.sha256.map(|sha256| ("weights_sha256", sha256)));
            entries.extend(identity.md5.map(|md5| ("weights_md5", md5.to_owned())));
        }
        let default = || Some(model.as_ref()?.default_pooling()?.name());
        let reading = self.reading.as_ref().map(Reading::name).or_else(default);
        entries.extend(reading.map(|name| ("pooling", name.to_owned())));
        let side = self.input_size.map(|side| side.to_string());
        let side = side.or_else(|| Some(planned?.input_size?.to_string()));
        entries.extend(side.map(|side| (INPUT_SIZE, side)));
        if let Some(planned) = planned {
            entries.extend([
                ("exif_orientation", planned.exif_orientation.to_string()),
                ("truncated_images", planned.truncated_images.to_string()),
                ("deep_grey", planned.deep_grey.to_string()),
            ]);
            if let (Some(ModelSpec::Onnx(_)), Some(text)) = (&model, &planned.onnx_preprocessing) {
                entries.push(("onnx_preprocessing", text.clone()));
            }
        }
        let entries = entries.into_iter();
        entries
            .map(|(name, value)| (format!("{PREFIX}.{name}"), value))
            .collect()
    }

    /// The size of the images that a model is to be fed, if the argument says it.
    fn side(&self) -> Option<usize> {
        // No network takes a size that is none.
        Some(usize::try_from(self.input_size?).unwrap_or(0))
    }

    /// Completes the constants from the settings and loads the model. Gives what of it is read, too.
    pub(super) fn model(
        &self,
        settings: &Settings,
        access: &WeightsAccess,
    ) -> crate::error::Result<(Arc<Model>, Pooling)> {
        let model = match &self.model {
            Some(model) => model.clone(),
            None => ModelSpec::parse(&settings.features.model).map_err(in_setting("model"))?,
        };
        let side = match self.side() {
            None => {
                let checked = model.check(None, settings.features.input_size);
                checked.map_err(in_setting(INPUT_SIZE))?;
                settings.features.input_size
            }
            side => side,
        };
        let (model, pooling) = self.read(model, settings)?;
        model.check(pooling, side)?;
        let weights = match &self.weights {
            Some(weights) => weights.clone(),
            None => {
                WeightsSpec::parse(&settings.features.weights).map_err(in_setting("weights"))?
            }
        };
        let device = DeviceKind::parse(&settings.device)?;
        // The setting's default stands for each network's own weights, which are not ImageNet's everywhere.
        let is_own = self.weights.is_none() && weights == WeightsSpec::ImageNet;
        let weights = Some(&weights).filter(|_| !is_own);
        let folder = settings.weights_dir.as_deref();
        let model = Model::shared_spec(&model, side, weights, (folder, access), device)?;
        let pooling = pooling.unwrap_or_else(|| model.default_pooling());
        Ok((model, pooling))
    }

    /// What is read of a model: a pooling, or an output that belongs to what is asked of an ONNX file.
    fn read(
        &self,
        model: ModelSpec,
        settings: &Settings,
    ) -> crate::error::Result<(ModelSpec, Option<Pooling>)> {
        let ModelSpec::Onnx(spec) = model else {
            let pooling = self.reading.as_ref().map(Reading::pooling);
            return Ok((model, pooling.transpose()?));
        };
        let output = self
            .reading
            .as_ref()
            .map(|reading| reading.name().to_owned());
        let spec = spec
            .with_output(output)
            .with_preprocessing(settings.features.onnx_preprocessing.clone())
            .with_threads(ComputePool::shared(settings.threads)?.threads());
        Ok((ModelSpec::Onnx(spec), None))
    }

    fn featurizer(
        &self,
        settings: &Settings,
        access: &WeightsAccess,
    ) -> crate::error::Result<Featurizer> {
        let pool = ComputePool::shared(settings.threads)?;
        let (model, pooling) = self.model(settings, access)?;
        let options = settings.decode_options();
        Ok(Featurizer::new(model, pooling, options, pool).with_cancel_token(cancel::current()))
    }
}

/// What a constant must be.
fn kind(name: &str) -> &'static str {
    if name == INPUT_SIZE {
        "whole number"
    } else {
        "string"
    }
}

/// The value of a literal of an integer type.
fn integer(literal: &ScalarValue) -> Option<i64> {
    let number = literal.cast_to(&DataType::Int64).ok()?;
    match number {
        // What does not fit is no size.
        ScalarValue::Int64(number) => number,
        _ => None,
    }
}

/// The field of the features that `function` returns.
pub(super) fn features_field(
    function: &str,
    args: &ReturnFieldArgs,
    instance: &Instance,
    nullable: bool,
) -> Result<FieldRef> {
    check_content(function, args)?;
    let constants = Constants::check(function, args, 1)?;
    let field = Field::new(function, DataType::List(item_field()), nullable);
    Ok(Arc::new(field.with_metadata(
        constants.provenance(instance.planned.as_ref()),
    )))
}

/// What is wrong with a setting is not the query's fault.
fn in_setting(name: &str) -> impl Fn(Error) -> Error {
    move |error| match error {
        Error::Argument(message) => {
            Error::Configuration(format!("setting featurize.{name}: {message}"))
        }
        other => other,
    }
}

/// Body of both functions.
pub(super) fn featurize(
    function: &str,
    args: &ScalarFunctionArgs,
    instance: &Instance,
    on_undecodable: OnUndecodable,
) -> Result<ColumnarValue> {
    let Some(content) = args.args.first() else {
        return plan_err!("{function}: argument 'content' is missing");
    };
    let constants = Constants::from_values(function, &args.args, 1)?;
    let settings = instance.settings(&args.config_options)?;
    let scalar = matches!(content, ColumnarValue::Scalar(_));
    let content = content.to_array(if scalar { 1 } else { args.number_rows })?;
    let featurizer = constants
        .featurizer(&settings, &instance.access)
        .map_err(|error| error.in_function(function))?;
    let images = Images::try_new(&content)?;
    let features = featurizer
        .featurize(&images.rows(), on_undecodable)
        .map_err(|error| match error {
            Error::Decode { row, error } => {
                let image = origins::of_row(row).map(|name| format!("'{name}': "));
                DataFusionError::Execution(format!(
                    "{function}: {}{error}. try_{function} gives NULL for such an image, and \
                     image_info(content)['error'] tells which they are",
                    image.unwrap_or_default()
                ))
            }
            other => other.in_function(function),
        })?;
    if scalar {
        let value = ScalarValue::try_from_array(&features, 0)?;
        Ok(ColumnarValue::Scalar(value))
    } else {
        Ok(ColumnarValue::Array(Arc::new(features)))
    }
}
