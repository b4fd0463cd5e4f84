//! Every format but JPEG and GIF, by the `image` crate, and TIFF with a palette by its `tiff`.

use std::io::Cursor;

use image::codecs::bmp::BmpDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::tiff::TiffDecoder;
use image::codecs::webp::WebPDecoder;
use image::error::UnsupportedErrorKind;
use image::{DynamicImage, ExtendedColorType, ImageDecoder, ImageError, ImageResult};

use super::error::Cause;
use super::{DECODER_OVERHEAD, Format, Header, Opened, RgbPixels, memory_limit, palette, webp};

/// Reads the header.
pub(super) fn open(format: Format, bytes: &[u8]) -> Result<Box<dyn Opened + '_>, Cause> {
    let reader = Cursor::new(bytes);
    let opened = match format {
        Format::Bmp => boxed(format, BmpDecoder::new(reader)),
        Format::Png => {
            let mut limits = image::Limits::no_limits();
            limits.max_alloc = Some(DECODER_OVERHEAD);
            boxed(format, PngDecoder::with_limits(reader, limits))
        }
        Format::Tiff => match palette::open(bytes) {
            Some(opened) => return opened,
            None => boxed(format, TiffDecoder::new(reader)),
        },
        Format::WebP => {
            if let Some(said) = webp::missing_length(bytes) {
                return Err(Cause::Truncated(format!("it says it has {said} bytes")));
            }
            match webp::unmixed(bytes) {
                Some(copy) => boxed(format, WebPDecoder::new(Cursor::new(copy))),
                None => boxed(format, WebPDecoder::new(reader)),
            }
        }
        Format::Gif | Format::Jpeg => {
            return Err(Cause::Corrupt(format!("{format} has a decoder of its own")));
        }
    };
    opened.map_err(|error| cause(&error))
}

fn boxed<'a, D: ImageDecoder + 'a>(
    format: Format,
    decoder: ImageResult<D>,
) -> ImageResult<Box<dyn Opened + 'a>> {
    let decoder = decoder?;
    Ok(Box::new(Raster { format, decoder }))
}

struct Raster<D> {
    format: Format,
    decoder: D,
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
                data: into_rgb(image),
            })
            .map_err(|error| cause(&error))
    }
}

fn into_rgb(image: DynamicImage) -> Vec<u8> {
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
            .flat_map(|grey| [high_byte(*grey); 3])
            .collect(),
        DynamicImage::ImageLumaA16(image) => {
            let (pixels, _) = image.as_chunks::<2>();
            pixels
                .iter()
                .flat_map(|[grey, _]| [high_byte(*grey); 3])
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
    if let ImageError::Unsupported(unsupported) = error
        && let UnsupportedErrorKind::Color(ExtendedColorType::Unknown(bits)) = unsupported.kind()
    {
        return Cause::Corrupt(format!(
            "its pixels are numbers of {bits} bits, floating-point ones perhaps, and nothing says \
             which of them is black or white; scale them to 8 or 16 bits first"
        ));
    }
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
