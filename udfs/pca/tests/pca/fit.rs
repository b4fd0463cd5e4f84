//! `pca_fit`: argument checks, wording of errors, NULLs, layouts.

use crate::calls::{accumulator, call, example, fit, list, message, model, scalar_model};
use arrow::array::{
    Array, ArrayRef, BinaryViewArray, FixedSizeListArray, LargeListArray, ListArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Float32Type, Float64Type};
use datafusion_common::ScalarValue;
use datafusion_common::config::ConfigOptions;
use datafusion_expr::function::StateFieldsArgs;
use datafusion_expr::simplify::SimplifyContext;
use datafusion_expr::{ColumnarValue, Expr, col, lit};
use datafusion_functions_pca::{FitOptions, NComponents, PcaFitter, fits_running, functions};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn errors_of_the_arguments() {
    let of =
        |value: ScalarValue| accumulator(&DataType::new_list(DataType::Float64, true), &[value]);
    message(
        of(ScalarValue::Int64(Some(0))),
        "Error during planning: pca_fit: n_components must be an integer of at least 1 or a ratio strictly between 0 and 1, got 0",
    );
    message(
        of(ScalarValue::Float64(Some(1.0))),
        "Error during planning: pca_fit: n_components as a float is a ratio of the variance and must be strictly between 0 and 1, got 1.0: write 1 for one component; leave n_components out, or NULL, for all of them",
    );
    assert!(of(ScalarValue::Float64(None)).is_ok());
    message(
        of(ScalarValue::from("ten")),
        "Error during planning: pca_fit: n_components must be an integer or a ratio, got Utf8",
    );
    message(
        accumulator(&DataType::Float64, &[ScalarValue::from(1)]),
        "Error during planning: pca_fit: features must be a list of numbers, got Float64",
    );
    let list = DataType::new_list(DataType::Float64, true);
    message(
        accumulator(&list, &[ScalarValue::from(1), ScalarValue::from("yes")]),
        "Error during planning: pca_fit: scale must be true or false, got Utf8",
    );
    message(
        accumulator(&list, &vec![ScalarValue::Null; 6]),
        "Error during planning: pca_fit takes 1 to 6 arguments (features [, n_components [, scale [, convention [, memory_limit [, with_mean]]]]]), got 7; the last may be a struct of options, as {convention: 'spark'}",
    );
}

#[test]
fn integers_of_any_width_and_decimals_are_accepted() {
    let counts = [
        ScalarValue::Int8(Some(2)),
        ScalarValue::UInt16(Some(2)),
        ScalarValue::Int32(Some(2)),
        ScalarValue::UInt64(Some(2)),
    ];
    let expected = fit(&example(), 2_i64).unwrap();
    for count in counts {
        assert_eq!(fit(&example(), count).unwrap(), expected);
    }
    let ratio = fit(&example(), 0.9).unwrap();
    assert_eq!(
        fit(&example(), ScalarValue::Decimal128(Some(9), 1, 1)).unwrap(),
        ratio
    );
}

#[test]
fn errors_of_the_rows() {
    let fit = |rows: &[Option<Vec<f64>>], k: i64| fit(&list(rows), k);
    let good = Some(vec![1.0, 2.0]);
    message(
        fit(&[good.clone(), None, Some(vec![1.0])], 1),
        "Execution error: pca_fit: row 2 has 1 values, but the rows before it have 2: all rows must have the same number (counted from 0 among the rows of the same group and partition)",
    );
    message(
        fit(&[good.clone(), Some(vec![1.0, f64::NAN])], 1),
        "Execution error: pca_fit: row 1 has NaN at index 1: only finite numbers can be analysed; filter the row out or replace the value (counted from 0 among the rows of the same group and partition)",
    );
    message(
        fit(&[Some(vec![f64::NEG_INFINITY, 1.0])], 1),
        "Execution error: pca_fit: row 0 has -inf at index 0: only finite numbers can be analysed; filter the row out or replace the value (counted from 0 among the rows of the same group and partition)",
    );
    message(
        fit(&[Some(vec![])], 1),
        "Execution error: pca_fit: row 0 has no values: every row needs at least one (counted from 0 among the rows of the same group and partition)",
    );
    message(
        fit(&[good.clone(), None], 1),
        "Execution error: pca_fit: needs at least 2 rows to estimate a variance, got 1 (1 NULL rows ignored)",
    );
    message(
        fit(&[good.clone(), good.clone(), good], 3),
        "Execution error: pca_fit: n_components = 3 is more than 2, the most that 3 rows of 2 values can give",
    );
    let with_null: ArrayRef =
        Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>([Some(
            vec![Some(1.0), None],
        )]));
    message(
        crate::calls::fit(&with_null, 1),
        "Execution error: pca_fit: row 0 has a NULL at index 1: replace it by a number, or make the whole row NULL to have it ignored (counted from 0 among the rows of the same group and partition)",
    );
    message(
        crate::calls::fit(&list(&[Some(vec![3.0]), Some(vec![3.0])]), 0.5),
        "Execution error: pca_fit: the variance of all 1 columns is zero, so no number of components explains a ratio of it: give an integer n_components, or check the features",
    );
    message(
        fit(&[Some(vec![1e200]), Some(vec![-1e200])], 1),
        "Execution error: pca_fit: the variance of column 0 is not a finite number: its values are too large to be squared; divide them first",
    );
}

#[test]
fn all_list_layouts_give_the_same_model() {
    let rows = [[1.0_f32, 2.0], [2.0, 1.0], [4.0, 3.5]];
    let options = || {
        rows.iter()
            .map(|r| Some(r.iter().map(|v| Some(*v)).collect::<Vec<_>>()))
    };
    let list: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(
        options(),
    ));
    let large: ArrayRef = Arc::new(LargeListArray::from_iter_primitive::<Float32Type, _, _>(
        options(),
    ));
    let fixed: ArrayRef =
        Arc::new(FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(options(), 2));
    let expected = fit(&list, 1_i64).unwrap();
    for features in [large, fixed] {
        let model = fit(&features, 1_i64).unwrap();
        assert_eq!(model, expected);
        let scores = |f: &ArrayRef| {
            let args = vec![ColumnarValue::Array(Arc::clone(f)), scalar_model(&model)];
            call(&functions::pca_transform(), args, 3)
                .unwrap()
                .into_array(3)
                .unwrap()
        };
        assert_eq!(&scores(&features), &scores(&list));
    }
}

#[test]
fn conventions_and_memory_limits() {
    let features = example();
    let fit = |arguments: &[ScalarValue]| {
        let mut accumulator = accumulator(features.data_type(), arguments)?;
        accumulator.update_batch(&[Arc::clone(&features)])?;
        accumulator.evaluate().map(model)
    };
    let options = |convention: &str, limit: ScalarValue| {
        let convention = ScalarValue::from(convention);
        fit(&[2_i64.into(), true.into(), convention, limit])
    };
    let default = fit(&[ScalarValue::from(2_i64)]).unwrap();
    assert_eq!(options("scikit-learn", "1G".into()).unwrap(), default);
    assert_ne!(options("spark", 1_000_000_i64.into()).unwrap(), default);
    message(
        options("R", 1_000_i64.into()),
        "Error during planning: pca_fit: convention must be 'scikit-learn' or 'spark', got 'R'",
    );
    message(
        options("spark", "lots".into()),
        "Error during planning: pca_fit: memory_limit must be a number of bytes such as 1073741824, '512M' or '2G', got lots",
    );
    let error = options("spark", 50_i64.into())
        .unwrap_err()
        .strip_backtrace();
    assert!(error.contains("more than the 50 bytes allowed"), "{error}");
}

#[test]
fn a_session_setting_becomes_an_argument() {
    use datafusion_common::extensions_options;
    extensions_options! {
        struct Featurize {
            pca_memory_limit: String, default = "64M".to_string()
        }
    }
    impl datafusion_common::config::ConfigExtension for Featurize {
        const PREFIX: &'static str = "featurize";
    }
    let mut options = ConfigOptions::default();
    options.extensions.insert(Featurize::default());
    let context = SimplifyContext::builder()
        .with_config_options(Arc::new(options))
        .build();
    let simplify = functions::pca_fit_udaf().simplify().unwrap();
    let call = |args| match datafusion_functions_pca::expr_fn::pca_fit(args) {
        Expr::AggregateFunction(function) => simplify(function, &context).unwrap().to_string(),
        other => panic!("{other}"),
    };
    assert_eq!(
        call(vec![col("x"), lit(3)]),
        "pca_fit(x, Int32(3), Boolean(true), Utf8(\"scikit-learn\"), UInt64(67108864))"
    );
    let all = vec![col("x"), lit(3), lit(true), lit("spark"), lit("2G")];
    assert_eq!(
        call(all),
        "pca_fit(x, Int32(3), Boolean(true), Utf8(\"spark\"), Utf8(\"2G\"))"
    );
}

#[test]
fn state_fields_are_what_the_accumulator_emits() {
    let udaf = functions::pca_fit_udaf();
    let fields = udaf
        .state_fields(StateFieldsArgs {
            name: "pca_fit",
            input_fields: &[],
            return_field: Arc::new(Field::new("pca", DataType::BinaryView, true)),
            ordering_fields: &[],
            is_distinct: false,
        })
        .unwrap();
    let types: Vec<DataType> = fields.iter().map(|f| f.data_type().clone()).collect();
    let mut empty = accumulator(example().data_type(), &[ScalarValue::from(1_i64)]).unwrap();
    let state: Vec<DataType> = empty
        .state()
        .unwrap()
        .iter()
        .map(ScalarValue::data_type)
        .collect();
    assert_eq!(state, types);
}

/// Found by fuzzing: their counts were added without a check, and a sum that is too large would have begun
/// anew at 0.
#[test]
fn partial_aggregates_cannot_count_more_rows_than_there_are_numbers() {
    let numbers = |count: usize| -> Vec<u8> { 1.5_f64.to_le_bytes().repeat(count) };
    for (nulls, moments) in [
        (u64::MAX, 0),
        (u64::MAX / 2, 0),
        (0, u64::MAX),
        (1, u64::MAX),
    ] {
        let mut accumulator = accumulator(example().data_type(), &[]).unwrap();
        accumulator.update_batch(&[example()]).unwrap();
        // Version, bytes of a value, width, NULL rows, rows in the moments and on disk.
        let header: Vec<u8> = [5, 8, 3, nulls, moments, 0]
            .into_iter()
            .flat_map(u64::to_le_bytes)
            .collect();
        // Shift and means, and the lower triangle.
        let blocks = if moments > 0 {
            vec![numbers(6); 2]
        } else {
            vec![]
        };
        let item = Arc::new(Field::new_list_field(DataType::BinaryView, true));
        let offsets = OffsetBuffer::from_lengths([blocks.len()]);
        let blocks = Arc::new(BinaryViewArray::from_iter_values(blocks));
        let blocks = ListArray::new(item, offsets, blocks, None);
        let header = BinaryViewArray::from_iter_values([header]);
        let merged = accumulator.merge_batch(&[Arc::new(header), Arc::new(blocks)]);
        let error = merged.unwrap_err().to_string();
        let expected = "pca_fit: cannot read a partial aggregate: it and another count";
        assert!(error.contains(expected), "{error}");
    }
}

/// Whatever the route: what is too large or too small for the digits of a float is an error.
#[test]
fn variances_beyond_the_range_of_floats_are_refused() {
    use datafusion_functions_pca::{FitOptions, NComponents, PcaError, PcaFitter};

    let fit = |(n, d): (usize, usize), unit: f64, scale, limit| {
        let options = FitOptions::new(NComponents::Count(2))
            .with_scale(scale)
            .with_memory_limit(limit);
        let mut fitter = PcaFitter::<f64>::new(options);
        for i in 0..n {
            let row: Vec<f64> = (0..d)
                .map(|j| unit * (((i * 7 + j * 13) % 17) as f64 + ((i * i + j) as f64).sin()))
                .collect();
            fitter.push(&row).unwrap();
        }
        fitter.fit()
    };
    // Moments, the Gram matrix, and passes over rows on disk.
    for (shape, limit) in [
        ((60, 20), 1 << 30),
        ((30, 90), 1 << 30),
        ((600, 300), 1_200_000),
    ] {
        let expected = fit(shape, 1.0, false, limit).unwrap();
        let ratio = expected.explained_variance_ratio()[0];
        for unit in [1e-140, 1e-30, 1e30, 1e140] {
            let model = fit(shape, unit, false, limit).unwrap();
            let found = model.explained_variance_ratio()[0];
            assert!((found / ratio - 1.0).abs() < 1e-9, "{unit} {found} {ratio}");
        }
        for unit in [1e-155, 3e152] {
            let error = fit(shape, unit, false, limit).unwrap_err();
            let refused = matches!(
                error,
                PcaError::Magnitude { .. } | PcaError::Overflow { .. }
            );
            assert!(refused, "{unit}: {error}");
        }
        let standardised = fit(shape, 1e-150, true, limit).unwrap();
        assert!(standardised.explained_variance_ratio()[0] > 0.0);
    }
}

/// What shows progress has nothing else to show by then.
#[test]
fn a_fit_is_known_while_it_runs() {
    let running = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&running);
    let look = move || {
        seen.fetch_or(fits_running() > 0, Ordering::Relaxed);
        false
    };
    let options = FitOptions::new(NComponents::Count(1));
    let mut fitter = PcaFitter::<f64>::new(options).with_cancellation(Arc::new(look));
    for i in 0..64 {
        let row: Vec<f64> = (0..32).map(|j| f64::from(i * j % 7)).collect();
        fitter.push(&row).unwrap();
    }
    fitter.fit().unwrap();
    assert!(running.load(Ordering::Relaxed));
}
