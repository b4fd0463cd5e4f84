//! Resize, cut out, frame, and compute.

use std::ops::Range;

use super::levels::Levels;
use super::processor::CHANNELS;
use crate::preprocess::Preprocessing;
use crate::resize::{Filter, resize_part};

/// How a picture becomes the input of a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Preparation {
    pub(super) resize: Resize,
    pub(super) filter: Filter,
    /// Height and width of what is fed to the network.
    pub(super) side: usize,
    pub(super) numbers: Numbers,
}

/// The size that a picture is brought to before its centre is cut out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resize {
    /// A square, whatever the picture's shape was.
    Square(usize),
    /// The shorter side has so many pixels, and the shape stays.
    ShortestEdge(usize),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Numbers {
    /// The conventions of a library.
    Library(Preprocessing),
    Own(Box<Levels>),
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
            Numbers::Own(levels) => levels.text(),
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

#[cfg(test)]
mod tests {
    use super::super::described::Description;
    use super::super::processor::{CLIP_DEVIATION, CLIP_MEAN};
    use super::*;

    fn parse(text: &str) -> Preparation {
        let description = Description {
            may_be_plain: true,
            ..Description::of_folder(text, None)
        };
        description.parse(None).unwrap()
    }

    #[test]
    fn long_pictures_take_no_more_memory_than_their_centre() {
        let text = r#"{"feature_extractor_type": "CLIPFeatureExtractor", "size": 224}"#;
        let preparation = parse(text);
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
        parse(text).apply(vec![255; 3], (1, 1), &mut input);
        let white = |y: usize, x: usize| input[(y * 224 + x) * 3] == 1.0;
        assert!(!white(1, 100) && white(2, 2) && white(222, 222) && !white(223, 100));
    }

    #[test]
    fn blue_comes_first_where_it_is_said() {
        // As Keras's caffe: the means are in the order in which the network is fed the channels.
        let text = r#"{"size": {"height": 1, "width": 1}, "resample": 3, "do_rescale": false,
            "image_mean": [1, 2, 3], "image_std": [1, 1, 1], "do_flip_channel_order": true}"#;
        let mut input = [0.0; 3];
        parse(text).apply(vec![10, 20, 30], (1, 1), &mut input);
        assert_eq!(input, [29.0, 18.0, 7.0]);
    }
}
