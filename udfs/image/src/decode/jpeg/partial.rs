//! What there is of a JPEG that ends early, as Pillow shows it with `LOAD_TRUNCATED_IMAGES`.
//!
//! Pillow hands libjpeg an end marker in place of the missing bytes. The rest of the scan is then grey.
//! Of a progressive image, libjpeg makes up what further scans would have told, by smoothing, which the
//! decoder does not: such an image stays an error.

use libjpeg_turbo_rs::{Decoder, JpegError, PixelFormat};

use super::super::error::Cause;
use super::frame::Process;
use super::stream::{self, Stream};
use super::{is_usual, limits};

/// Where the bytes end.
const END: [u8; 2] = [0xFF, 0xD9];

/// The file with an end, if its pixels are those that libjpeg gives; else the error stands.
pub(super) fn mended(bytes: &[u8], error: Cause) -> Result<Stream<'static>, Cause> {
    if !matches!(error, Cause::Truncated(_)) {
        return Err(error);
    }
    match stream::read_beginning(bytes) {
        Some(frame) if frame.process == Process::Sequential && is_usual(&frame) => {
            Ok(Stream::of_one(frame, [bytes, &END].concat()))
        }
        _ => Err(error),
    }
}

/// Decodes what there is.
pub(super) fn levels(stream: &Stream<'_>) -> Result<Vec<u8>, JpegError> {
    let frame = &stream.frame;
    let bytes = stream.parts.first().map(|part| &*part.bytes);
    let mut decoder = Decoder::new_with_limits(bytes.unwrap_or_default(), limits(frame))?;
    decoder.set_lenient(true);
    decoder.set_output_format(if frame.components.len() == 4 {
        PixelFormat::Cmyk
    } else {
        PixelFormat::Rgb
    });
    Ok(decoder.decode_image()?.data)
}
