//! GIF, the first frame on its canvas, as Pillow shows it.
//!
//! The canvas is the screen, grown to hold the frame. Where the frame does not reach, it shows
//! colour 0, or the colour that the frame calls transparent.

use std::borrow::Cow;
use std::io::Cursor;
use std::num::NonZeroU64;

use gif::{ColorOutput, DecodeOptions, Decoder, DecodingError, MemoryLimit};

use super::error::Cause;
use super::opened::{Opened, memory_limit};
use super::{Details, Format, Header, RgbPixels};

/// Reads as far as the header of the first frame.
pub(super) fn open(bytes: &[u8]) -> Result<Box<dyn Opened + '_>, Cause> {
    let bytes = with_palette(bytes);
    // The largest picture a header can claim is checked before its pixels are read.
    let mut decoder = decoder(&bytes, u64::MAX)?;
    let screen = (decoder.width(), decoder.height());
    let frame = decoder.next_frame_info().map_err(|error| cause(&error))?;
    let frame = frame.ok_or_else(|| Cause::Corrupt("it has no frame".to_owned()))?;
    let side = |screen: u16, from: u16, length: u16| {
        u32::from(screen).max(u32::from(from) + u32::from(length))
    };
    let width = side(screen.0, frame.left, frame.width);
    let height = side(screen.1, frame.top, frame.height);
    let transparent = frame.transparent.is_some();
    Ok(Box::new(Gif {
        bytes,
        transparent,
        width,
        height,
    }))
}

/// A file without a palette for all frames is given one, the levels of grey, which the decoder wants
/// even for a frame that has its own.
fn with_palette(bytes: &[u8]) -> Cow<'_, [u8]> {
    const FLAGS: usize = 10;
    const HEADER: usize = 13;
    const PALETTE: u8 = 0x80;
    const COLOURS: u8 = 7;
    match (bytes.get(FLAGS), bytes.split_at_checked(HEADER)) {
        (Some(flags), Some((header, rest))) if flags & PALETTE == 0 => {
            let grey = (0..=255).flat_map(|level: u8| [level; 3]);
            let mut copy: Vec<u8> = header.iter().copied().chain(grey).collect();
            if let Some(flags) = copy.get_mut(FLAGS) {
                *flags |= PALETTE | COLOURS;
            }
            copy.extend(rest);
            Cow::Owned(copy)
        }
        _ => Cow::Borrowed(bytes),
    }
}

fn decoder(bytes: &[u8], most: u64) -> Result<Decoder<Cursor<&[u8]>>, Cause> {
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    options
        .set_memory_limit(NonZeroU64::new(most).map_or(MemoryLimit::Unlimited, MemoryLimit::Bytes));
    options
        .read_info(Cursor::new(bytes))
        .map_err(|error| cause(&error))
}

/// Most frames that are counted.
const MOST_FRAMES: u32 = 10_000;

struct Gif<'a> {
    bytes: Cow<'a, [u8]>,
    transparent: bool,
    width: u32,
    height: u32,
}

impl Gif<'_> {
    /// Frames whose pixels are passed over.
    fn frames(&self) -> u32 {
        let mut options = DecodeOptions::new();
        options.skip_frame_decoding(true);
        let Ok(mut decoder) = options.read_info(Cursor::new(&self.bytes)) else {
            return 1;
        };
        let mut frames = 0;
        while frames < MOST_FRAMES && matches!(decoder.next_frame_info(), Ok(Some(_))) {
            frames += 1;
        }
        frames.max(1)
    }
}

impl Opened for Gif<'_> {
    fn header(&self) -> Header {
        Header {
            format: Format::Gif,
            width: self.width,
            height: self.height,
            color: "RGBA".to_owned(),
        }
    }

    fn details(&self) -> Details {
        Details {
            frames: self.frames(),
            transparency: self.transparent,
            ..Details::default()
        }
    }

    fn read(self: Box<Self>) -> Result<RgbPixels, Cause> {
        let (width, height) = (self.width as usize, self.height as usize);
        let mut decoder = decoder(&self.bytes, memory_limit(self.width, self.height))?;
        let all = decoder.global_palette().map(<[u8]>::to_vec);
        let frame = decoder.read_next_frame().map_err(|error| cause(&error))?;
        let frame = frame.ok_or_else(|| Cause::Corrupt("it has no frame".to_owned()))?;
        let palette = frame.palette.as_ref().or(all.as_ref());
        let (colours, _) = palette
            .map(Vec::as_slice)
            .unwrap_or_default()
            .as_chunks::<3>();
        // An index beyond the palette is black.
        let colour = |index: u8| colours.get(usize::from(index)).copied().unwrap_or_default();
        let canvas = colour(frame.transparent.unwrap_or(0));
        let mut data: Vec<u8> = std::iter::repeat_n(canvas, width * height)
            .flatten()
            .collect();
        let across = usize::from(frame.width).max(1);
        let rows = data.chunks_exact_mut(3 * width).skip(frame.top.into());
        for (row, indices) in rows.zip(frame.buffer.chunks_exact(across)) {
            let (pixels, _) = row.as_chunks_mut::<3>();
            let pixels = pixels.iter_mut().skip(frame.left.into());
            for (pixel, index) in pixels.zip(indices) {
                *pixel = colour(*index);
            }
        }
        Ok(RgbPixels {
            width,
            height,
            data,
        })
    }
}

fn cause(error: &DecodingError) -> Cause {
    match error {
        DecodingError::Io(_) => Cause::Truncated(error.to_string()),
        _ => Cause::Corrupt(error.to_string()),
    }
}
