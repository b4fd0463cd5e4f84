//! `scaler_fit` and `scaler_transform`.

use crate::calls::{accumulator_of, call, example, floats, model, scalar_model, state};
use arrow::array::{Array, ArrayRef, AsArray, Float64Array, ListArray, UInt64Array};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Float64Type};
use datafusion_expr::ColumnarValue;
use datafusion_functions_pca::{Scaler, functions};
use std::sync::Arc;

#[test]
fn a_scaler_standardises() {
    let udaf = functions::scaler_fit_udaf();
    let accumulator = || accumulator_of(&udaf, example().data_type(), &[]).unwrap();
    let mut whole = accumulator();
    whole.update_batch(&[example()]).unwrap();
    let bytes = model(whole.evaluate().unwrap());

    let (mut left, mut right) = (accumulator(), accumulator());
    left.update_batch(&[example().slice(0, 2)]).unwrap();
    right.update_batch(&[example().slice(2, 3)]).unwrap();
    left.merge_batch(&state(right.as_mut())).unwrap();
    let merged = Scaler::decode(&model(left.evaluate().unwrap())).unwrap();
    let scaler = Scaler::decode(&bytes).unwrap();
    assert_eq!(merged.n_samples(), 4);
    for (a, b) in merged.scale().iter().zip(scaler.scale()) {
        assert!((a - b).abs() < 1e-14);
    }

    let args = vec![ColumnarValue::Array(example()), scalar_model(&bytes)];
    let z = floats(call(&functions::scaler_transform(), args, 5).unwrap(), 5);
    assert!(z.is_null(2));
    let z = z
        .as_list::<i32>()
        .values()
        .as_primitive::<Float64Type>()
        .values()
        .to_vec();
    for j in 0..3 {
        assert!(z.iter().skip(j).step_by(3).sum::<f64>().abs() < 1e-14);
    }
    let args = vec![ColumnarValue::Array(example()), scalar_model(b"?")];
    let error = call(&functions::scaler_transform(), args, 5)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("scaler_transform: not a scaler: 1 bytes"),
        "{error}"
    );
}

/// A partial aggregate: rows, NULL rows, and lists of so many numbers.
fn partial(rows: u64, nulls: u64, lengths: [usize; 3]) -> Vec<ArrayRef> {
    let count = |n| -> ArrayRef { Arc::new(UInt64Array::from(vec![n])) };
    let list = |length: usize| -> ArrayRef {
        let item = Arc::new(Field::new_list_field(DataType::Float64, true));
        let offsets = OffsetBuffer::from_lengths([length]);
        let values = Arc::new(Float64Array::from(vec![1.0; length]));
        Arc::new(ListArray::new(item, offsets, values, None))
    };
    let lists = lengths.map(list);
    [count(rows), count(nulls)]
        .into_iter()
        .chain(lists)
        .collect()
}

/// What is said of a partial aggregate after some rows.
fn refusal(partial: &[ArrayRef]) -> String {
    let udaf = functions::scaler_fit_udaf();
    let mut accumulator = accumulator_of(&udaf, example().data_type(), &[]).unwrap();
    accumulator.update_batch(&[example()]).unwrap();
    accumulator.merge_batch(partial).unwrap_err().to_string()
}

/// Found by fuzzing: the counts of two were added without a check.
#[test]
fn partial_aggregates_cannot_count_more_rows_than_there_are_numbers() {
    for (rows, nulls) in [(u64::MAX, 0), (u64::MAX / 2, 1), (3, u64::MAX)] {
        let error = refusal(&partial(rows, nulls, [3, 3, 3]));
        let expected = "scaler_fit: cannot read a partial aggregate: it and another count";
        assert!(error.contains(expected), "{error}");
    }
}

/// A list that is too short was taken for columns that do not vary.
#[test]
fn partial_aggregates_have_lists_of_one_length() {
    for lengths in [[3, 2, 3], [3, 3, 2], [2, 3, 3], [0, 3, 3]] {
        let error = refusal(&partial(4, 0, lengths));
        assert!(error.contains("numbers instead of equally many"), "{error}");
    }
}
