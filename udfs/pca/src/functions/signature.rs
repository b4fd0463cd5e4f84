//! Signatures that `SHOW FUNCTIONS` can list.
//!
//! DataFusion lists a function once for each combination of types that its signature enumerates, and
//! a user-defined signature enumerates none. The signatures here are user-defined, *or* exactly one of
//! some examples. DataFusion takes the first alternative that fits and drops the errors of those
//! before it, so that a `coerce_types` which failed would only make it try to cast to an example.
//! Hence the rule of this crate: `coerce_types` lets an argument of a wrong type through unchanged,
//! and the return type refuses it, with an error that says what is wrong.

use crate::features;
use crate::model::cache::Stored;
use arrow::datatypes::DataType;
use datafusion_common::{Result, plan_err};
use datafusion_expr::{Signature, TypeSignature, Volatility};

/// A signature that leaves the types to `coerce_types`, lets arguments be named, and is listed with
/// these examples of argument types.
pub(crate) fn listed(names: &[&str], examples: Vec<Vec<DataType>>) -> Signature {
    let examples = examples.into_iter().map(TypeSignature::Exact);
    let alternatives = std::iter::once(TypeSignature::UserDefined).chain(examples);
    Signature {
        type_signature: TypeSignature::OneOf(alternatives.collect()),
        volatility: Volatility::Immutable,
        parameter_names: Some(names.iter().map(ToString::to_string).collect()),
    }
}

/// What features are listed as. Casting any other list of numbers to it loses nothing.
pub(crate) fn example_features() -> DataType {
    DataType::new_list(DataType::Float64, true)
}

/// Type that a model argument is coerced to.
pub(crate) fn coerce_model<M: Stored>(function: &str, data_type: &DataType) -> Result<DataType> {
    match data_type {
        DataType::BinaryView | DataType::Binary | DataType::LargeBinary => Ok(data_type.clone()),
        DataType::Null => Ok(DataType::BinaryView),
        t => plan_err!(
            "{function}: model must be the binary value that {} returns, got {t}",
            M::MADE_BY
        ),
    }
}

/// Types of `([rows,] model)` after coercion; arguments that cannot be coerced keep theirs.
pub(crate) fn coerce_model_call<M: Stored>(
    function: &str,
    rows: Option<&str>,
    arg_types: &[DataType],
) -> Vec<DataType> {
    let model = |t: &DataType| coerce_model::<M>(function, t).unwrap_or_else(|_| t.clone());
    match (rows, arg_types) {
        (None, [m]) => vec![model(m)],
        (Some(name), [r, m]) => vec![
            features::coerce(function, name, r).unwrap_or_else(|_| r.clone()),
            model(m),
        ],
        _ => arg_types.to_vec(),
    }
}

/// Refuses calls whose arguments are not `([rows,] model)`.
pub(crate) fn check_model_call<M: Stored>(
    function: &str,
    rows: Option<&str>,
    arg_types: &[DataType],
) -> Result<()> {
    match (rows, arg_types) {
        (None, [model]) => coerce_model::<M>(function, model).map(|_| ()),
        (Some(name), [rows, model]) => {
            features::coerce(function, name, rows)?;
            coerce_model::<M>(function, model).map(|_| ())
        }
        (None, _) => plan_err!(
            "{function} takes 1 argument (model), got {}",
            arg_types.len()
        ),
        (Some(name), _) => plan_err!(
            "{function} takes 2 arguments ({name}, model), got {}",
            arg_types.len()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_are_enumerated() {
        let example = vec![example_features(), DataType::Int64];
        let signature = listed(&["features", "n"], vec![example.clone()]);
        assert_eq!(signature.type_signature.get_example_types(), [example]);
    }
}
