//! From samples to RGB, as Pillow's modes and `convert("RGB")` do.

use super::super::error::Cause;
use super::super::levels::{cmyk_to_rgb, without_premultiplication};
use super::super::{DeepGrey, RgbPixels};
use super::chunks::Chunks;
use super::directory::ByteOrder;
use super::layout::{Layout, Meaning, Numbers};

/// Reads all strips or tiles into a picture, not turned yet.
pub(super) fn read(
    layout: &Layout,
    chunks: &Chunks<'_>,
    deep: DeepGrey,
) -> Result<RgbPixels, Cause> {
    let (width, height) = (layout.width as usize, layout.height as usize);
    let (wide, high) = (layout.chunk.0 as usize, layout.chunk.1 as usize);
    let (across, down) = layout.grid();
    let planes = if layout.separate {
        planes_of(&layout.meaning)
    } else {
        1
    };
    let mut data = vec![0; width * height * 3];
    for index in 0..across * down {
        let (left, top) = (index % across * wide, index / across * high);
        // The last strip ends with the picture; tiles are whole.
        let kept = high.min(height - top);
        let rows = if layout.tiled { high } else { kept };
        let parts: Vec<Vec<u8>> = (0..planes)
            .map(|plane| chunks.read(plane * across * down + index, rows))
            .collect::<Result<_, _>>()?;
        let mut row = Row::new(layout, deep);
        for y in 0..kept {
            let pixels = row.rgb(&parts, y)?;
            let from = ((top + y) * width + left) * 3;
            let length = 3 * wide.min(width - left);
            let place = data.get_mut(from..from + length);
            if let Some((place, pixels)) = place.zip(pixels.get(..length)) {
                place.copy_from_slice(pixels);
            }
        }
    }
    Ok(RgbPixels {
        width,
        height,
        data,
    })
}

/// Planes that colours come from.
fn planes_of(meaning: &Meaning) -> usize {
    match meaning {
        Meaning::Rgb {
            premultiplied: true,
        }
        | Meaning::Cmyk => 4,
        Meaning::Rgb { .. } | Meaning::YCbCr => 3,
        Meaning::Grey { .. } | Meaning::Deep(_) | Meaning::Palette(_) => 1,
    }
}

/// A row on its way, its buffers used again for each.
struct Row<'a> {
    layout: &'a Layout,
    deep: DeepGrey,
    /// Levels of eight bits, or indices, of a pixel's samples beside each other.
    levels: Vec<u8>,
    plane: Vec<u8>,
    pixels: Vec<u8>,
}

impl<'a> Row<'a> {
    fn new(layout: &'a Layout, deep: DeepGrey) -> Self {
        Self {
            layout,
            deep,
            levels: Vec::new(),
            plane: Vec::new(),
            pixels: Vec::new(),
        }
    }

    /// The pixels of row `y` of a strip or tile, whose samples may be in parts of their own.
    fn rgb(&mut self, parts: &[Vec<u8>], y: usize) -> Result<&[u8], Cause> {
        let layout = self.layout;
        let length = match layout.meaning {
            Meaning::YCbCr => layout.chunk.0 as usize * 3,
            _ => layout.row_length(),
        };
        let rows = parts
            .iter()
            .map(|part| part.get(y * length..(y + 1) * length));
        let rows = rows.map(Option::unwrap_or_default);
        self.levels.clear();
        if let Meaning::Deep(numbers) = layout.meaning {
            rows.take(1)
                .try_for_each(|row| self.deep_levels(row, numbers))?;
        } else if let [_] = parts {
            rows.for_each(|row| levels(layout, row, &mut self.levels));
        } else {
            self.levels.resize(layout.chunk.0 as usize * parts.len(), 0);
            for (plane, row) in rows.enumerate() {
                self.plane.clear();
                levels(layout, row, &mut self.plane);
                let places = self.levels.iter_mut().skip(plane).step_by(parts.len());
                places
                    .zip(&self.plane)
                    .for_each(|(place, level)| *place = *level);
            }
        }
        let step = match (&layout.meaning, parts) {
            (Meaning::YCbCr, _) => 3,
            (Meaning::Deep(_), _) if !layout.separate => layout.samples,
            (_, [_]) => layout.samples_together(),
            (_, parts) => parts.len(),
        };
        self.pixels.clear();
        let pixels = self.levels.chunks_exact(step);
        match &layout.meaning {
            Meaning::Grey { white_is_zero } => {
                let flip = if *white_is_zero { 255 } else { 0 };
                let grey = pixels.flat_map(|pixel| pixel.first());
                self.pixels.extend(grey.flat_map(|grey| [grey ^ flip; 3]));
            }
            Meaning::Deep(_) => {
                let grey = pixels.flat_map(|pixel| pixel.first());
                self.pixels.extend(grey.flat_map(|grey| [*grey; 3]));
            }
            Meaning::Palette(colours) => {
                let indices = pixels.flat_map(|pixel| pixel.first());
                let colours = indices.map(|index| colours.get(usize::from(*index)));
                self.pixels
                    .extend(colours.flat_map(|colour| colour.copied().unwrap_or_default()));
            }
            Meaning::Rgb {
                premultiplied: true,
            } => self.pixels.extend(
                pixels
                    .flat_map(|pixel| pixel.first_chunk().map(without_premultiplication))
                    .flatten(),
            ),
            Meaning::Rgb { .. } | Meaning::YCbCr => {
                let colours = pixels.flat_map(|pixel| pixel.get(..3)).flatten();
                self.pixels.extend(colours);
            }
            Meaning::Cmyk => {
                let inks = pixels.flat_map(|pixel| pixel.first_chunk().copied());
                self.pixels.extend(inks.flat_map(cmyk_to_rgb));
            }
        }
        Ok(&self.pixels)
    }

    /// Grey of more than eight bits: its high byte, or as Pillow does, all above 255 white.
    fn deep_levels(&mut self, row: &[u8], numbers: Numbers) -> Result<(), Cause> {
        let order = self.layout.order;
        let clip = self.deep == DeepGrey::Clip;
        let (shorts, _) = row.as_chunks::<2>();
        let (longs, _) = row.as_chunks::<4>();
        match (self.layout.bits, numbers) {
            (16, Numbers::Unsigned) => self.levels.extend(
                shorts
                    .iter()
                    .map(|value| self.deep.level(order.short(*value))),
            ),
            (12, _) => {
                let (triples, rest) = row.as_chunks::<3>();
                let last = rest
                    .first_chunk::<2>()
                    .map(|[first, second]| [*first, *second, 0]);
                let pairs =
                    triples
                        .iter()
                        .copied()
                        .chain(last)
                        .flat_map(|[first, second, third]| {
                            let second = u16::from(second);
                            [
                                u16::from(first) << 4 | second >> 4,
                                (second & 15) << 8 | u16::from(third),
                            ]
                        });
                let level = |value: u16| {
                    if clip {
                        value.min(255) as u8
                    } else {
                        (value >> 4) as u8
                    }
                };
                self.levels.extend(pairs.map(level));
            }
            _ if !clip => return Err(self.deep.refuses(self.layout.bits)),
            (16, _) => self.levels.extend(
                shorts
                    .iter()
                    .map(|value| (order.short(*value) as i16).clamp(0, 255) as u8),
            ),
            (_, Numbers::Float) => self.levels.extend(longs.iter().map(|value| {
                // Not a number, and what is below 0, is 0.
                f32::from_bits(order.long(*value)) as u8
            })),
            // Pillow reads numbers without a sign as if they had one.
            _ => self.levels.extend(
                longs
                    .iter()
                    .map(|value| (order.long(*value) as i32).clamp(0, 255) as u8),
            ),
        }
        Ok(())
    }
}

/// Samples of up to 16 bits as levels of eight; indices as they are.
fn levels(layout: &Layout, row: &[u8], out: &mut Vec<u8>) {
    let bits = layout.bits;
    match bits {
        8 => out.extend(row),
        16 => {
            let (shorts, _) = row.as_chunks::<2>();
            let high = usize::from(layout.order == ByteOrder::Little);
            out.extend(shorts.iter().flat_map(|short| short.get(high)));
        }
        _ => {
            let mask = u8::MAX >> (8 - bits);
            let white = match layout.meaning {
                Meaning::Palette(_) => 1,
                _ => 255 / mask,
            };
            out.extend(row.iter().flat_map(|byte| {
                let places = (0..8 / bits).rev();
                places.map(move |place| (byte >> (place * bits) & mask) * white)
            }));
        }
    }
}
