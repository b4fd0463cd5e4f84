//! PNG and WebP, by the `image` crate.

use std::io::Cursor;

use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::{DynamicImage, ExtendedColorType, ImageDecoder, ImageError, ImageResult};

use super::error::Cause;
use super::opened::{DECODER_OVERHEAD, Opened, memory_limit};
use super::{DecodeOptions, DeepGrey, Details, Format, Header, RgbPixels, metadata, webp};

/// Where a PNG says what its pixels are: in the chunk IHDR, which is the first.
const COLOUR_TYPE: usize = 25;
const GREY_ALPHA: u8 = 4;

/// Reads the header of a PNG.
pub(super) fn png(bytes: &[u8], options: DecodeOptions) -> Result<Box<dyn Opened + '_>, Cause> {
    let mut limits = image::Limits::no_limits();
    limits.max_alloc = Some(DECODER_OVERHEAD);
    let decoder = PngDecoder::with_limits(Cursor::new(bytes), limits);
    let mut options = options;
    if bytes.get(COLOUR_TYPE) == Some(&GREY_ALPHA) {
        // Pillow, too, takes the high byte here. A level that is transparent makes no such picture.
        options.deep_grey = DeepGrey::HighByte;
    }
    boxed(Format::Png, metadata::of_png(bytes), decoder, options)
}

/// Reads the header of a WebP.
pub(super) fn webp(bytes: &[u8], options: DecodeOptions) -> Result<Box<dyn Opened + '_>, Cause> {
    if let Some(said) = webp::missing_length(bytes) {
        return Err(Cause::Truncated(format!("it says it has {said} bytes")));
    }
    if let Some(misfit) = webp::misfit(bytes) {
        return Err(Cause::Corrupt(misfit));
    }
    let details = metadata::of_webp(bytes);
    match webp::unmixed(bytes) {
        Some(copy) => {
            let decoder = WebPDecoder::new(Cursor::new(copy));
            boxed(Format::WebP, details, decoder, options)
        }
        None => {
            let decoder = WebPDecoder::new(Cursor::new(bytes));
            boxed(Format::WebP, details, decoder, options)
        }
    }
}

fn boxed<'a, D: ImageDecoder + 'a>(
    format: Format,
    details: Details,
    decoder: ImageResult<D>,
    options: DecodeOptions,
) -> Result<Box<dyn Opened + 'a>, Cause> {
    Ok(Box::new(Raster {
        format,
        details,
        decoder: decoder.map_err(|error| cause(&error))?,
        deep_grey: options.deep_grey,
    }))
}

struct Raster<D> {
    format: Format,
    details: Details,
    decoder: D,
    deep_grey: DeepGrey,
}

impl<D: ImageDecoder> Opened for Raster<D> {
    fn header(&self) -> Header {
        let (width, height) = self.decoder.dimensions();
        Header {
            format: self.format,
            width,
            height,
            color: color_name(self.decoder.original_color_type()),
        }
    }

    fn details(&self) -> Details {
        self.details
    }

    fn read(self: Box<Self>) -> Result<RgbPixels, Cause> {
        let mut decoder = self.decoder;
        let (width, height) = decoder.dimensions();
        let mut limits = image::Limits::no_limits();
        limits.max_alloc = Some(memory_limit(width, height));
        decoder
            .set_limits(limits)
            .and_then(|()| DynamicImage::from_decoder(decoder))
            .map(|image| RgbPixels {
                width: width as usize,
                height: height as usize,
                data: into_rgb(image, self.deep_grey),
            })
            .map_err(|error| cause(&error))
    }
}

fn into_rgb(image: DynamicImage, deep: DeepGrey) -> Vec<u8> {
    fn high_byte(value: u16) -> u8 {
        (value >> 8) as u8
    }
    match image {
        DynamicImage::ImageRgb8(image) => image.into_raw(),
        DynamicImage::ImageLuma8(image) => image.iter().flat_map(|grey| [*grey; 3]).collect(),
        DynamicImage::ImageLumaA8(image) => {
            let (pixels, _) = image.as_chunks::<2>();
            pixels.iter().flat_map(|[grey, _]| [*grey; 3]).collect()
        }
        DynamicImage::ImageRgba8(image) => {
            let (pixels, _) = image.as_chunks::<4>();
            pixels
                .iter()
                .flat_map(|[red, green, blue, _]| [*red, *green, *blue])
                .collect()
        }
        DynamicImage::ImageLuma16(image) => image
            .iter()
            .flat_map(|grey| [deep.level(*grey); 3])
            .collect(),
        DynamicImage::ImageLumaA16(image) => {
            let (pixels, _) = image.as_chunks::<2>();
            pixels
                .iter()
                .flat_map(|[grey, _]| [deep.level(*grey); 3])
                .collect()
        }
        DynamicImage::ImageRgb16(image) => image.iter().copied().map(high_byte).collect(),
        DynamicImage::ImageRgba16(image) => {
            let (pixels, _) = image.as_chunks::<4>();
            pixels
                .iter()
                .flat_map(|[red, green, blue, _]| [*red, *green, *blue].map(high_byte))
                .collect()
        }
        other => other.into_rgb8().into_raw(),
    }
}

fn cause(error: &ImageError) -> Cause {
    let text = error_chain(error);
    let lower = text.to_lowercase();
    let ends_early = matches!(
        error,
        ImageError::IoError(io) if io.kind() == std::io::ErrorKind::UnexpectedEof
    );
    let hints = ["unexpected end", "unexpected eof", "failed to fill"];
    if ends_early || hints.iter().any(|hint| lower.contains(hint)) {
        Cause::Truncated(text)
    } else {
        Cause::Corrupt(text)
    }
}

/// The messages of an error and its sources, each only once.
fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let message = cause.to_string();
        if !text.contains(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        source = cause.source();
    }
    text
}

fn color_name(color: ExtendedColorType) -> String {
    let bits = color.bits_per_pixel() / u16::from(color.channel_count().max(1));
    let mode = match color {
        ExtendedColorType::Cmyk8 | ExtendedColorType::Cmyk16 => "CMYK",
        ExtendedColorType::A8 => "A",
        _ => match color.channel_count() {
            1 => "L",
            2 => "LA",
            3 => "RGB",
            _ => "RGBA",
        },
    };
    if bits == 8 {
        mode.to_owned()
    } else {
        format!("{mode};{bits}")
    }
}
