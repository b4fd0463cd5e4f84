//! Laws that hold for all bytes, not only for good images.
//!
//! A bucket of a million files holds every kind of damage. The functions promise that none of it
//! ends the process, that `image_info`, `featurize` and `try_featurize` agree on what is an image,
//! and that the physical layout of the bytes is nobody's business.

use std::io::Cursor;
use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryViewArray, FixedSizeBinaryArray, LargeBinaryArray,
};
use arrow::datatypes::Field;
use datafusion_common::config::ConfigOptions;
use datafusion_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF};
use datafusion_functions_image::decode::{Limits, decode, inspect};
use datafusion_functions_image::functions::image_info;
use datafusion_functions_image::resize::resize_rgb;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use proptest::prelude::*;

const LIMITS: Limits = Limits {
    max_pixels: 1 << 20,
};

const FORMATS: [ImageFormat; 4] = [
    ImageFormat::Jpeg,
    ImageFormat::Png,
    ImageFormat::WebP,
    ImageFormat::Gif,
];

/// What the crate `image` would need features for to write.
const FILES: [&[u8]; 2] = [
    include_bytes!("../data/decode/rgb24.bmp"),
    include_bytes!("../data/decode/rgb_lzw.tiff"),
];

/// One good image of every format.
static IMAGES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let image = DynamicImage::from(RgbImage::from_fn(37, 29, |x, y| {
        Rgb([(x * 7) as u8, (y * 9) as u8, (x * y) as u8])
    }));
    FORMATS
        .iter()
        .map(|format| {
            let mut out = Cursor::new(Vec::new());
            image.write_to(&mut out, *format).unwrap();
            out.into_inner()
        })
        .chain(FILES.map(<[u8]>::to_vec))
        .collect()
});

/// A good image with some bytes changed and perhaps its end missing.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    (
        0..FORMATS.len() + FILES.len(),
        prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        prop::option::of(any::<prop::sample::Index>()),
    )
        .prop_map(|(format, changes, end)| {
            let mut bytes = IMAGES[format].clone();
            for (index, value) in changes {
                let index = index.index(bytes.len());
                bytes[index] = value;
            }
            if let Some(end) = end {
                bytes.truncate(end.index(bytes.len()));
            }
            bytes
        })
}

fn call(function: &ScalarUDF, content: ColumnarValue, rows: usize) -> ColumnarValue {
    let field = Arc::new(Field::new("content", content.data_type(), true));
    let return_field = function
        .return_field_from_args(ReturnFieldArgs {
            arg_fields: &[Arc::clone(&field)],
            scalar_arguments: &[None],
        })
        .unwrap();
    function
        .invoke_with_args(ScalarFunctionArgs {
            args: vec![content],
            arg_fields: vec![field],
            number_rows: rows,
            return_field,
            config_options: Arc::new(ConfigOptions::default()),
        })
        .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn damage_never_panics_and_inspection_agrees(bytes in damaged()) {
        let decoded = decode(&bytes, LIMITS);
        let inspection = inspect(&bytes, LIMITS);
        prop_assert_eq!(decoded.as_ref().err(), inspection.error.as_ref());
        if let Ok(image) = decoded {
            let header = inspection.header.unwrap();
            prop_assert_eq!(image.width, header.width as usize);
            prop_assert_eq!(image.height, header.height as usize);
            prop_assert_eq!(image.data.len(), image.width * image.height * 3);
        }
    }

    #[test]
    fn noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(decode(&bytes, LIMITS).is_err() == inspect(&bytes, LIMITS).error.is_some());
    }

    #[test]
    fn noise_after_a_signature_never_panics(
        format in 0..FORMATS.len(),
        keep in 2..40_usize,
        noise in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut bytes = IMAGES[format][..keep].to_vec();
        bytes.extend(noise);
        prop_assert!(decode(&bytes, LIMITS).is_err() == inspect(&bytes, LIMITS).error.is_some());
    }

    #[test]
    fn resize_keeps_the_range(
        (width, height) in (1..60_usize, 1..60_usize),
        (target_width, target_height) in (1..60_usize, 1..60_usize),
        level in any::<u8>(),
    ) {
        let size = (width, height);
        let target = (target_width, target_height);
        let out = resize_rgb(vec![level; width * height * 3], size, target);
        prop_assert_eq!(out, vec![level; target_width * target_height * 3]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn layouts_and_scalars_agree(rows in prop::collection::vec(prop::option::of(damaged()), 1..6)) {
        let iter = || rows.iter().map(Option::as_deref);
        let layouts: [ArrayRef; 3] = [
            Arc::new(iter().collect::<BinaryArray>()),
            Arc::new(iter().collect::<LargeBinaryArray>()),
            Arc::new(iter().collect::<BinaryViewArray>()),
        ];
        let infos = layouts.map(|layout| {
            let n = layout.len();
            call(&image_info(), ColumnarValue::Array(layout), n).to_array(n).unwrap()
        });
        prop_assert_eq!(&infos[0], &infos[1]);
        prop_assert_eq!(&infos[0], &infos[2]);
        for (index, row) in rows.iter().enumerate() {
            let scalar = datafusion_common::ScalarValue::LargeBinary(row.clone());
            let scalar = call(&image_info(), ColumnarValue::Scalar(scalar), 1);
            prop_assert_eq!(&scalar.to_array(1).unwrap(), &infos[0].slice(index, 1));
        }
    }
}

#[test]
fn fixed_size_binary_is_a_layout_too() {
    let png = &IMAGES[1];
    let fixed = FixedSizeBinaryArray::try_from_iter([png, png].into_iter()).unwrap();
    let info = call(&image_info(), ColumnarValue::Array(Arc::new(fixed)), 2);
    let info = info.to_array(2).unwrap();
    assert_eq!(info.as_struct().column(4).null_count(), 2);
}
