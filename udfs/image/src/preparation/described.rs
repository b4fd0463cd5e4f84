//! A preparation in the words of `preprocessor_config.json`.

use serde_json::Value;

use super::levels::Levels;
use super::processor::Processor;
use super::steps::{Numbers, Preparation, Resize};
use crate::json::{self, Fields};
use crate::models::MOST_SIDE;
use crate::resize::Filter;
use crate::settings::ONNX_PREPROCESSING;

/// Checks what the setting `featurize.onnx_preprocessing` says.
///
/// # Errors
///
/// Which field is wrong, what was expected and what was found.
pub fn check(text: &str) -> Result<(), String> {
    Description::of_setting(text).parse(None).map(drop)
}

/// A text that says how pictures are prepared, and what is known beside it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Description<'a> {
    /// What the text is called in messages.
    pub(crate) file: &'static str,
    pub(crate) text: &'a str,
    /// Set where the network takes one side only, unless it is told to.
    pub(crate) fixed: Option<Fixed>,
    /// Whether it may leave the image processor out, and then says everything itself.
    pub(crate) may_be_plain: bool,
}

/// The side of the images that a network was made for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fixed {
    pub(crate) side: usize,
    /// Who says so, and that it does.
    pub(crate) says: &'static str,
}

impl<'a> Description<'a> {
    /// The file of a transformer's folder.
    pub(crate) fn of_folder(text: &'a str, fixed: Option<Fixed>) -> Self {
        Self {
            file: "preprocessor_config.json",
            text,
            fixed,
            may_be_plain: false,
        }
    }

    /// The setting, for a network in an ONNX file.
    pub(crate) fn of_setting(text: &'a str) -> Self {
        Self {
            file: ONNX_PREPROCESSING,
            text,
            fixed: None,
            may_be_plain: true,
        }
    }

    /// Reads it. With an `input_size`, everything is scaled so that the network is fed images of this side.
    ///
    /// # Errors
    ///
    /// Which field is wrong, what was expected and what was found.
    pub(crate) fn parse(&self, input_size: Option<usize>) -> Result<Preparation, String> {
        let root = json::object(self.file, self.text)?;
        let fields = Fields::new(self.file, "", &root);
        let processor = Processor::of(&fields, self.may_be_plain)?;
        if !fields.flag("do_resize", true)? {
            let expected = "true: pictures of all sizes go into one network";
            return Err(fields.wrong("do_resize", expected));
        }
        if fields.flag("do_pad", false)? {
            return Err(fields.wrong("do_pad", "false"));
        }
        let filter = match fields.whole("resample", processor.resample, 0..=5) {
            Ok(2) => Filter::Bilinear,
            Ok(3) => Filter::Bicubic,
            _ => return Err(fields.wrong("resample", "2 (bilinear) or 3 (bicubic)")),
        };
        let mut resize = self.size(&fields, processor)?;
        let crops = processor.crops;
        let crops = crops.unwrap_or_else(|| fields.get("crop_size").is_some());
        let crop = match fields.flag("do_center_crop", crops)? {
            true => Some(self.crop(&fields, processor)?),
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
        } else if let Some(fixed) = self.fixed.filter(|fixed| fixed.side != side) {
            return Err(format!(
                "{}: fields 'size' and 'crop_size' make images of {side} pixels a side, and {} {}; \
                 give the input_size that is meant",
                self.file, fixed.says, fixed.side
            ));
        }
        let levels = Levels::parse(&fields, processor)?;
        Ok(Preparation {
            resize,
            filter,
            side,
            numbers: Numbers::Own(Box::new(levels)),
        })
    }

    /// The field `size`.
    fn size(&self, fields: &Fields<'_>, processor: Processor) -> Result<Resize, String> {
        let Some(Value::Object(size)) = fields.get("size") else {
            let Some(squares) = processor.squares else {
                let expected =
                    r#"{"shortest_edge": 256} or {"height": 224, "width": 224}, of pixels"#;
                return Err(fields.wrong("size", expected));
            };
            let pixels = fields.whole("size", processor.pixels, 1..=MOST_SIDE)?;
            return Ok(match squares {
                true => Resize::Square(pixels),
                false => Resize::ShortestEdge(pixels),
            });
        };
        let inner = Fields::new(self.file, "size.", size);
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
    fn crop(&self, fields: &Fields<'_>, processor: Processor) -> Result<usize, String> {
        let Some(Value::Object(size)) = fields.get("crop_size") else {
            return fields.whole("crop_size", processor.pixels, 1..=MOST_SIDE);
        };
        let inner = Fields::new(self.file, "crop_size.", size);
        let height = inner.whole("height", None, 1..=MOST_SIDE)?;
        inner.whole("width", None, height..=height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, size: Option<usize>) -> Result<Preparation, String> {
        let fixed = Fixed {
            side: 224,
            says: "config.json, field 'image_size', says",
        };
        Description::of_folder(text, Some(fixed)).parse(size)
    }

    /// Without an image processor, as beside an ONNX file.
    fn plain(text: &str) -> Result<Preparation, String> {
        let description = Description {
            may_be_plain: true,
            ..Description::of_folder(text, None)
        };
        description.parse(None)
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
                error.starts_with("preprocessor_config.json") && error.contains(expected),
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
    fn without_an_image_processor_everything_is_said() {
        let all = [
            r#""size": {"shortest_edge": 256}"#,
            r#""resample": 2"#,
            r#""crop_size": 224"#,
            r#""rescale_factor": 0.00392156862745098"#,
            r#""image_mean": [0.485, 0.456, 0.406]"#,
            r#""image_std": [0.229, 0.224, 0.225]"#,
        ];
        let text = |fields: &[&str]| format!("{{{}}}", fields.join(", "));
        let preparation = plain(&text(&all)).unwrap();
        assert_eq!(
            preparation.describe(),
            "bilinear, shortest edge to 256, centre of 224 × 224, × 0.003921569, mean [0.485, 0.456, \
             0.406], deviation [0.229, 0.224, 0.225]"
        );
        for (left_out, expected) in [
            (0, "'size' is missing; it must be {\"shortest_edge\""),
            (1, "'resample' is missing; it must be 2 (bilinear)"),
            (2, "'do_center_crop' is missing; it must be true"),
            (3, "'rescale_factor' is missing"),
            (4, "'image_mean' is missing; it must be three numbers"),
            (5, "'image_std' is missing"),
        ] {
            let mut fields = all.to_vec();
            fields.remove(left_out);
            let error = plain(&text(&fields)).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        let with = |field| plain(&text(&[all.as_slice(), &[field]].concat()));
        let error = with(r#""image_deviation": 1"#).unwrap_err();
        assert!(
            error.contains("there is no field 'image_deviation'; the fields are size, resample"),
            "{error}"
        );
        let error = with(r#""image_processor_type": "ConvNextImageProcessor""#).unwrap_err();
        assert!(
            error.contains("or absent, and everything that it does said"),
            "{error}"
        );
        let flipped = with(r#""do_flip_channel_order": true"#).unwrap();
        assert!(flipped.describe().ends_with(", blue first"));
    }
}
