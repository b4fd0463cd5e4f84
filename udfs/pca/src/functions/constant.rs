//! Constant arguments of aggregate functions: by position, and any of them in a struct at the end.
//!
//! DataFusion's named arguments leave no gaps, so that `f(x, b => 2)` is an error where an `a` comes
//! before `b`; `f(x, {b: 2})` is how it is said here.

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema};
use datafusion_common::{Result, ScalarValue, internal_err, plan_err};
use datafusion_expr::ColumnarValue;
use datafusion_expr::function::AccumulatorArgs;
use std::sync::Arc;

/// The arguments of an aggregate function, of which the first is a column and all others are constants
/// that may be left out.
pub(crate) struct Arguments {
    pub(crate) function: &'static str,
    /// All, in order.
    pub(crate) names: &'static [&'static str],
}

impl Arguments {
    /// Names and types of the constants that are given.
    pub(crate) fn types(&self, arg_types: &[DataType]) -> Result<Vec<(&'static str, DataType)>> {
        let [_, constants @ ..] = arg_types else {
            return self.arity(arg_types.len());
        };
        if arg_types.len() > self.names.len() {
            return self.arity(arg_types.len());
        }
        self.named(constants.to_vec(), |last| match last {
            DataType::Struct(fields) => Ok(fields
                .iter()
                .map(|field| (field.name().clone(), field.data_type().clone()))
                .collect()),
            other => Err(other),
        })
    }

    /// Names and values of the constants that are given and not NULL.
    pub(crate) fn values(
        &self,
        args: &AccumulatorArgs,
    ) -> Result<Vec<(&'static str, ScalarValue)>> {
        if args.is_distinct {
            return plan_err!(
                "{} does not support DISTINCT: select the distinct rows in a subquery",
                self.function
            );
        }
        let given = (1..args.exprs.len()).map(|index| self.constant(args, index));
        let mut named = self.named(given.collect::<Result<_>>()?, fields)?;
        named.retain(|(_, value)| !value.is_null());
        Ok(named)
    }

    /// Names of the values of the constants. `fields` takes a struct at the end apart, or gives back what
    /// is none.
    pub(crate) fn named<V>(
        &self,
        mut values: Vec<V>,
        fields: impl FnOnce(V) -> Result<Vec<(String, V)>, V>,
    ) -> Result<Vec<(&'static str, V)>> {
        let constants = self.names.get(1..).unwrap_or_default();
        let last = values.pop().map(fields);
        let mut named: Vec<_> = constants.iter().copied().zip(values).collect();
        match last {
            None => {}
            Some(Err(value)) => named.extend(constants.get(named.len()).map(|name| (*name, value))),
            Some(Ok(options)) => {
                for (option, value) in options {
                    let name = self.known(&option)?;
                    if named.iter().any(|(given, _)| *given == name) {
                        return plan_err!("{}: {name} is given twice", self.function);
                    }
                    named.push((name, value));
                }
            }
        }
        Ok(named)
    }

    fn known(&self, option: &str) -> Result<&'static str> {
        let constants = self.names.get(1..).unwrap_or_default();
        match constants.iter().find(|name| **name == option) {
            Some(name) => Ok(name),
            None => plan_err!(
                "{}: there is no option '{option}'; the options are {}",
                self.function,
                constants.join(", ")
            ),
        }
    }

    /// Value of an argument that must not refer to columns.
    fn constant(&self, args: &AccumulatorArgs, index: usize) -> Result<ScalarValue> {
        let (Some(expr), Some(name)) = (args.exprs.get(index), self.names.get(index)) else {
            return internal_err!("{} without argument {index}", self.function);
        };
        // A constant evaluates without rows, and to a scalar; anything else refers to columns.
        match expr.evaluate(&RecordBatch::new_empty(Arc::new(Schema::empty()))) {
            Ok(ColumnarValue::Scalar(value)) => Ok(value),
            _ => plan_err!("{}: {name} must be a constant, got {expr}", self.function),
        }
    }

    fn arity<T>(&self, found: usize) -> Result<T> {
        let most = self.names.len();
        let close = "]".repeat(most.saturating_sub(1));
        plan_err!(
            "{} takes 1 to {most} arguments ({}{close}), got {found}; the last may be a struct of options, \
             as {{convention: 'spark'}}",
            self.function,
            self.names.join(" [, ")
        )
    }
}

/// The fields of a struct, or the value itself if it is none.
pub(crate) fn fields(value: ScalarValue) -> Result<Vec<(String, ScalarValue)>, ScalarValue> {
    let ScalarValue::Struct(array) = &value else {
        return Err(value);
    };
    let names = array.fields().iter().map(|field| field.name().clone());
    let values: Result<Vec<_>> = array
        .columns()
        .iter()
        .map(|column| ScalarValue::try_from_array(column, 0))
        .collect();
    match values {
        Ok(values) => Ok(names.zip(values).collect()),
        Err(_) => Err(value),
    }
}
