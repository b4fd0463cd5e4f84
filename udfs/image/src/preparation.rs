//! From a picture of any size to the numbers that a network is fed.
//!
//! What a folder's `preprocessor_config.json` says is done as the image processors of transformers do it that
//! work with Pillow (`PilBackend` of version 5, the slow processors of version 4): Pillow's resize, the
//! centre cut out, black around what is smaller, then arithmetic in `f32`.

use std::ops::Range;

use serde_json::Value;

use crate::json::{self, Fields};
use crate::models::MOST_SIDE;
use crate::models::transformer::Config;
use crate::preprocess::Preprocessing;
use crate::resize::{Filter, resize_part};

/// Name of the file in messages.
const FILE: &str = "preprocessor_config.json";
/// Bytes of an RGB pixel.
const CHANNELS: usize = 3;

/// How a picture becomes the input of a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Preparation {
    resize: Resize,
    filter: Filter,
    /// Height and width of what is fed to the network.
    side: usize,
    numbers: Numbers,
}

/// The size that a picture is brought to before its centre is cut out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resize {
    /// A square, whatever the picture's shape was.
    Square(usize),
    /// The shorter side has so many pixels, and the shape stays.
    ShortestEdge(usize),
}

#[derive(Debug, Clone, PartialEq)]
enum Numbers {
    /// The conventions of a library.
    Library(Preprocessing),
    Own(Box<Levels>),
}

/// The number for each level of each channel.
#[derive(Debug, Clone, PartialEq)]
struct Levels {
    table: [[f32; 256]; CHANNELS],
    text: String,
}

impl Preparation {
    /// What networks of Keras and torchvision are fed here: the whole picture as a square.
    pub(crate) fn square(side: usize, preprocessing: Preprocessing) -> Self {
        Self {
            resize: Resize::Square(side),
            filter: Filter::Bicubic,
            side,
            numbers: Numbers::Library(preprocessing),
        }
    }

    /// Reads `preprocessor_config.json`. With an `input_size`, everything is scaled so that the network is fed
    /// images of this side.
    ///
    /// # Errors
    ///
    /// Which field is wrong, what was expected and what was found.
    pub(crate) fn parse(
        text: &str,
        config: &Config,
        input_size: Option<usize>,
    ) -> Result<Self, String> {
        let root = json::object(FILE, text)?;
        let fields = Fields::new(FILE, "", &root);
        let processor = Processor::of(&fields)?;
        if !fields.flag("do_resize", true)? {
            let expected = "true: pictures of all sizes go into one network";
            return Err(fields.wrong("do_resize", expected));
        }
        if fields.flag("do_pad", false)? {
            return Err(fields.wrong("do_pad", "false"));
        }
        let filter = match fields.whole("resample", Some(processor.resample), 0..=5)? {
            2 => Filter::Bilinear,
            3 => Filter::Bicubic,
            _ => return Err(fields.wrong("resample", "2 (bilinear) or 3 (bicubic)")),
        };
        let mut resize = size(&fields, processor)?;
        let crop = match fields.flag("do_center_crop", processor.crops)? {
            true => Some(crop(&fields)?),
            false => None,
        };
        let mut side = match (crop, resize) {
            (Some(side), _) | (None, Resize::Square(side)) => side,
            (None, Resize::ShortestEdge(_)) => {
                let expected = "true, where 'size' is a shortest edge: pictures of all shapes go \
                                into one network";
                return Err(fields.wrong("do_center_crop", expected));
            }
        };
        if let Some(wanted) = input_size {
            if !(1..=MOST_SIDE).contains(&wanted) {
                return Err(format!(
                    "input_size must be from 1 to {MOST_SIDE}, found {wanted}"
                ));
            }
            let scaled = |pixels: usize| (pixels * wanted + side / 2) / side;
            resize = match resize {
                Resize::Square(pixels) => Resize::Square(scaled(pixels)),
                Resize::ShortestEdge(pixels) => Resize::ShortestEdge(scaled(pixels)),
            };
            side = wanted;
        } else if side != config.side && !config.takes_any_side() {
            return Err(format!(
                "{FILE}: fields 'size' and 'crop_size' make images of {side} pixels a side, and \
                 config.json, field 'image_size', says {}; give the input_size that is meant",
                config.side
            ));
        }
        let levels = Levels::parse(&fields, processor)?;
        Ok(Self {
            resize,
            filter,
            side,
            numbers: Numbers::Own(Box::new(levels)),
        })
    }

    /// Height and width of what is fed to the network.
    pub fn side(&self) -> usize {
        self.side
    }

    /// The conventions of a library, if these are some.
    pub fn preprocessing(&self) -> Option<Preprocessing> {
        match self.numbers {
            Numbers::Library(preprocessing) => Some(preprocessing),
            Numbers::Own(_) => None,
        }
    }

    /// A name of it, or what it does.
    pub fn describe(&self) -> String {
        let levels = match &self.numbers {
            Numbers::Library(preprocessing) => return preprocessing.name().to_owned(),
            Numbers::Own(levels) => &levels.text,
        };
        let size = match self.resize {
            Resize::Square(side) => format!("to {side} × {side}"),
            Resize::ShortestEdge(edge) => format!("shortest edge to {edge}"),
        };
        let (filter, side) = (self.filter.name(), self.side);
        format!("{filter}, {size}, centre of {side} × {side}, {levels}")
    }

    /// Fills the network's input for a picture of interleaved RGB.
    pub(crate) fn apply(&self, rgb: Vec<u8>, size: (usize, usize), input: &mut [f32]) {
        let (width, height) = match self.resize {
            Resize::Square(side) => (side, side),
            Resize::ShortestEdge(edge) => {
                let short = size.0.min(size.1).max(1);
                let long = |pixels: usize| {
                    if pixels == short {
                        edge
                    } else {
                        edge * pixels / short
                    }
                };
                (long(size.0), long(size.1))
            }
        };
        let (columns, left) = centre(width, self.side);
        let (rows, top) = centre(height, self.side);
        let within = (columns.len(), rows.len());
        let rgb = resize_part(rgb, size, (width, height), self.filter, (columns, rows));
        let rgb = framed(rgb, within, (left, top), self.side);
        match &self.numbers {
            Numbers::Library(preprocessing) => preprocessing.apply(&rgb, input),
            Numbers::Own(levels) => levels.apply(&rgb, input),
        }
    }
}

/// The part of `extent` pixels that lies within a centre of `side`, and how far from its begin.
fn centre(extent: usize, side: usize) -> (Range<usize>, usize) {
    match extent.checked_sub(side) {
        Some(rest) => (rest / 2..rest / 2 + side, 0),
        None => (0..extent, (side - extent).div_ceil(2)),
    }
}

/// Black around pixels that do not fill the square.
fn framed(
    rgb: Vec<u8>,
    (width, height): (usize, usize),
    (left, top): (usize, usize),
    side: usize,
) -> Vec<u8> {
    if (width, height) == (side, side) {
        return rgb;
    }
    let mut out = vec![0; side * side * CHANNELS];
    let rows = out.chunks_exact_mut(side * CHANNELS).skip(top);
    for (row, from) in rows
        .zip(rgb.chunks_exact((width * CHANNELS).max(1)))
        .take(height)
    {
        let to = row.get_mut(left * CHANNELS..(left + width) * CHANNELS);
        to.unwrap_or_default().copy_from_slice(from);
    }
    out
}

/// What an image processor of transformers does where the file says nothing.
#[derive(Debug, Clone, Copy)]
struct Processor {
    resample: usize,
    crops: bool,
    /// Whether a size that is one number is a square's side.
    squares: bool,
    mean: [f64; CHANNELS],
    deviation: [f64; CHANNELS],
}

const CLIP_MEAN: [f64; CHANNELS] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const CLIP_DEVIATION: [f64; CHANNELS] = [0.268_629_54, 0.261_302_58, 0.275_777_11];

impl Processor {
    fn of(fields: &Fields<'_>) -> Result<Self, String> {
        let field = match fields.get("image_processor_type") {
            Some(_) => "image_processor_type",
            None => "feature_extractor_type",
        };
        let name = fields.text(field)?.unwrap_or_default();
        let stem = name
            .strip_suffix("Fast")
            .or_else(|| name.strip_suffix("Pil"))
            .unwrap_or(name);
        let half = [0.5; CHANNELS];
        match stem {
            "BitImageProcessor" | "CLIPImageProcessor" | "CLIPFeatureExtractor" => Ok(Self {
                resample: 3,
                crops: true,
                squares: false,
                mean: CLIP_MEAN,
                deviation: CLIP_DEVIATION,
            }),
            "SiglipImageProcessor" | "ViTImageProcessor" | "ViTFeatureExtractor" => Ok(Self {
                resample: if stem.starts_with("Siglip") { 3 } else { 2 },
                crops: false,
                squares: true,
                mean: half,
                deviation: half,
            }),
            _ => Err(fields.wrong(
                field,
                "'BitImageProcessor', 'CLIPImageProcessor', 'SiglipImageProcessor' or \
                 'ViTImageProcessor'",
            )),
        }
    }
}

/// The field `size`.
fn size(fields: &Fields<'_>, processor: Processor) -> Result<Resize, String> {
    let of_one = |pixels| match processor.squares {
        true => Resize::Square(pixels),
        false => Resize::ShortestEdge(pixels),
    };
    let Some(Value::Object(size)) = fields.get("size") else {
        return fields.whole("size", Some(224), 1..=MOST_SIDE).map(of_one);
    };
    let inner = Fields::new(FILE, "size.", size);
    if inner.get("longest_edge").is_some() {
        return Err(inner.wrong("longest_edge", "absent"));
    }
    if inner.get("shortest_edge").is_some() {
        let edge = inner.whole("shortest_edge", None, 1..=4 * MOST_SIDE)?;
        return Ok(Resize::ShortestEdge(edge));
    }
    let height = inner.whole("height", None, 1..=MOST_SIDE)?;
    inner.whole("width", None, height..=height)?;
    Ok(Resize::Square(height))
}

/// The side that `crop_size` gives.
fn crop(fields: &Fields<'_>) -> Result<usize, String> {
    let Some(Value::Object(size)) = fields.get("crop_size") else {
        return fields.whole("crop_size", Some(224), 1..=MOST_SIDE);
    };
    let inner = Fields::new(FILE, "crop_size.", size);
    let height = inner.whole("height", None, 1..=MOST_SIDE)?;
    inner.whole("width", None, height..=height)
}

impl Levels {
    fn parse(fields: &Fields<'_>, processor: Processor) -> Result<Self, String> {
        let rescales = fields.flag("do_rescale", true)?;
        let factor = fields.number("rescale_factor", 1.0 / 255.0, 1e-9..=1e9)?;
        let normalises = fields.flag("do_normalize", true)?;
        let three = |name: &str, default: [f64; CHANNELS], least: f64| match fields.get(name) {
            None => Ok(default),
            Some(found) => {
                let values = found.as_array().map(|all| all.iter().map(Value::as_f64));
                let values: Option<Vec<f64>> = values.and_then(Iterator::collect);
                values
                    .and_then(|values| <[f64; CHANNELS]>::try_from(values).ok())
                    .filter(|values| values.iter().all(|value| (least..1e9).contains(value)))
                    .ok_or_else(|| fields.wrong(name, &format!("three numbers from {least}")))
            }
        };
        let mean = three("image_mean", processor.mean, -1e9)?;
        let deviation = three("image_std", processor.deviation, 1e-9)?;
        let mut table = [[0.0; 256]; CHANNELS];
        for (levels, (mean, deviation)) in table.iter_mut().zip(mean.into_iter().zip(deviation)) {
            for (number, level) in levels.iter_mut().zip(0_u8..=255) {
                // As NumPy: the product in f64, what follows in f32.
                let mut value = f32::from(level);
                if rescales {
                    value = (f64::from(level) * factor) as f32;
                }
                if normalises {
                    value = (value - mean as f32) / deviation as f32;
                }
                *number = value;
            }
        }
        let factor = if rescales { factor } else { 1.0 };
        let normal = match normalises {
            true => format!(", mean {mean:?}, deviation {deviation:?}"),
            false => String::new(),
        };
        let text = format!("× {factor:.9}{normal}");
        Ok(Self { table, text })
    }

    fn apply(&self, rgb: &[u8], input: &mut [f32]) {
        let (rgb, _) = rgb.as_chunks::<CHANNELS>();
        let (input, _) = input.as_chunks_mut::<CHANNELS>();
        for (pixel, out) in rgb.iter().zip(input) {
            for ((out, level), table) in out.iter_mut().zip(pixel).zip(&self.table) {
                if let Some(number) = table.get(usize::from(*level)) {
                    *out = *number;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, size: Option<usize>) -> Result<Preparation, String> {
        let config = Config::parse(r#"{"model_type": "clip", "vision_config": {}}"#).unwrap();
        Preparation::parse(text, &config, size)
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (fields, expected) in [
            (r#""do_resize": false"#, "'do_resize' must be true"),
            (
                r#""resample": 1"#,
                "'resample' must be 2 (bilinear) or 3 (bicubic), found 1",
            ),
            (
                r#""size": {"longest_edge": 9}"#,
                "'size.longest_edge' must be absent",
            ),
            (
                r#""size": {"height": 224}"#,
                "'size.width' is missing; it must be 224",
            ),
            (
                r#""size": {"shortest_edge": 1e12}"#,
                "'size.shortest_edge' must be a whole number",
            ),
            (
                r#""do_center_crop": false"#,
                "'do_center_crop' must be true",
            ),
            (
                r#""crop_size": 336"#,
                "make images of 336 pixels a side, and config.json, field 'image_size', says 224",
            ),
            (
                r#""image_std": [1, 0, 1]"#,
                "'image_std' must be three numbers",
            ),
            (r#""image_mean": [1]"#, "'image_mean' must be three numbers"),
        ] {
            let text = format!(r#"{{"image_processor_type": "CLIPImageProcessor", {fields}}}"#);
            let error = parse(&text, None).unwrap_err();
            assert!(
                error.starts_with(FILE) && error.contains(expected),
                "{error}"
            );
        }
        let error = parse(r#"{"image_processor_type": "DonutImageProcessor"}"#, None).unwrap_err();
        assert!(
            error.contains("'image_processor_type' must be 'BitImageProcessor'"),
            "{error}"
        );
        assert!(
            parse("{}", None)
                .unwrap_err()
                .contains("'feature_extractor_type' is missing")
        );
    }

    #[test]
    fn input_size_scales_edge_and_centre() {
        let text =
            r#"{"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 256}}"#;
        let preparation = parse(text, Some(112)).unwrap();
        assert_eq!(preparation.side(), 112);
        assert_eq!(preparation.resize, Resize::ShortestEdge(128));
    }

    #[test]
    fn long_pictures_take_no_more_memory_than_their_centre() {
        let text = r#"{"feature_extractor_type": "CLIPFeatureExtractor", "size": 224}"#;
        let preparation = parse(text, None).unwrap();
        let (width, height) = (3_000_000, 1);
        let mut input = vec![f32::NAN; 224 * 224 * 3];
        preparation.apply(vec![128; width * height * 3], (width, height), &mut input);
        let expected =
            ((128.0 * (1.0 / 255.0)) as f32 - CLIP_MEAN[0] as f32) / CLIP_DEVIATION[0] as f32;
        assert_eq!(input[0], expected);
        assert!(input.iter().all(|value| value.is_finite()));
    }

    #[test]
    fn what_is_smaller_is_framed_in_black() {
        let text =
            r#"{"image_processor_type": "CLIPImageProcessor", "size": 221, "do_normalize": false}"#;
        let mut input = vec![f32::NAN; 224 * 224 * 3];
        parse(text, None)
            .unwrap()
            .apply(vec![255; 3], (1, 1), &mut input);
        let white = |y: usize, x: usize| input[(y * 224 + x) * 3] == 1.0;
        assert!(!white(1, 100) && white(2, 2) && white(222, 222) && !white(223, 100));
    }
}
