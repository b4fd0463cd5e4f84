//! Pictures in every format, through all that the functions do with them.

use std::sync::Arc;

use arrow::array::{Array, AsArray};
use datafusion::common::config::ConfigOptions;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF};
use datafusion::scalar::ScalarValue;
use datafusion_featurize::FeaturizeOptions;
use datafusion_featurize::image::decode::{
    DecodeOptions, DeepGrey, ExifOrientation, Limits, RgbPixels, TruncatedImages, decode, inspect,
};
use datafusion_featurize::image::features::{Featurizer, OnUndecodable};
use datafusion_featurize::image::functions::{image_hash, image_info, thumbnail};
use datafusion_featurize::image::model::{DeviceKind, Model};
use datafusion_featurize::image::models::{ModelSpec, Pooling};
use datafusion_featurize::image::pool::ComputePool;
use datafusion_featurize::image::weights::WeightsAccess;
use flate2::Crc;

use super::call::{call, column};
use super::{Target, data, files};

const MAX_PIXELS: u64 = 1 << 18;
/// The documented most, as `udfs/image/tests/memory.rs` has it.
const PER_PIXEL: usize = 24;
const PER_BYTE: usize = 4;
const OVERHEAD: usize = 64 << 20;
const SIDE: usize = 64;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

pub(crate) struct Pictures {
    plain: DecodeOptions,
    lenient: DecodeOptions,
    featurizer: Featurizer,
    functions: [ScalarUDF; 3],
    config: Arc<ConfigOptions>,
}

impl Pictures {
    pub(crate) fn new() -> Self {
        let limits = Limits {
            max_pixels: MAX_PIXELS,
        };
        let lenient = DecodeOptions {
            limits,
            exif_orientation: ExifOrientation::Apply,
            truncated_images: TruncatedImages::Load,
            deep_grey: DeepGrey::Clip,
        };
        let folder = data("image").join("transformers/vit");
        let spec = ModelSpec::parse(folder.to_str().unwrap()).unwrap();
        let places = (None, &WeightsAccess::default());
        let model = Model::shared_spec(&spec, None, None, places, DeviceKind::Cpu).unwrap();
        let pool = ComputePool::shared(1).unwrap();
        let mut config = ConfigOptions::default();
        config.extensions.insert(FeaturizeOptions {
            max_pixels: MAX_PIXELS,
            ..FeaturizeOptions::default()
        });
        Self {
            plain: limits.into(),
            lenient,
            featurizer: Featurizer::new(model, Pooling::Avg, lenient, pool),
            functions: [
                image_info::ImageInfo::new().into(),
                image_hash::ImageHash::new().into(),
                thumbnail::ThumbnailOf::new().into(),
            ],
            config: Arc::new(config),
        }
    }

    /// The functions of SQL agree with what decoding came to.
    fn functions(&self, input: &[u8], is_good: bool) -> Result<(), String> {
        let [info, hash, thumbnail] = &self.functions;
        let one = |function, args| call(function, args, &self.config).map_err(|e| e.to_string());
        let info = one(info, vec![column(input)])?;
        let error = info.as_struct().column(4);
        law(error.is_null(0) == is_good, "image_info and decode agree")?;
        let hash = one(hash, vec![column(input)])?;
        law(hash.is_null(0) != is_good, "image_hash and decode agree")?;
        let side = ColumnarValue::Scalar(ScalarValue::Int64(Some(SIDE as i64)));
        let small = one(thumbnail, vec![column(input), side])?;
        law(small.is_null(0) != is_good, "thumbnail and decode agree")?;
        if is_good {
            let small = small.as_binary_view().value(0);
            let small = decode(small, self.plain).map_err(|e| format!("the thumbnail: {e}"))?;
            law(
                small.width.max(small.height) <= SIDE,
                "thumbnails are small",
            )?;
        }
        Ok(())
    }
}

fn law(holds: bool, law: &str) -> Result<(), String> {
    holds.then_some(()).ok_or_else(|| law.to_owned())
}

fn is_whole(pixels: &RgbPixels) -> bool {
    let count = pixels.width * pixels.height;
    count > 0 && count as u64 <= MAX_PIXELS && pixels.data.len() == 3 * count
}

impl Target for Pictures {
    fn seeds(&self) -> Vec<Vec<u8>> {
        let folders = ["codecs", "decode", "kinds", "parity"].into_iter();
        let all = folders.flat_map(|folder| files(&data("image").join(folder)));
        let seeds = all.map(|file| std::fs::read(file).unwrap());
        seeds.filter(|seed| seed.len() < 8192).collect()
    }

    fn tokens(&self) -> &[&[u8]] {
        &[
            b"\xFF\xD8",
            b"\xFF\xD9",
            b"\xFF\xC0",
            b"\xFF\xC2",
            b"\xFF\xC4",
            b"\xFF\xDA",
            b"\xFF\xDB",
            b"\xFF\xDD",
            b"\xFF\xE1",
            b"\xFF\xEE",
            b"Exif\0\0",
            b"II*\0",
            b"MM\0*",
            b"II+\0",
            b"IHDR",
            b"PLTE",
            b"tRNS",
            b"IDAT",
            b"acTL",
            b"fcTL",
            b"IEND",
            b"eXIf",
            b"VP8 ",
            b"VP8L",
            b"VP8X",
            b"ANIM",
            b"ANMF",
            b"ALPH",
            b"\x21\xF9\x04",
            b"\x2C\0\0\0\0",
            b"ftypavif",
            b"meta",
            b"iprp",
            b"ispe",
            b"irot",
            b"jp2h",
            b"ihdr",
            b"colr",
            b"pclr",
            b"\xFF\x4F\xFF\x51",
            b"\xFF\x93",
            b"\xFF\x52",
            b"\xFF\x5C",
        ]
    }

    /// The checksum of each chunk of a PNG.
    fn repair(&self, input: &mut Vec<u8>) {
        if !input.starts_with(PNG) {
            return;
        }
        let mut at = PNG.len();
        while let Some(length) = input.get(at..).and_then(|rest| rest.first_chunk()) {
            let body = at + 4..(at + 8).saturating_add(u32::from_be_bytes(*length) as usize);
            let (Some(chunk), end) = (input.get(body.clone()), body.end) else {
                return;
            };
            let mut crc = Crc::new();
            crc.update(chunk);
            match input.get_mut(end..end + 4) {
                Some(sum) => sum.copy_from_slice(&crc.sum().to_be_bytes()),
                None => return,
            }
            at = end + 4;
        }
    }

    fn most_memory(&self, input: &[u8]) -> usize {
        PER_PIXEL * MAX_PIXELS as usize + PER_BYTE * input.len() + OVERHEAD
    }

    fn run(&mut self, input: &[u8]) -> Result<String, String> {
        let plain = decode(input, self.plain);
        let lenient = decode(input, self.lenient);
        let inspection = inspect(input, self.plain);
        law(
            inspection.error.as_ref() == plain.as_ref().err(),
            "inspect and decode agree",
        )?;
        for pixels in [&plain, &lenient].into_iter().flatten() {
            law(
                is_whole(pixels),
                "pixels are as many as width and height say",
            )?;
        }
        if let (Ok(pixels), Some(header)) = (&plain, &inspection.header) {
            let size = (header.width as usize, header.height as usize);
            law(
                size == (pixels.width, pixels.height),
                "the header tells the size",
            )?;
        }
        if plain.is_ok() {
            law(lenient.is_ok(), "what is good is good where less is asked")?;
        }
        // These decode anew, and do little else.
        if input.len().is_multiple_of(4) {
            self.functions(input, plain.is_ok())?;
            let images = [Some(input), None];
            let features = self.featurizer.featurize(&images, OnUndecodable::Null);
            let features = features.map_err(|e| e.to_string())?;
            law(
                features.is_null(0) == lenient.is_err(),
                "try_featurize and decode agree",
            )?;
        }
        let color = inspection.header.map(|header| header.color);
        Ok(format!(
            "{:?} {color:?} {:?} {:?}",
            inspection.format,
            plain.err().map(|error| error.to_string()),
            lenient.is_ok()
        ))
    }
}
