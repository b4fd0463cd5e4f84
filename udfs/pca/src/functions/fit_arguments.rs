//! The arguments of `pca_fit`.

use super::constant::constant;
use super::signature::example_features;
use crate::features;
use crate::options::{Convention, FitOptions, NComponents};
use crate::settings;
use arrow::datatypes::DataType;
use datafusion_common::{Result, ScalarValue, internal_err, plan_datafusion_err, plan_err};
use datafusion_expr::function::AccumulatorArgs;

pub(crate) const NAME: &str = "pca_fit";

pub(crate) const ARGUMENTS: [&str; 5] = [
    "features",
    "n_components",
    "scale",
    "convention",
    "memory_limit",
];

/// Argument types to list the function with: a count or a ratio, and all arguments or those needed.
pub(crate) fn examples() -> Vec<Vec<DataType>> {
    let all = |n_components: DataType| {
        vec![
            example_features(),
            n_components,
            DataType::Boolean,
            DataType::Utf8,
            DataType::Utf8,
        ]
    };
    let needed = |n_components: DataType| vec![example_features(), n_components];
    vec![
        needed(DataType::Int64),
        needed(DataType::Float64),
        all(DataType::Int64),
        all(DataType::Float64),
    ]
}

/// The argument types after coercion; features that cannot be coerced keep their type. The others
/// keep theirs because they are constants, and 1 and 1.0 mean different things.
pub(crate) fn coerce(arg_types: &[DataType]) -> Vec<DataType> {
    let mut coerced = arg_types.to_vec();
    if let Some(first) = coerced.first_mut()
        && let Ok(features) = features::coerce(NAME, "features", first)
    {
        *first = features;
    }
    coerced
}

/// Refuses arguments of wrong types.
pub(crate) fn check(arg_types: &[DataType]) -> Result<()> {
    let [features, n_components, options @ ..] = arg_types else {
        return arity(arg_types.len());
    };
    if options.len() > ARGUMENTS.len() - 2 {
        return arity(arg_types.len());
    }
    features::coerce(NAME, "features", features)?;
    if !n_components.is_numeric() && !n_components.is_null() {
        return plan_err!("{NAME}: n_components must be an integer or a ratio, got {n_components}");
    }
    for (option, name) in options.iter().zip(&ARGUMENTS[2..]) {
        let (fits, expected) = match *name {
            "scale" => (*option == DataType::Boolean, "true or false"),
            "convention" => (option.is_string(), "'scikit-learn' or 'spark'"),
            _ => (
                option.is_integer() || option.is_string(),
                "a number of bytes",
            ),
        };
        if !fits && !option.is_null() {
            return plan_err!("{NAME}: {name} must be {expected}, got {option}");
        }
    }
    Ok(())
}

fn arity<T>(found: usize) -> Result<T> {
    plan_err!(
        "{NAME} takes 2 to 5 arguments (features, n_components [, scale [, convention \
         [, memory_limit]]]), got {found}"
    )
}

/// Reads the constant arguments.
pub(crate) fn options(args: &AccumulatorArgs) -> Result<FitOptions> {
    let n_components = n_components(&constant(NAME, args, 1, "n_components")?)?;
    let mut options = FitOptions::new(n_components);
    for (index, name) in ARGUMENTS.iter().enumerate().take(args.exprs.len()).skip(2) {
        let value = constant(NAME, args, index, name)?;
        options = match (*name, value) {
            (_, value) if value.is_null() => options,
            ("scale", ScalarValue::Boolean(Some(scale))) => options.with_scale(scale),
            ("convention", value) if text(&value).is_some() => {
                let convention = Convention::try_from_name(text(&value).unwrap_or_default());
                options.with_convention(convention.map_err(|e| e.in_function(NAME))?)
            }
            ("memory_limit", value) => match settings::parse_bytes(&value.to_string()) {
                Some(bytes) => options.with_memory_limit(bytes),
                None => {
                    return plan_err!(
                        "{NAME}: memory_limit must be a number of bytes such as 1073741824, \
                         '512M' or '2G', got {value}"
                    );
                }
            },
            ("scale", value) => {
                return plan_err!("{NAME}: scale must be true or false, got {value}");
            }
            (_, value) => {
                return plan_err!(
                    "{NAME}: convention must be 'scikit-learn' or 'spark', got {value}"
                );
            }
        };
    }
    Ok(options)
}

fn text(value: &ScalarValue) -> Option<&str> {
    value.try_as_str().flatten()
}

/// An integer of any width is a count; a float or a decimal is a ratio.
fn n_components(value: &ScalarValue) -> Result<NComponents> {
    if value.is_null() {
        return plan_err!(
            "{NAME}: n_components must be an integer or a ratio strictly between 0 and 1, got NULL"
        );
    }
    let data_type = value.data_type();
    let number = |target: &DataType| {
        value
            .cast_to(target)
            .map_err(|e| plan_datafusion_err!("{NAME}: n_components = {value} cannot be used: {e}"))
    };
    let parsed = match number(if data_type.is_integer() {
        &DataType::Decimal128(38, 0)
    } else {
        &DataType::Float64
    })? {
        ScalarValue::Decimal128(Some(count), _, _) => NComponents::try_from_count(count),
        ScalarValue::Float64(Some(ratio)) => NComponents::try_from_ratio(ratio),
        other => return internal_err!("{NAME}: n_components became {other}"),
    };
    parsed.map_err(|e| e.in_function(NAME))
}
