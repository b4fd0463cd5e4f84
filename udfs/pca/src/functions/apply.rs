//! What the functions `f(rows, model)` have in common: each row meets its model, rows of the same
//! model go through it together.

use super::models::{self, Models};
use super::udf::Function;
use crate::error::{Counted, PcaError};
use crate::features::{self, Features, Precision};
use crate::model::transform::BLOCK_ROWS;
use crate::value::Value;
use arrow::array::{Array, ArrayRef, Float64Array, ListArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field};
use datafusion_common::utils::take_function_args;
use datafusion_common::{Result, exec_datafusion_err};
use datafusion_expr::{ColumnarValue, ScalarFunctionArgs};
use std::sync::Arc;

/// A function of rows and a model.
pub(crate) trait Operation: Function {
    /// The error for a row of another width.
    const WRONG_WIDTH: WrongWidth = |row, expected, found| PcaError::ModelWidth {
        row,
        expected,
        found,
    };

    /// Values that a row has.
    fn width(model: &Self::Model) -> usize;

    /// Numbers that a row gives.
    fn outputs(model: &Self::Model) -> usize;

    /// Appends the numbers of each row.
    fn apply<'a, T: Value>(
        model: &Self::Model,
        rows: impl IntoIterator<Item = &'a [T]>,
        outputs: &mut Vec<f64>,
    );
}

/// Makes an error of a row's number, the width expected, and the width found.
pub(crate) type WrongWidth = fn(u64, usize, usize) -> PcaError;

/// Evaluates an operation that gives a list for each row.
pub(crate) fn invoke_lists<O: Operation>(args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    invoke::<O>(args, |outputs| {
        if i32::try_from(outputs.values.len()).is_err() {
            return Err(exec_datafusion_err!(
                "{}: {} rows give {} numbers, more than one list column can hold; \
                 lower datafusion.execution.batch_size",
                O::NAME,
                outputs.lengths.len(),
                outputs.values.len()
            ));
        }
        Ok(Arc::new(ListArray::try_new(
            Arc::new(Field::new_list_field(DataType::Float64, true)),
            OffsetBuffer::from_lengths(outputs.lengths),
            Arc::new(Float64Array::from(outputs.values)),
            Some(NullBuffer::from(outputs.valid)),
        )?))
    })
}

/// Evaluates an operation that gives one number for each row.
pub(crate) fn invoke_numbers<O: Operation>(args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    invoke::<O>(args, |outputs| {
        let mut values = outputs.values.into_iter();
        let numbers = outputs
            .valid
            .iter()
            .map(|valid| valid.then(|| values.next()).flatten());
        Ok(Arc::new(numbers.collect::<Float64Array>()))
    })
}

fn invoke<O: Operation>(
    args: &ScalarFunctionArgs,
    build: impl FnOnce(Outputs) -> Result<ArrayRef>,
) -> Result<ColumnarValue> {
    let [rows, model] = take_function_args(O::NAME, &args.args)?;
    let decoded = Models::<O::Model>::try_new(O::NAME, model)?;
    let (rows, constant) = match rows {
        ColumnarValue::Array(array) => (Arc::clone(array), false),
        // One row stands for all: repeating a wide one would take gigabytes.
        ColumnarValue::Scalar(value) => (value.to_array()?, true),
    };
    let all_scalar = constant && matches!(model, ColumnarValue::Scalar(_));
    let len = if all_scalar { 1 } else { args.number_rows };
    let outputs = match features::precision(rows.data_type())? {
        Precision::Single => outputs::<O, f32>(&rows, constant, &decoded, len),
        Precision::Double => outputs::<O, f64>(&rows, constant, &decoded, len),
    }?;
    models::result(build(outputs)?, all_scalar)
}

/// Numbers of all rows, one after the other; a row that is not valid has none.
struct Outputs {
    values: Vec<f64>,
    lengths: Vec<usize>,
    valid: Vec<bool>,
}

/// With `constant`, the first of the rows stands for all `len` of them.
fn outputs<O: Operation, T: Value>(
    rows: &ArrayRef,
    constant: bool,
    models: &Models<O::Model>,
    len: usize,
) -> Result<Outputs> {
    let rows = Features::<T>::try_new(rows)?;
    // Rows by model, and where the numbers of each row go.
    let mut by_model: Vec<Vec<(usize, &[T])>> = models.distinct().map(|_| vec![]).collect();
    let mut valid = Vec::with_capacity(len);
    let mut lengths = Vec::with_capacity(len);
    let mut total = 0_usize;
    for i in 0..len {
        let number = i as u64;
        let row = rows
            .row(if constant { 0 } else { i }, number)
            .map_err(|e| e.in_rows(O::NAME, Counted::InBatch))?;
        let model = models
            .get(i)
            .zip(models.index(i).and_then(|m| by_model.get_mut(m)));
        let (Some(row), Some((model, bucket))) = (row, model) else {
            valid.push(false);
            lengths.push(0);
            continue;
        };
        let expected = O::width(model);
        if row.len() != expected {
            let error = O::WRONG_WIDTH(number, expected, row.len());
            return Err(error.in_rows(O::NAME, Counted::InBatch));
        }
        bucket.push((total, row));
        valid.push(true);
        lengths.push(O::outputs(model));
        total += O::outputs(model);
    }

    let mut values = vec![0.0; total];
    let mut block_values = vec![];
    for ((_, model), rows) in models.distinct().zip(&by_model) {
        let outputs = O::outputs(model);
        for block in rows.chunks(BLOCK_ROWS) {
            block_values.clear();
            O::apply(model, block.iter().map(|(_, row)| *row), &mut block_values);
            for ((start, _), source) in block.iter().zip(block_values.chunks_exact(outputs)) {
                if let Some(target) = values.get_mut(*start..start + outputs) {
                    target.copy_from_slice(source);
                }
            }
        }
    }
    Ok(Outputs {
        values,
        lengths,
        valid,
    })
}
