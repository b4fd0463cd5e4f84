//! The functions of a model: NULLs, models that repeat, models of another width, accessors.

use crate::calls::{call, example, fit, floats, list, message, scalar_model};
use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, BinaryViewArray};
use arrow::datatypes::Float64Type;
use datafusion_common::ScalarValue;
use datafusion_expr::{ColumnarValue, ScalarUDF};
use datafusion_functions_pca::functions;
use std::sync::Arc;

#[test]
fn nulls_and_repeated_models() {
    let features = example();
    let first = fit(&features, 2_i64).unwrap();
    let second = fit(&features, 1_i64).unwrap();
    let whole = call(
        &functions::pca_transform(),
        vec![
            ColumnarValue::Array(Arc::clone(&features)),
            scalar_model(&first),
        ],
        5,
    );
    let whole = whole.unwrap().into_array(5).unwrap();
    assert_eq!(whole.null_count(), 1);
    assert!(whole.is_null(2));

    let values = [
        Some(&first[..]),
        Some(&second),
        Some(&first),
        None,
        Some(&first),
    ];
    let columns: [ArrayRef; 2] = [
        Arc::new(BinaryViewArray::from_iter(values)),
        Arc::new(BinaryArray::from_iter(values)),
    ];
    for column in columns {
        let args = vec![
            ColumnarValue::Array(Arc::clone(&features)),
            ColumnarValue::Array(column),
        ];
        let result = call(&functions::pca_transform(), args, 5)
            .unwrap()
            .into_array(5)
            .unwrap();
        let result = result.as_list::<i32>();
        assert_eq!((result.value_length(0), result.value_length(1)), (2, 1));
        assert!(result.is_null(2) && result.is_null(3) && result.is_valid(4));
        for row in [0, 4] {
            let expected = whole.as_list::<i32>().value(row);
            assert_eq!(&result.value(row), &expected);
        }
    }
}

#[test]
fn a_model_of_another_width_is_refused() {
    let model = fit(&example(), 1_i64).unwrap();
    let args = vec![
        ColumnarValue::Array(list(&[None, Some(vec![1.0, 2.0])])),
        scalar_model(&model),
    ];
    message(
        call(&functions::pca_transform(), args, 2),
        "Execution error: pca_transform: row 1 has 2 values, but the model was fitted on rows of 3: use features of the same network and pooling (counted from 0 within a batch)",
    );
    let args = vec![
        ColumnarValue::Array(example()),
        scalar_model(b"not a model at all"),
    ];
    let error = call(&functions::pca_transform(), args, 2)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("pca_transform: not a PCA model: 18 bytes"),
        "{error}"
    );
}

#[test]
fn accessors() {
    let features = example();
    let bytes = fit(&features, 2_i64).unwrap();
    let get =
        |function: Arc<ScalarUDF>| match call(&function, vec![scalar_model(&bytes)], 1).unwrap() {
            ColumnarValue::Scalar(value) => value,
            ColumnarValue::Array(_) => panic!("an array out of a scalar"),
        };
    assert_eq!(
        get(functions::pca_n_components()),
        ScalarValue::Int64(Some(2))
    );
    assert_eq!(get(functions::pca_n_samples()), ScalarValue::Int64(Some(4)));
    for (function, len) in [
        (functions::pca_mean(), 3),
        (functions::pca_scale(), 3),
        (functions::pca_explained_variance(), 2),
        (functions::pca_explained_variance_ratio(), 2),
        (functions::pca_components(), 2),
    ] {
        let array = get(Arc::clone(&function)).to_array().unwrap();
        assert_eq!(
            array.as_list::<i32>().value_length(0),
            len,
            "{}",
            function.name()
        );
        let null = ColumnarValue::Scalar(ScalarValue::BinaryView(None));
        let ColumnarValue::Scalar(null) = call(&function, vec![null], 1).unwrap() else {
            panic!("an array out of a scalar");
        };
        assert!(null.is_null());
    }
}

#[test]
fn scores_turn_back_into_features() {
    let model = fit(&example(), 3_i64).unwrap();
    let features = ColumnarValue::Array(example());
    let scores = call(
        &functions::pca_transform(),
        vec![features, scalar_model(&model)],
        5,
    )
    .unwrap();
    let back = call(
        &functions::pca_inverse_transform(),
        vec![scores.clone(), scalar_model(&model)],
        5,
    );
    let back = floats(back.unwrap(), 5);
    assert!(back.is_null(2));
    let values = |a: &ArrayRef| {
        a.as_list::<i32>()
            .values()
            .as_primitive::<Float64Type>()
            .values()
            .to_vec()
    };
    for (b, f) in values(&back).iter().zip(values(&example())) {
        assert!((b - f).abs() < 1e-12, "{b} {f}");
    }
    let error = call(
        &functions::pca_reconstruction_error(),
        vec![ColumnarValue::Array(example()), scalar_model(&model)],
        5,
    );
    let error = floats(error.unwrap(), 5);
    assert_eq!(error.null_count(), 1);
    assert!(
        error
            .as_primitive::<Float64Type>()
            .iter()
            .flatten()
            .all(|e| e < 1e-28)
    );
    message(
        call(
            &functions::pca_inverse_transform(),
            vec![
                ColumnarValue::Array(list(&[Some(vec![1.0])])),
                scalar_model(&model),
            ],
            1,
        ),
        "Execution error: pca_inverse_transform: row 0 has 1 values, but the model has 3 components (counted from 0 within a batch)",
    );
}

#[test]
fn info_has_a_row_per_component() {
    let model = fit(&example(), 2_i64).unwrap();
    let info = floats(
        call(&functions::pca_info(), vec![scalar_model(&model)], 1).unwrap(),
        1,
    );
    let rows = info.as_list::<i32>().value(0);
    let rows = rows.as_struct();
    assert_eq!(
        rows.column_names(),
        [
            "component",
            "eigenvalue",
            "ratio",
            "cumulative",
            "requested"
        ]
    );
    let ratio = rows.column(2).as_primitive::<Float64Type>().values();
    let cumulative = rows.column(3).as_primitive::<Float64Type>().values();
    assert_eq!(ratio.len(), 2);
    assert!((cumulative[1] - ratio[0] - ratio[1]).abs() < 1e-15);
}
