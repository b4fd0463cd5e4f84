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

use crate::decode::Limits;
use crate::features::{Featurizer, OnUndecodable};
use crate::model::{DeviceKind, Model};
use crate::models::{Architecture, Pooling};
use crate::pool::ComputePool;
use crate::settings::Settings;
use crate::weights::WeightsSpec;

/// Names of the arguments, in order. All but the first are constants.
const NAMES: [&str; 4] = ["content", "model", "weights", "pooling"];

/// Any binary layout for the content; the constants keep their type, so that NULL is still a
/// literal when it is looked at.
pub(super) fn signature() -> Signature {
    let content = Coercion::new_exact(TypeSignatureClass::Binary);
    let constant = Coercion::new_exact(TypeSignatureClass::Any);
    let mut coercions = vec![content];
    let mut signatures = vec![TypeSignature::Coercible(coercions.clone())];
    for _ in 1..NAMES.len() {
        coercions.push(constant.clone());
        signatures.push(TypeSignature::Coercible(coercions.clone()));
    }
    let mut signature = Signature::one_of(signatures, Volatility::Immutable);
    signature.parameter_names = Some(NAMES.map(str::to_owned).to_vec());
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
    /// Checks whatever constants are literals. Constant expressions and the placeholders of a
    /// prepared statement become literals only later.
    pub(super) fn check(function: &str, args: &ReturnFieldArgs) -> Result<()> {
        let types = args.arg_fields.iter().map(|field| field.data_type());
        for (name, data_type) in NAMES.iter().zip(types).skip(1) {
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
        Self::parse(function, literals.skip(1)).map(|_| ())
    }

    /// Refuses arguments that differ from row to row.
    pub(super) fn check_constant(function: &str, args: &[Expr]) -> Result<()> {
        for (name, arg) in NAMES.iter().zip(args).skip(1) {
            if arg.any_column_refs() || arg.is_volatile() {
                return plan_err!(
                    "{function}: argument '{name}' must be the same constant string for all rows, \
                     found the expression {arg}"
                );
            }
        }
        Ok(())
    }

    fn from_values(function: &str, args: &[ColumnarValue]) -> Result<Self> {
        let mut literals = Vec::with_capacity(NAMES.len());
        for (name, arg) in NAMES.iter().zip(args).skip(1) {
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
        let parse = || -> crate::error::Result<Self> {
            Ok(Self {
                model: next().as_deref().map(Architecture::parse).transpose()?,
                weights: next().as_deref().map(WeightsSpec::parse).transpose()?,
                pooling: next().as_deref().map(Pooling::parse).transpose()?,
            })
        };
        let mut parse = parse;
        parse().map_err(|error| error.in_function(function))
    }

    /// Completes the constants from the settings and loads the model.
    fn featurizer(self, settings: &Settings) -> crate::error::Result<Featurizer> {
        let architecture = match self.model {
            Some(model) => model,
            None => Architecture::parse(&settings.model)?,
        };
        let weights = match self.weights {
            Some(weights) => weights,
            None => WeightsSpec::parse(&settings.weights)?,
        };
        let pooling = self
            .pooling
            .unwrap_or_else(|| architecture.default_pooling());
        let weights = weights.resolve(architecture, settings.weights_dir.as_deref())?;
        let device = DeviceKind::parse(&settings.device)?;
        let limits = Limits {
            max_pixels: settings.max_pixels,
        };
        let pool = ComputePool::shared(settings.threads)?;
        let model = Model::shared(architecture, &weights, device)?;
        Ok(Featurizer::new(model, pooling, limits, pool))
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
    let constants = Constants::from_values(function, &args.args)?;
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
            crate::error::Error::Decode(cause) => DataFusionError::Execution(format!(
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
