//! `scaler_fit` and `scaler_transform`.

use crate::calls::{accumulator_of, call, example, floats, model, scalar_model, state};
use arrow::array::{Array, AsArray};
use arrow::datatypes::Float64Type;
use datafusion_expr::ColumnarValue;
use datafusion_functions_pca::{Scaler, functions};

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
