//! What `pca_fit` and `scaler_fit` make, and what they send from one machine to another.

pub(super) mod models;
pub(super) mod states;

use std::sync::Arc;

use arrow::array::{ArrayRef, ListArray};
use arrow::datatypes::{DataType, Field, FieldRef, Float32Type, Float64Type, Schema};
use datafusion::common::Result;
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{Accumulator, AggregateUDF};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Column, lit};
use datafusion::scalar::ScalarValue;

const ROWS: [[f64; 3]; 4] = [
    [1.0, 2.0, 0.5],
    [2.0, 1.0, 0.0],
    [4.0, 3.5, 1.0],
    [0.0, 1.0, 3.0],
];

/// Vectors of one precision or the other.
fn features(is_single: bool) -> ArrayRef {
    let rows = ROWS.iter();
    match is_single {
        true => {
            let rows = rows.map(|row| Some(row.iter().map(|v| Some(*v as f32))));
            Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(rows))
        }
        false => {
            let rows = rows.map(|row| Some(row.iter().map(|v| Some(*v))));
            Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>(rows))
        }
    }
}

/// An accumulator of `udaf(features, arguments…)`.
fn accumulator(
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
    let mut exprs: Vec<Arc<dyn PhysicalExpr>> = vec![Arc::new(Column::new("x", 0))];
    exprs.extend(arguments.iter().map(|argument| lit(argument.clone())));
    udaf.accumulator(AccumulatorArgs {
        return_field: udaf.return_field(&fields)?,
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

/// What `udaf` makes of the vectors.
fn fit(udaf: &AggregateUDF, is_single: bool, arguments: &[ScalarValue]) -> Vec<u8> {
    let features = features(is_single);
    let mut accumulator = accumulator(udaf, features.data_type(), arguments).unwrap();
    accumulator.update_batch(&[features]).unwrap();
    match accumulator.evaluate().unwrap() {
        ScalarValue::BinaryView(Some(bytes)) => bytes,
        other => panic!("not a model: {other}"),
    }
}
