//! AVIF, its primary item, in the levels that libavif gives Pillow.
//!
//! Every level is equal to that of Pillow 13 (libavif 1.4 with libyuv), whatever the subsampling, the
//! bits, the matrix and the range. The decoder is rav1d, dav1d in Rust; it runs on the calling thread.
//! The boxes are read here, as the crate `avif-parse` does not tell a picture's matrix and orientation.

mod colour;
mod container;

use re_rav1d::{Decoder, Picture, Settings};

use self::container::Primary;
use super::error::Cause;
use super::opened::Opened;
use super::{Details, Format, Header, RgbPixels};

/// Reads the boxes.
pub(super) fn open(bytes: &[u8]) -> Result<Box<dyn Opened + '_>, Cause> {
    Ok(Box::new(Primary::read(bytes)?))
}

impl Opened for Primary {
    fn header(&self) -> Header {
        let mode = match (self.grey, self.alpha) {
            (true, false) => "L",
            (true, true) => "LA",
            (false, false) => "RGB",
            (false, true) => "RGBA",
        };
        Header {
            format: Format::Avif,
            width: self.width,
            height: self.height,
            color: match self.bits {
                8 => mode.to_owned(),
                bits => format!("{mode};{bits}"),
            },
        }
    }

    fn details(&self) -> Details {
        Details {
            orientation: self.orientation,
            bits: self.bits,
            icc_profile: self.icc_profile,
            transparency: self.alpha,
            ..Details::default()
        }
    }

    fn read(self: Box<Self>) -> Result<RgbPixels, Cause> {
        let picture = decoded(self.data, (self.width, self.height))?;
        colour::rgb(&picture, self.colour)
    }
}

/// The first frame of an item.
fn decoded(item: Vec<u8>, (width, height): (u32, u32)) -> Result<Picture, Cause> {
    // The decoder takes it for a mistake of its caller, and in a debug build ends the process.
    if item.is_empty() {
        return Err(Cause::Truncated("its primary item is empty".to_owned()));
    }
    let mut settings = Settings::new();
    // Queries use the cores for other pictures.
    settings.set_n_threads(1);
    settings.set_max_frame_delay(1);
    settings.set_frame_size_limit(width.saturating_mul(height));
    let cause = |error: re_rav1d::Error| match error.is_again() {
        true => Cause::Truncated("it has no frame".to_owned()),
        false => Cause::Corrupt(error.to_string()),
    };
    let mut decoder = Decoder::with_settings(&settings).map_err(cause)?;
    decoder.send_data(item, None, None, None).map_err(cause)?;
    let picture = decoder.get_picture().map_err(cause)?;
    if (picture.width(), picture.height()) != (width, height) {
        return Err(Cause::Corrupt(format!(
            "its header says {width}×{height} pixels, its frame has {}×{}",
            picture.width(),
            picture.height()
        )));
    }
    Ok(picture)
}
