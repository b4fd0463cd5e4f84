//! Arguments that `featurize` and `try_featurize` have in common.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion_common::{DataFusionError, Result, ScalarValue, exec_err, plan_err};
use datafusion_expr::{
    Coercion, ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, Signature, TypeSignature,
    TypeSignatureClass, Volatility,
};

use crate::cancel;
use crate::decode::Limits;
use crate::error::Error;
use crate::features::{Featurizer, OnUndecodable};
use crate::model::{DeviceKind, Model};
use crate::models::{Architecture, Pooling};
use crate::pool::ComputePool;
use crate::settings::Settings;
use crate::weights::WeightsSpec;

/// Name of the first argument.
const CONTENT: &str = "content";
/// Names of the constants, in order; no function leaves one out before its last.
const CONSTANTS: [&str; 3] = ["model", "weights", "pooling"];

/// Signature of `featurize` and `try_featurize`: any binary layout for the content; the constants
/// keep their type, so that NULL is still a literal when it is looked at.
pub(super) fn signature() -> Signature {
    let content = Coercion::new_exact(TypeSignatureClass::Binary);
    let names = [CONTENT].into_iter().chain(CONSTANTS);
    signature_of(vec![content], names, Volatility::Immutable)
}

/// Signature of a function of the model and the weights. It is not immutable, as a file may change.
pub(super) fn model_signature() -> Signature {
    let constant = Coercion::new_exact(TypeSignatureClass::Any);
    let names = CONSTANTS.into_iter().take(2);
    signature_of(vec![constant], names, Volatility::Stable)
}

/// The arguments that must be there, then constants that need not.
fn signature_of(
    mut coercions: Vec<Coercion>,
    names: impl Iterator<Item = &'static str>,
    volatility: Volatility,
) -> Signature {
    let names: Vec<String> = names.map(str::to_owned).collect();
    let mut signatures = vec![TypeSignature::Coercible(coercions.clone())];
    while coercions.len() < names.len() {
        coercions.push(Coercion::new_exact(TypeSignatureClass::Any));
        signatures.push(TypeSignature::Coercible(coercions.clone()));
    }
    let mut signature = Signature::one_of(signatures, volatility);
    signature.parameter_names = Some(names);
    signature
}

/// The constants as far as the planner knows them: `None` for what the settings decide.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Constants {
    model: Option<Architecture>,
    weights: Option<WeightsSpec>,
    pooling: Option<Pooling>,
}

impl Constants {
    /// Checks whatever constants, which begin at argument `first`, are literals. Constant
    /// expressions and the placeholders of a prepared statement become literals only later.
    pub(super) fn check(function: &str, args: &ReturnFieldArgs, first: usize) -> Result<()> {
        let types = args.arg_fields.iter().map(|field| field.data_type());
        for (name, data_type) in CONSTANTS.iter().zip(types.skip(first)) {
            if !matches!(
                data_type,
                DataType::Null | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
            ) {
                return plan_err!(
                    "{function}: argument '{name}' must be a constant string, found {data_type}"
                );
            }
        }
        let literals = args.scalar_arguments.iter().map(|value| value.as_deref());
        Self::parse(function, literals.skip(first)).map(|_| ())
    }

    /// Refuses arguments that differ from row to row.
    pub(super) fn check_constant(function: &str, args: &[Expr], first: usize) -> Result<()> {
        for (name, arg) in CONSTANTS.iter().zip(args.iter().skip(first)) {
            if arg.any_column_refs() || arg.is_volatile() {
                return plan_err!(
                    "{function}: argument '{name}' must be the same constant string for all rows, \
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
                    return exec_err!(
                        "{function}: argument '{name}' must be the same constant string for all \
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
        let mut next = || {
            let literal = literals.next().flatten()?;
            literal.try_as_str().flatten().map(str::to_owned)
        };
        let mut parse = || -> crate::error::Result<Self> {
            Ok(Self {
                model: next().as_deref().map(Architecture::parse).transpose()?,
                weights: next().as_deref().map(WeightsSpec::parse).transpose()?,
                pooling: next().as_deref().map(Pooling::parse).transpose()?,
            })
        };
        parse().map_err(|error| error.in_function(function))
    }

    /// Completes the constants from the settings and loads the model.
    pub(super) fn model(&self, settings: &Settings) -> crate::error::Result<Arc<Model>> {
        let architecture = match self.model {
            Some(model) => model,
            None => Architecture::parse(&settings.model).map_err(in_setting("model"))?,
        };
        let weights = match &self.weights {
            Some(weights) => weights.clone(),
            None => WeightsSpec::parse(&settings.weights).map_err(in_setting("weights"))?,
        };
        let weights = weights.resolve(architecture, settings.weights_dir.as_deref())?;
        Model::shared(architecture, &weights, DeviceKind::parse(&settings.device)?)
    }

    fn featurizer(&self, settings: &Settings) -> crate::error::Result<Featurizer> {
        let pool = ComputePool::shared(settings.threads)?;
        let model = self.model(settings)?;
        let pooling = self
            .pooling
            .unwrap_or_else(|| model.architecture().default_pooling());
        let limits = Limits {
            max_pixels: settings.max_pixels,
        };
        Ok(Featurizer::new(model, pooling, limits, pool).with_cancel_token(cancel::current()))
    }
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
    on_undecodable: OnUndecodable,
) -> Result<ColumnarValue> {
    let Some(content) = args.args.first() else {
        return plan_err!("{function}: argument 'content' is missing");
    };
    let constants = Constants::from_values(function, &args.args, 1)?;
    let settings = Settings::try_from_config(&args.config_options)?;
    let scalar = matches!(content, ColumnarValue::Scalar(_));
    let content = content.to_array(if scalar { 1 } else { args.number_rows })?;
    let featurizer = constants
        .featurizer(&settings)
        .map_err(|error| error.in_function(function))?;
    let images = Images::try_new(&content)?;
    let features = featurizer
        .featurize(&images.rows(), on_undecodable)
        .map_err(|error| match error {
            Error::Decode(cause) => DataFusionError::Execution(format!(
                "{function}: {cause}. try_{function} gives NULL for such an image, and \
                 image_info(content)['error'] tells which they are"
            )),
            other => other.in_function(function),
        })?;
    if scalar {
        let value = ScalarValue::try_from_array(&features, 0)?;
        Ok(ColumnarValue::Scalar(value))
    } else {
        Ok(ColumnarValue::Array(Arc::new(features)))
    }
}

/// Encoded images in any binary layout.
pub(super) struct Images(ArrayRef);

impl Images {
    /// `content` must be of a binary type or of type NULL, as the signatures ask for.
    pub(super) fn try_new(content: &ArrayRef) -> Result<Self> {
        Ok(Self(match content.data_type() {
            DataType::FixedSizeBinary(_) => cast(content, &DataType::Binary)?,
            _ => Arc::clone(content),
        }))
    }

    /// The bytes of each row.
    pub(super) fn rows(&self) -> Vec<Option<&[u8]>> {
        match self.0.data_type() {
            DataType::Binary => self.0.as_binary::<i32>().iter().collect(),
            DataType::LargeBinary => self.0.as_binary::<i64>().iter().collect(),
            DataType::BinaryView => self.0.as_binary_view().iter().collect(),
            _ => vec![None; self.0.len()],
        }
    }
}
