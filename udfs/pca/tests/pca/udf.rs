//! The functions as DataFusion calls them: argument checks, wording of errors, NULLs, layouts.

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryViewArray, FixedSizeListArray, LargeListArray,
    ListArray,
};
use arrow::datatypes::{DataType, Field, FieldRef, Float32Type, Float64Type, Schema};
use datafusion_common::config::ConfigOptions;
use datafusion_common::{Result, ScalarValue};
use datafusion_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion_expr::simplify::SimplifyContext;
use datafusion_expr::{
    Accumulator, ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, col, lit,
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
    let udaf = functions::pca_fit_udaf();
    let mut types = vec![features.clone()];
    types.extend(arguments.iter().map(ScalarValue::data_type));
    let types = udaf.coerce_types(&types)?;
    let fields: Vec<FieldRef> = types
        .iter()
        .map(|t| Arc::new(Field::new("x", t.clone(), true)))
        .collect();
    let mut exprs: Vec<Arc<dyn PhysicalExpr>> = vec![Arc::new(Column::new("features", 0))];
    exprs.extend(arguments.iter().map(|a| expressions::lit(a.clone())));
    udaf.accumulator(AccumulatorArgs {
        return_field: Arc::new(Field::new("pca", DataType::BinaryView, true)),
        schema: &Schema::new(vec![Arc::clone(&fields[0])]),
        ignore_nulls: false,
        order_bys: &[],
        is_reversed: false,
        name: "pca_fit",
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

fn fit(features: &ArrayRef, n_components: impl Into<ScalarValue>) -> Result<Vec<u8>> {
    let mut accumulator = accumulator(features.data_type(), &[n_components.into()])?;
    accumulator.update_batch(&[Arc::clone(features)])?;
    accumulator.evaluate().map(model)
}

fn example() -> ArrayRef {
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

fn scalar_model(bytes: &[u8]) -> ColumnarValue {
    ColumnarValue::Scalar(ScalarValue::BinaryView(Some(bytes.to_vec())))
}

#[track_caller]
fn message<T>(result: Result<T>, expected: &str) {
    let Err(error) = result else {
        panic!("no error, expected: {expected}");
    };
    assert_eq!(error.strip_backtrace(), expected);
}

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
        "Error during planning: pca_fit: n_components as a float is a ratio of the variance and must be strictly between 0 and 1, got 1.0: write 1 for one component; all of them are min(rows, columns) as an integer",
    );
    message(
        of(ScalarValue::Float64(None)),
        "Error during planning: pca_fit: n_components must be an integer or a ratio strictly between 0 and 1, got NULL",
    );
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
        accumulator(&list, &[ScalarValue::from(1), ScalarValue::Boolean(None)]),
        "Error during planning: pca_fit: scale must be true or false, got NULL",
    );
    message(
        accumulator(&list, &[]),
        "Error during planning: pca_fit takes 2 to 5 arguments (features, n_components [, scale [, convention [, memory_limit]]]), got 1",
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
        "Execution error: pca_fit: row 2 has 1 values, but the rows before it have 2: all rows must have the same number",
    );
    message(
        fit(&[good.clone(), Some(vec![1.0, f64::NAN])], 1),
        "Execution error: pca_fit: row 1 has NaN at index 1: only finite numbers can be analysed; filter the row out or replace the value",
    );
    message(
        fit(&[Some(vec![f64::NEG_INFINITY, 1.0])], 1),
        "Execution error: pca_fit: row 0 has -inf at index 0: only finite numbers can be analysed; filter the row out or replace the value",
    );
    message(
        fit(&[Some(vec![])], 1),
        "Execution error: pca_fit: row 0 has no values: every row needs at least one",
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
        self::fit(&with_null, 1),
        "Execution error: pca_fit: row 0 has a NULL at index 1: replace it by a number, or make the whole row NULL to have it ignored",
    );
    message(
        self::fit(&list(&[Some(vec![3.0]), Some(vec![3.0])]), 0.5),
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
        "Execution error: pca_transform: row 1 has 2 values, but the model was fitted on rows of 3: use features of the same network and pooling",
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

fn floats(value: ColumnarValue, rows: usize) -> ArrayRef {
    value.into_array(rows).unwrap()
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
        "Execution error: pca_inverse_transform: row 0 has 1 values, but the model has 3 components",
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
        ["component", "eigenvalue", "ratio", "cumulative"]
    );
    let ratio = rows.column(2).as_primitive::<Float64Type>().values();
    let cumulative = rows.column(3).as_primitive::<Float64Type>().values();
    assert_eq!(ratio.len(), 2);
    assert!((cumulative[1] - ratio[0] - ratio[1]).abs() < 1e-15);
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
fn a_scaler_standardises() {
    use datafusion_functions_pca::Scaler;
    let udaf = functions::scaler_fit_udaf();
    let field: FieldRef = Arc::new(Field::new("x", example().data_type().clone(), true));
    let accumulator = || {
        udaf.accumulator(AccumulatorArgs {
            return_field: Arc::new(Field::new("scaler", DataType::BinaryView, true)),
            schema: &Schema::new(vec![Arc::clone(&field)]),
            ignore_nulls: false,
            order_bys: &[],
            is_reversed: false,
            name: "scaler_fit",
            is_distinct: false,
            exprs: &[Arc::new(Column::new("x", 0))],
            expr_fields: &[Arc::clone(&field)],
        })
        .unwrap()
    };
    let mut whole = accumulator();
    whole.update_batch(&[example()]).unwrap();
    let bytes = model(whole.evaluate().unwrap());

    let (mut left, mut right) = (accumulator(), accumulator());
    left.update_batch(&[example().slice(0, 2)]).unwrap();
    right.update_batch(&[example().slice(2, 3)]).unwrap();
    let state: Vec<ArrayRef> = right
        .state()
        .unwrap()
        .iter()
        .map(|s| s.to_array().unwrap())
        .collect();
    left.merge_batch(&state).unwrap();
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

#[test]
fn every_function_is_documented_and_named_once() {
    let scalar = datafusion_functions_pca::all_default_scalar_functions();
    let aggregate = datafusion_functions_pca::all_default_aggregate_functions();
    let mut names: Vec<String> = scalar.iter().map(|f| f.name().to_string()).collect();
    names.extend(aggregate.iter().map(|f| f.name().to_string()));
    let total = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), total);
    let docs = scalar.iter().map(|f| f.documentation());
    for doc in docs.chain(aggregate.iter().map(|f| f.documentation())) {
        let doc = doc.expect("documented");
        assert_eq!(doc.doc_section.label, "PCA Functions");
        assert!(doc.sql_example.is_some());
    }
}
