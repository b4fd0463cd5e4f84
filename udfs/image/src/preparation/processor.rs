//! Image processors of transformers: what they do unless a file says otherwise.

use crate::json::Fields;

/// Bytes of an RGB pixel.
pub(super) const CHANNELS: usize = 3;

/// What an image processor of transformers does where the file says nothing; `None` where nobody knows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Processor {
    pub(super) resample: Option<usize>,
    pub(super) crops: Option<bool>,
    /// Whether a size that is one number is a square's side.
    pub(super) squares: Option<bool>,
    pub(super) pixels: Option<usize>,
    pub(super) factor: Option<f64>,
    pub(super) mean: Option<[f64; CHANNELS]>,
    pub(super) deviation: Option<[f64; CHANNELS]>,
    /// Whether it knows the field `do_flip_channel_order`.
    pub(super) may_flip: bool,
}

pub(super) const CLIP_MEAN: [f64; CHANNELS] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
pub(super) const CLIP_DEVIATION: [f64; CHANNELS] = [0.268_629_54, 0.261_302_58, 0.275_777_11];

/// What may be said without an image processor.
const PLAIN: [&str; 12] = [
    "size",
    "resample",
    "crop_size",
    "rescale_factor",
    "image_mean",
    "image_std",
    "do_resize",
    "do_center_crop",
    "do_rescale",
    "do_normalize",
    "do_flip_channel_order",
    "do_convert_rgb",
];

impl Processor {
    /// Who does nothing that is not said.
    const UNKNOWN: Self = Self {
        resample: None,
        crops: None,
        squares: None,
        pixels: None,
        factor: None,
        mean: None,
        deviation: None,
        may_flip: true,
    };

    pub(super) fn of(fields: &Fields<'_>, may_be_plain: bool) -> Result<Self, String> {
        let field = match fields.get("image_processor_type") {
            Some(_) => "image_processor_type",
            None => "feature_extractor_type",
        };
        let name = fields.text(field)?;
        if may_be_plain && name.is_none() {
            fields.only(&PLAIN)?;
            return Ok(Self::UNKNOWN);
        }
        let name = name.unwrap_or_default();
        let stem = name
            .strip_suffix("Fast")
            .or_else(|| name.strip_suffix("Pil"))
            .unwrap_or(name);
        let known = Self {
            pixels: Some(224),
            factor: Some(1.0 / 255.0),
            may_flip: false,
            ..Self::UNKNOWN
        };
        match stem {
            "BitImageProcessor" | "CLIPImageProcessor" | "CLIPFeatureExtractor" => Ok(Self {
                resample: Some(3),
                crops: Some(true),
                squares: Some(false),
                mean: Some(CLIP_MEAN),
                deviation: Some(CLIP_DEVIATION),
                ..known
            }),
            "SiglipImageProcessor" | "ViTImageProcessor" | "ViTFeatureExtractor" => {
                let is_siglip = stem.starts_with("Siglip");
                Ok(Self {
                    resample: Some(if is_siglip { 3 } else { 2 }),
                    crops: Some(false),
                    squares: Some(true),
                    mean: Some([0.5; CHANNELS]),
                    deviation: Some([0.5; CHANNELS]),
                    ..known
                })
            }
            _ => {
                let known = "'BitImageProcessor', 'CLIPImageProcessor', 'SiglipImageProcessor' or \
                             'ViTImageProcessor'";
                let plain = match may_be_plain {
                    true => ", or absent, and everything that it does said by the other fields",
                    false => "",
                };
                Err(fields.wrong(field, &format!("{known}{plain}")))
            }
        }
    }
}
