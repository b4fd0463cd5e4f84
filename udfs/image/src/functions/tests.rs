use std::io::Cursor;

use super::featurize::Featurize;
use super::*;
use crate::error::Error;
use crate::weights::{WeightsStores, WeightsUrl};
use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, BinaryViewArray, LargeBinaryArray};
use arrow::datatypes::{DataType, Field, Float32Type};
use datafusion_common::config::ConfigOptions;
use datafusion_common::{Result, ScalarValue};
use datafusion_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs};
use futures::future::BoxFuture;
use object_store::ObjectStore;
use object_store::path::Path;

fn png(seed: u32) -> Vec<u8> {
    let image = image::RgbImage::from_fn(40, 30, |x, y| {
        image::Rgb([
            (x * 6 + seed) as u8,
            (y * 8) as u8,
            (x * y + seed * 31) as u8,
        ])
    });
    let mut out = Cursor::new(Vec::new());
    image.write_to(&mut out, image::ImageFormat::Png).unwrap();
    out.into_inner()
}

fn text(value: &str) -> ColumnarValue {
    ColumnarValue::Scalar(ScalarValue::from(value))
}

fn call(function: &ScalarUDF, args: Vec<ColumnarValue>) -> Result<ColumnarValue> {
    let rows = args.iter().find_map(|arg| match arg {
        ColumnarValue::Array(array) => Some(array.len()),
        ColumnarValue::Scalar(_) => None,
    });
    let arg_fields: Vec<_> = args
        .iter()
        .map(|arg| Arc::new(Field::new("arg", arg.data_type(), true)))
        .collect();
    let scalars: Vec<_> = args
        .iter()
        .map(|arg| match arg {
            ColumnarValue::Scalar(value) => Some(value),
            ColumnarValue::Array(_) => None,
        })
        .collect();
    let return_field = function.return_field_from_args(ReturnFieldArgs {
        arg_fields: &arg_fields,
        scalar_arguments: &scalars,
    })?;
    let data_type = return_field.data_type().clone();
    let result = function.invoke_with_args(ScalarFunctionArgs {
        args,
        arg_fields,
        number_rows: rows.unwrap_or(1),
        return_field,
        config_options: Arc::new(ConfigOptions::default()),
    })?;
    assert_eq!(result.data_type(), data_type);
    Ok(result)
}

fn seeded(function: &ScalarUDF, content: ColumnarValue) -> Result<ColumnarValue> {
    call(
        function,
        vec![content, text("vgg16"), text("seeded"), text("avg")],
    )
}

/// `featurize` where no weights can be fetched.
fn offline() -> ScalarUDF {
    struct Nowhere;

    impl WeightsStores for Nowhere {
        fn locate<'a>(
            &'a self,
            _: &'a WeightsUrl,
        ) -> BoxFuture<'a, crate::error::Result<(Arc<dyn ObjectStore>, Path)>> {
            let refused = || Err(Error::Configuration("no network here".to_owned()));
            Box::pin(async move { refused() })
        }
    }

    Featurize::with_access(WeightsAccess::new(Arc::new(Nowhere))).into()
}

fn vector(list: &dyn Array, row: usize) -> Vec<f32> {
    let list = list.as_list::<i32>();
    list.value(row)
        .as_primitive::<Float32Type>()
        .values()
        .to_vec()
}

#[test]
fn scalar_array_and_layouts_agree() {
    let images = [Some(png(1)), None, Some(png(2))];
    let rows = || images.iter().map(|image| image.as_deref());
    let layouts: [ArrayRef; 3] = [
        Arc::new(rows().collect::<BinaryArray>()),
        Arc::new(rows().collect::<LargeBinaryArray>()),
        Arc::new(rows().collect::<BinaryViewArray>()),
    ];
    let scalar = |image: &Option<Vec<u8>>| {
        let value = ColumnarValue::Scalar(ScalarValue::Binary(image.clone()));
        seeded(&featurize(), value).unwrap().to_array(1).unwrap()
    };
    let first = scalar(&images[0]);
    let third = scalar(&images[2]);
    assert!(scalar(&images[1]).is_null(0));
    for layout in layouts {
        let out = seeded(&featurize(), ColumnarValue::Array(layout)).unwrap();
        let out = out.to_array(3).unwrap();
        assert_eq!(out.logical_null_count(), 1);
        assert!(out.is_null(1));
        assert_eq!(vector(&out, 0), vector(&first, 0));
        assert_eq!(vector(&out, 2), vector(&third, 0));
        assert_eq!(vector(&out, 0).len(), 512);
    }
    assert_ne!(vector(&first, 0), vector(&third, 0));
}

#[test]
fn undecodable_is_an_error_or_null() {
    let content = || {
        let rows = [Some(png(1)), Some(b"hello".to_vec()), Some(png(1))];
        let rows = rows.iter().map(|image| image.as_deref());
        ColumnarValue::Array(Arc::new(rows.collect::<BinaryViewArray>()))
    };
    let error = seeded(&featurize(), content()).unwrap_err();
    assert!(matches!(
        error,
        datafusion_common::DataFusionError::Execution(_)
    ));
    let error = error.to_string();
    assert!(error.contains("featurize: the content (5 bytes"), "{error}");
    assert!(error.contains("try_featurize"), "{error}");
    let out = seeded(&try_featurize(), content()).unwrap();
    let out = out.to_array(3).unwrap();
    assert!(out.is_valid(0) && out.is_null(1) && out.is_valid(2));
    assert_eq!(vector(&out, 0), vector(&out, 2));
}

#[test]
fn nulls_mean_defaults_and_need_no_weights_of_their_own() {
    let null = || ColumnarValue::Scalar(ScalarValue::Null);
    let args = vec![
        ColumnarValue::Scalar(ScalarValue::Binary(Some(png(3)))),
        null(),
        text("seeded"),
        null(),
    ];
    let out = call(&featurize(), args).unwrap().to_array(1).unwrap();
    assert_eq!(vector(&out, 0).len(), 25_088);
    let error = call(&offline(), vec![null()]).unwrap_err().to_string();
    assert!(error.contains("weights 'imagenet'"), "{error}");
    assert!(error.contains("no network here"), "{error}");
}

#[test]
fn bad_constants_are_plan_errors() {
    let content = || ColumnarValue::Scalar(ScalarValue::Binary(None));
    for (args, message) in [
        (
            vec![content(), text("vgg19")],
            "featurize: unknown model 'vgg19'",
        ),
        (
            vec![content(), text("vgg16"), text("x")],
            "featurize: unknown weights 'x'",
        ),
        (
            vec![content(), text("vgg16"), text("seeded"), text("mean")],
            "featurize: unknown pooling 'mean'",
        ),
        (
            vec![content(), ColumnarValue::Scalar(ScalarValue::from(3_i64))],
            "argument 'model' must be a constant string, found Int64",
        ),
        (
            vec![text("abc")],
            "featurize: argument 'content' must be binary, the bytes of an encoded image, found \
             Utf8; a table STORED AS BINARYFILE",
        ),
    ] {
        let error = call(&featurize(), args).unwrap_err();
        assert!(
            matches!(error, datafusion_common::DataFusionError::Plan(_)),
            "{error}"
        );
        assert!(error.to_string().contains(message), "{error}");
    }
}

#[test]
fn nullability_is_true() {
    let nullable = |function: &ScalarUDF, content_nullable: bool| {
        let field = Arc::new(Field::new(
            "content",
            DataType::BinaryView,
            content_nullable,
        ));
        function
            .return_field_from_args(ReturnFieldArgs {
                arg_fields: &[field],
                scalar_arguments: &[None],
            })
            .unwrap()
            .is_nullable()
    };
    assert!(!nullable(&featurize(), false));
    assert!(nullable(&featurize(), true));
    assert!(nullable(&try_featurize(), false));
    assert!(!nullable(&image_info(), false));
    assert!(nullable(&image_info(), true));
}

#[test]
fn the_field_says_what_the_arguments_say() {
    let field = |args: &[Option<&str>]| {
        let content = Arc::new(Field::new("content", DataType::Binary, true));
        let constant = Arc::new(Field::new("constant", DataType::Utf8, true));
        let mut fields = vec![content];
        fields.resize(1 + args.len(), constant);
        let values: Vec<_> = args.iter().copied().map(ScalarValue::from).collect();
        let literals: Vec<_> = std::iter::once(None)
            .chain(values.iter().map(Some))
            .collect();
        featurize()
            .return_field_from_args(ReturnFieldArgs {
                arg_fields: &fields,
                scalar_arguments: &literals,
            })
            .unwrap()
            .metadata()
            .clone()
    };
    let all = field(&[Some("mobilenet_v2"), Some("seeded"), None]);
    assert_eq!(all["featurize.model"], "mobilenet_v2");
    assert_eq!(all["featurize.weights"], "seeded");
    assert_eq!(all["featurize.weights_sha256"].len(), 64);
    assert_eq!(all["featurize.preprocessing"], "tf");
    assert_eq!(all["featurize.pooling"], "avg");
    assert_eq!(all["featurize.decoder"], crate::decode::DECODERS);

    let imagenet = field(&[Some("vgg16"), Some("imagenet"), Some("max")]);
    assert_eq!(imagenet["featurize.weights_md5"].len(), 32);
    assert_eq!(imagenet["featurize.pooling"], "max");
    assert!(!imagenet.contains_key("featurize.weights_sha256"));

    // A setting is known to the session, not to the arguments.
    let names: Vec<_> = field(&[None, Some("https://ann:hush@h/w.safetensors?sig=f00")])
        .into_iter()
        .filter(|(name, _)| name != "featurize.decoder")
        .collect();
    let weights = "https://h/w.safetensors?…".to_owned();
    assert_eq!(names, [("featurize.weights".to_owned(), weights)]);
}

#[test]
fn image_info_reports() {
    let rows = [Some(png(1)), None, Some(b"hello".to_vec())];
    let content = rows
        .iter()
        .map(|image| image.as_deref())
        .collect::<BinaryArray>();
    let out = call(&image_info(), vec![ColumnarValue::Array(Arc::new(content))]).unwrap();
    let out = out.to_array(3).unwrap();
    let info = out.as_struct();
    assert!(info.is_valid(0) && info.is_null(1) && info.is_valid(2));
    assert_eq!(info.column(0).as_string::<i32>().value(0), "PNG");
    assert_eq!(
        info.column(1)
            .as_primitive::<arrow::datatypes::UInt32Type>()
            .value(0),
        40
    );
    assert_eq!(info.column(3).as_string::<i32>().value(0), "RGB");
    let error = info.column(4).as_string::<i32>();
    assert!(error.is_null(0) && error.is_null(1));
    assert!(error.value(2).contains("not an image"));
}

#[test]
fn model_info_identifies_what_computed() {
    let info = |model: &str| {
        let out = call(&featurize_model_info(), vec![text(model), text("seeded")]).unwrap();
        let out = out.to_array(1).unwrap();
        let info = out.as_struct();
        let text = |column: usize| info.column(column).as_string::<i32>().value(0).to_owned();
        let dimension = info
            .column(1)
            .as_primitive::<arrow::datatypes::UInt32Type>();
        let parameters = info
            .column(2)
            .as_primitive::<arrow::datatypes::UInt64Type>();
        (
            text(0),
            dimension.value(0),
            parameters.value(0),
            text(3),
            text(4),
        )
    };
    let (name, dimension, parameters, vgg16_weights, preprocessing) = info("vgg16");
    assert_eq!((name.as_str(), preprocessing.as_str()), ("vgg16", "caffe"));
    assert_eq!((dimension, parameters), (25_088, 14_714_688));
    let (name, dimension, parameters, weights, preprocessing) = info("mobilenet_v2");
    assert_eq!(
        (name.as_str(), preprocessing.as_str()),
        ("mobilenet_v2", "tf")
    );
    assert_eq!((dimension, parameters), (1280, 2_257_984));
    assert_eq!(weights.len(), 64);
    assert_ne!(weights, vgg16_weights);
}

#[test]
fn every_function_is_documented_once() {
    let mut names = std::collections::HashSet::new();
    for function in functions() {
        assert!(
            names.insert(function.name().to_owned()),
            "{} occurs twice",
            function.name()
        );
        let documentation = function.documentation().unwrap();
        assert_eq!(documentation.doc_section.label, "Image Functions");
        let names = function.signature().parameter_names.clone().unwrap();
        let documented: Vec<_> = documentation
            .arguments
            .iter()
            .flatten()
            .map(|(name, _)| name.clone())
            .collect();
        assert_eq!(names, documented);
    }
}
