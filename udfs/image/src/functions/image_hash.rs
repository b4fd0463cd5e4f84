//! `image_hash(content)`

use std::sync::Arc;

use arrow::array::UInt64Array;
use arrow::datatypes::DataType;
use datafusion_common::Result;
use datafusion_expr::{
    Coercion, ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature,
    TypeSignatureClass, Volatility,
};
use datafusion_macros::user_doc;

use super::each_image::{columnar, each_image};
use crate::decode::{DecodeOptions, decode};
use crate::resize::resize_rgb;

/// Rows of the picture that is compared, and differences in a row: 64 bits.
const SIDE: usize = 8;

#[user_doc(
    doc_section(label = "Image Functions"),
    description = "A perceptual hash: the same number for pictures that look the same, whatever their format, size or quality. It is the 64-bit difference hash (dHash): the picture in grey, 9 pixels wide and 8 high, and for each of them whether the next one is brighter. `GROUP BY` it to find duplicates. NULL in gives NULL out, and so does an image that cannot be decoded: `image_info` says why.",
    syntax_example = "image_hash(content)",
    sql_example = r#"```sql
> SELECT image_hash(content) AS hash, array_agg(path) FROM images GROUP BY hash HAVING count(*) > 1;
```"#,
    argument(
        name = "content",
        description = "The encoded image, of any binary type."
    ),
    related_udf(name = "image_info")
)]
/// The `image_hash` function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ImageHash {
    signature: Signature,
}

impl Default for ImageHash {
    fn default() -> Self {
        Self::new()
    }
}

impl ImageHash {
    /// The function.
    pub fn new() -> Self {
        let content = Coercion::new_exact(TypeSignatureClass::Binary);
        let mut signature = Signature::coercible(vec![content], Volatility::Immutable);
        signature.parameter_names = Some(vec!["content".to_owned()]);
        Self { signature }
    }
}

impl ScalarUDFImpl for ImageHash {
    fn name(&self) -> &str {
        "image_hash"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::UInt64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let hash = |_, bytes: &[u8], options| difference_hash(bytes, options);
        let hashes = each_image(self.name(), &args, hash, Option::is_some)?;
        let hashes: UInt64Array = hashes.into_iter().map(Option::flatten).collect();
        columnar(&args, Arc::new(hashes))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

/// The first difference, of the top left pixel, is the highest bit.
fn difference_hash(bytes: &[u8], options: DecodeOptions) -> Option<u64> {
    let image = decode(bytes, options).ok()?;
    let size = (image.width, image.height);
    let small = resize_rgb(image.data, size, (SIDE + 1, SIDE));
    let (pixels, _) = small.as_chunks::<3>();
    // Pillow's weights for grey.
    let grey = |[red, green, blue]: &[u8; 3]| {
        19_595 * u32::from(*red) + 38_470 * u32::from(*green) + 7_471 * u32::from(*blue)
    };
    let grey: Vec<u32> = pixels.iter().map(|pixel| grey(pixel) >> 16).collect();
    let rows = grey.chunks_exact(SIDE + 1);
    let brighter = rows.flat_map(|row| row.iter().zip(row.iter().skip(1)));
    Some(brighter.fold(0, |hash, (left, right)| hash << 1 | u64::from(right > left)))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::{ImageFormat, Rgb, RgbImage};

    use super::*;
    use crate::decode::Limits;

    fn hash(image: &RgbImage, format: ImageFormat) -> u64 {
        let mut out = Cursor::new(Vec::new());
        image.write_to(&mut out, format).unwrap();
        let limits = Limits {
            max_pixels: 1 << 20,
        };
        difference_hash(&out.into_inner(), limits.into()).unwrap()
    }

    /// A pattern without even places, of any size.
    fn picture(width: u32, height: u32, phase: f32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| {
            let (x, y) = (x as f32 / width as f32, y as f32 / height as f32);
            let wave = (9.0 * x + phase).sin() * (7.0 * y + 2.0 * phase).cos() + 0.3 * x;
            Rgb([(wave * 80.0 + 120.0) as u8, (wave * 70.0 + 110.0) as u8, 90])
        })
    }

    #[test]
    fn what_looks_the_same_has_the_same_hash() {
        let whole = hash(&picture(400, 300, 0.0), ImageFormat::Png);
        let distance = |other: u64| (whole ^ other).count_ones();
        assert!(distance(hash(&picture(400, 300, 0.0), ImageFormat::Jpeg)) <= 1);
        assert!(distance(hash(&picture(200, 150, 0.0), ImageFormat::Png)) <= 2);
        assert!(distance(hash(&picture(400, 300, 1.5), ImageFormat::Png)) > 15);
    }

    #[test]
    fn what_is_no_image_has_none() {
        assert_eq!(
            difference_hash(b"hello", Limits { max_pixels: 9 }.into()),
            None
        );
    }
}
