//! The arithmetic between 8-bit pixels and what a network is fed, as a table.

use serde_json::Value;

use super::processor::{CHANNELS, Processor};
use crate::json::Fields;

/// The number for each level of each channel, in the order in which the network is fed them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Levels {
    table: [[f32; 256]; CHANNELS],
    /// Whether blue comes first.
    flipped: bool,
    text: String,
}

impl Levels {
    pub(super) fn parse(fields: &Fields<'_>, processor: Processor) -> Result<Self, String> {
        let factor = match fields.flag("do_rescale", true)? {
            true => Some(fields.number("rescale_factor", processor.factor, 1e-9..=1e9)?),
            false => None,
        };
        let normal = match fields.flag("do_normalize", true)? {
            true => Some((
                three(fields, "image_mean", processor.mean, -1e9)?,
                three(fields, "image_std", processor.deviation, 1e-9)?,
            )),
            false => None,
        };
        let flipped = processor.may_flip && fields.flag("do_flip_channel_order", false)?;
        let mut table = [[0.0; 256]; CHANNELS];
        for (channel, levels) in table.iter_mut().enumerate() {
            let normal = normal.as_ref().and_then(|(mean, deviation)| {
                Some((*mean.get(channel)? as f32, *deviation.get(channel)? as f32))
            });
            for (number, level) in levels.iter_mut().zip(0_u8..=255) {
                // As NumPy: the product in f64, what follows in f32.
                let mut value = match factor {
                    Some(factor) => (f64::from(level) * factor) as f32,
                    None => f32::from(level),
                };
                if let Some((mean, deviation)) = normal {
                    value = (value - mean) / deviation;
                }
                *number = value;
            }
        }
        let normal = normal.map_or_else(String::new, |(mean, deviation)| {
            format!(", mean {mean:?}, deviation {deviation:?}")
        });
        let order = if flipped { ", blue first" } else { "" };
        let text = format!("× {:.9}{normal}{order}", factor.unwrap_or(1.0));
        Ok(Self {
            table,
            flipped,
            text,
        })
    }

    /// What it does.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Converts interleaved RGB bytes to interleaved network input of the same length.
    pub(super) fn apply(&self, rgb: &[u8], input: &mut [f32]) {
        let (rgb, _) = rgb.as_chunks::<CHANNELS>();
        let (input, _) = input.as_chunks_mut::<CHANNELS>();
        for (pixel, out) in rgb.iter().zip(input) {
            let [red, green, blue] = *pixel;
            let pixel = match self.flipped {
                true => [blue, green, red],
                false => [red, green, blue],
            };
            for ((out, level), table) in out.iter_mut().zip(pixel).zip(&self.table) {
                if let Some(number) = table.get(usize::from(level)) {
                    *out = *number;
                }
            }
        }
    }
}

/// A number for each channel; without a default it must be there.
fn three(
    fields: &Fields<'_>,
    name: &str,
    default: Option<[f64; CHANNELS]>,
    least: f64,
) -> Result<[f64; CHANNELS], String> {
    let found = match fields.get(name) {
        None => default,
        Some(found) => {
            let values = found.as_array().map(|all| all.iter().map(Value::as_f64));
            let values: Option<Vec<f64>> = values.and_then(Iterator::collect);
            values.and_then(|values| values.try_into().ok())
        }
    };
    found
        .filter(|values| values.iter().all(|value| (least..1e9).contains(value)))
        .ok_or_else(|| fields.wrong(name, &format!("three numbers from {least}")))
}
