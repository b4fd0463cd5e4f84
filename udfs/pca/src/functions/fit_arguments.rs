//! The arguments of `pca_fit` and `scaler_fit`.

use super::constant::Arguments;
use super::signature::example_features;
use crate::features;
use crate::options::{FitOptions, NComponents};
use crate::scaling::{Convention, Scaling};
use crate::settings;
use arrow::datatypes::DataType;
use datafusion_common::{Result, ScalarValue, internal_err, plan_datafusion_err, plan_err};
use datafusion_expr::function::AccumulatorArgs;

pub(crate) const NAME: &str = "pca_fit";

pub(crate) const ARGUMENTS: Arguments = Arguments {
    function: NAME,
    names: &[
        "features",
        "n_components",
        "scale",
        "convention",
        "memory_limit",
        "with_mean",
    ],
};

/// Argument types to list the function with: a count or a ratio, and all arguments or those needed.
pub(crate) fn examples() -> Vec<Vec<DataType>> {
    let all = |n_components: DataType| {
        vec![
            example_features(),
            n_components,
            DataType::Boolean,
            DataType::Utf8,
            DataType::Utf8,
            DataType::Boolean,
        ]
    };
    let usual = |n_components: DataType| vec![example_features(), n_components];
    vec![
        vec![example_features()],
        usual(DataType::Int64),
        usual(DataType::Float64),
        all(DataType::Int64),
        all(DataType::Float64),
    ]
}

/// What the two aggregate functions answer alike, out of their `NAME`, `ARGUMENTS` and signature.
macro_rules! methods {
    () => {
        fn name(&self) -> &str {
            NAME
        }

        fn signature(&self) -> &Signature {
            &self.signature
        }

        fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
            Ok(fit_arguments::coerce(NAME, arg_types))
        }

        fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
            fit_arguments::check(&ARGUMENTS, arg_types)?;
            Ok(DataType::BinaryView)
        }

        fn order_sensitivity(&self) -> AggregateOrderSensitivity {
            AggregateOrderSensitivity::Insensitive
        }

        fn documentation(&self) -> Option<&Documentation> {
            self.doc()
        }
    };
}
pub(crate) use methods;

/// The argument types after coercion; features that cannot be coerced keep their type. The others
/// keep theirs because they are constants, and 1 and 1.0 mean different things.
pub(crate) fn coerce(function: &str, arg_types: &[DataType]) -> Vec<DataType> {
    let mut coerced = arg_types.to_vec();
    if let Some(first) = coerced.first_mut()
        && let Ok(features) = features::coerce(function, "features", first)
    {
        *first = features;
    }
    coerced
}

/// Refuses arguments of wrong types.
pub(crate) fn check(arguments: &Arguments, arg_types: &[DataType]) -> Result<()> {
    let function = arguments.function;
    let constants = arguments.types(arg_types)?;
    if let Some(features) = arg_types.first() {
        features::coerce(function, "features", features)?;
    }
    for (name, found) in constants {
        let (fits, expected) = match name {
            "n_components" => (is_n_components(&found), "an integer or a ratio"),
            "convention" => (found.is_string(), "'scikit-learn' or 'spark'"),
            "memory_limit" => (found.is_integer() || found.is_string(), "a number of bytes"),
            _ => (found == DataType::Boolean, "true or false"),
        };
        if !fits && !found.is_null() {
            return plan_err!("{function}: {name} must be {expected}, got {found}");
        }
    }
    Ok(())
}

/// True for the types that [`n_components`] reads.
pub(crate) fn is_n_components(data_type: &DataType) -> bool {
    data_type.is_numeric()
}

/// Reads the constants of `pca_fit`.
pub(crate) fn options(args: &AccumulatorArgs) -> Result<FitOptions> {
    let mut options = FitOptions::new(NComponents::All);
    for (name, value) in ARGUMENTS.values(args)? {
        match name {
            "n_components" => options.n_components = n_components(NAME, &value)?,
            "memory_limit" => options.memory_limit = memory_limit(&value)?,
            _ => set_scaling(NAME, &mut options.scaling, name, &value)?,
        }
    }
    Ok(options)
}

/// Reads the constants of an aggregate that has only those of a scaler.
pub(crate) fn scaling(arguments: &Arguments, args: &AccumulatorArgs) -> Result<Scaling> {
    let mut scaling = Scaling::default();
    for (name, value) in arguments.values(args)? {
        set_scaling(arguments.function, &mut scaling, name, &value)?;
    }
    Ok(scaling)
}

fn set_scaling(
    function: &str,
    scaling: &mut Scaling,
    name: &str,
    value: &ScalarValue,
) -> Result<()> {
    match (name, value) {
        ("scale", ScalarValue::Boolean(Some(scale))) => scaling.scale = *scale,
        ("with_mean", ScalarValue::Boolean(Some(with_mean))) => {
            scaling.with_mean = Some(*with_mean);
        }
        ("convention", value) => {
            let name = value.try_as_str().flatten().unwrap_or_default();
            let convention = Convention::try_from_name(name);
            scaling.convention = convention.map_err(|e| e.in_function(function))?;
        }
        _ => return internal_err!("{function}: {name} = {value} passed the check of types"),
    }
    Ok(())
}

fn memory_limit(value: &ScalarValue) -> Result<usize> {
    settings::parse_bytes(&value.to_string()).ok_or_else(|| {
        plan_datafusion_err!(
            "{NAME}: memory_limit must be a number of bytes such as 1073741824, '512M' or '2G', got \
             {value}"
        )
    })
}

/// An integer of any width is a count; a float or a decimal is a ratio.
pub(crate) fn n_components(function: &str, value: &ScalarValue) -> Result<NComponents> {
    let number = |target: &DataType| {
        value.cast_to(target).map_err(|e| {
            plan_datafusion_err!("{function}: n_components = {value} cannot be used: {e}")
        })
    };
    let parsed = match number(if value.data_type().is_integer() {
        &DataType::Decimal128(38, 0)
    } else {
        &DataType::Float64
    })? {
        ScalarValue::Decimal128(Some(count), _, _) => NComponents::try_from_count(count),
        ScalarValue::Float64(Some(ratio)) => NComponents::try_from_ratio(ratio),
        other => return internal_err!("{function}: n_components became {other}"),
    };
    parsed.map_err(|e| e.in_function(function))
}
