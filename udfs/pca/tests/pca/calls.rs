//! The functions called as DataFusion calls them.

use arrow::array::{Array, ArrayRef, ListArray};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type, Schema};
use datafusion_common::config::ConfigOptions;
use datafusion_common::{Result, ScalarValue};
use datafusion_expr::function::AccumulatorArgs;
use datafusion_expr::{
    Accumulator, AggregateUDF, ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
};
use datafusion_functions_pca::functions;
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::expressions::{self, Column};
use std::sync::Arc;

/// An accumulator of `pca_fit(features, arguments…)`, with the argument types coerced.
pub(crate) fn accumulator(
    features: &DataType,
    arguments: &[ScalarValue],
) -> Result<Box<dyn Accumulator>> {
    accumulator_of(&functions::pca_fit_udaf(), features, arguments)
}

/// An accumulator of `udaf(features, arguments…)`, with the argument types coerced.
pub(crate) fn accumulator_of(
    udaf: &AggregateUDF,
    features: &DataType,
    arguments: &[ScalarValue],
) -> Result<Box<dyn Accumulator>> {
    let mut types = vec![features.clone()];
    types.extend(arguments.iter().map(ScalarValue::data_type));
    let types = udaf.coerce_types(&types)?;
    let fields: Vec<FieldRef> = types
        .iter()
        .map(|t| Arc::new(Field::new("x", t.clone(), true)))
        .collect();
    let return_field = udaf.return_field(&fields)?;
    let mut exprs: Vec<Arc<dyn PhysicalExpr>> = vec![Arc::new(Column::new("features", 0))];
    exprs.extend(arguments.iter().map(|a| expressions::lit(a.clone())));
    udaf.accumulator(AccumulatorArgs {
        return_field,
        schema: &Schema::new(vec![Arc::clone(&fields[0])]),
        ignore_nulls: false,
        order_bys: &[],
        is_reversed: false,
        name: udaf.name(),
        is_distinct: false,
        exprs: &exprs,
        expr_fields: &fields,
    })
}

pub(crate) fn list(rows: &[Option<Vec<f64>>]) -> ArrayRef {
    let rows = rows
        .iter()
        .map(|r| r.as_ref().map(|r| r.iter().map(|v| Some(*v))));
    Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>(rows))
}

pub(crate) fn model(value: ScalarValue) -> Vec<u8> {
    match value {
        ScalarValue::BinaryView(Some(bytes)) => bytes,
        other => panic!("not a model: {other}"),
    }
}

pub(crate) fn fit(features: &ArrayRef, n_components: impl Into<ScalarValue>) -> Result<Vec<u8>> {
    let mut accumulator = accumulator(features.data_type(), &[n_components.into()])?;
    accumulator.update_batch(&[Arc::clone(features)])?;
    accumulator.evaluate().map(model)
}

pub(crate) fn example() -> ArrayRef {
    list(&[
        Some(vec![1.0, 2.0, 0.5]),
        Some(vec![2.0, 1.0, 0.0]),
        None,
        Some(vec![4.0, 3.5, 1.0]),
        Some(vec![0.0, 1.0, 3.0]),
    ])
}

pub(crate) fn call(
    function: &Arc<ScalarUDF>,
    args: Vec<ColumnarValue>,
    rows: usize,
) -> Result<ColumnarValue> {
    let fields: Vec<FieldRef> = args
        .iter()
        .map(|a| Arc::new(Field::new("x", a.data_type(), true)))
        .collect();
    let scalars: Vec<Option<&ScalarValue>> = args
        .iter()
        .map(|a| match a {
            ColumnarValue::Scalar(value) => Some(value),
            ColumnarValue::Array(_) => None,
        })
        .collect();
    let return_field = function.return_field_from_args(ReturnFieldArgs {
        arg_fields: &fields,
        scalar_arguments: &scalars,
    })?;
    function.invoke_with_args(ScalarFunctionArgs {
        args,
        arg_fields: fields,
        number_rows: rows,
        return_field,
        config_options: Arc::new(ConfigOptions::default()),
    })
}

pub(crate) fn scalar_model(bytes: &[u8]) -> ColumnarValue {
    ColumnarValue::Scalar(ScalarValue::BinaryView(Some(bytes.to_vec())))
}

#[track_caller]
pub(crate) fn message<T>(result: Result<T>, expected: &str) {
    let Err(error) = result else {
        panic!("no error, expected: {expected}");
    };
    assert_eq!(error.strip_backtrace(), expected);
}

pub(crate) fn floats(value: ColumnarValue, rows: usize) -> ArrayRef {
    value.into_array(rows).unwrap()
}

/// What one accumulator sends to another.
pub(crate) fn state(accumulator: &mut dyn Accumulator) -> Vec<ArrayRef> {
    let state = accumulator.state().unwrap();
    state.iter().map(|s| s.to_array().unwrap()).collect()
}
