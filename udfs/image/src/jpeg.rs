//! Whether a JPEG is all there.
//!
//! The JPEG decoder fills what is missing with grey and reports success. Pillow raises
//! "image file is truncated", and so must we: features of half an image are wrong silently.

use crate::decode::{DecodeError, Format};

const MARKER: u8 = 0xFF;
const START_OF_IMAGE: u8 = 0xD8;
const END_OF_IMAGE: u8 = 0xD9;
const START_OF_SCAN: u8 = 0xDA;
const RESTART: std::ops::RangeInclusive<u8> = 0xD0..=0xD7;
const TEMPORARY: u8 = 0x01;

/// Walks the markers of a JPEG until the end of the image.
///
/// # Errors
///
/// [`DecodeError::Truncated`] if the bytes run out before.
pub(crate) fn check_complete(bytes: &[u8]) -> Result<(), DecodeError> {
    let truncated = |cause: &str| DecodeError::Truncated {
        format: Format::Jpeg,
        length: bytes.len(),
        cause: cause.to_owned(),
    };
    let mut position = 0;
    let mut in_scan = false;
    loop {
        let rest = bytes.get(position..).unwrap_or_default();
        // What lies between markers is entropy-coded data, or garbage that decoders skip.
        let Some(offset) = rest
            .windows(2)
            .position(|pair| matches!(pair, [MARKER, code] if *code != 0 && *code != MARKER))
        else {
            return Err(truncated(if in_scan {
                "the data ends within a scan, before the end-of-image marker"
            } else {
                "the data ends before the end-of-image marker"
            }));
        };
        let code = rest.get(offset + 1).copied().unwrap_or_default();
        position += offset + 2;
        match code {
            END_OF_IMAGE => return Ok(()),
            START_OF_IMAGE | TEMPORARY => {}
            code if RESTART.contains(&code) => {}
            code => {
                let Some([high, low]) = bytes.get(position..position + 2) else {
                    return Err(truncated("the data ends within its headers"));
                };
                position += usize::from(u16::from_be_bytes([*high, *low]));
                in_scan = code == START_OF_SCAN;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn end_of_image_in_a_segment_does_not_count() {
        // An APP1 segment with a whole thumbnail in it, then a scan without end.
        let mut bytes = vec![0xFF, 0xD8, 0xFF, 0xE1, 0x00, 0x06, 0xFF, 0xD8, 0xFF, 0xD9];
        assert!(check_complete(&bytes).is_err());
        bytes.extend([0xFF, 0xDA, 0x00, 0x02, 1, 2, 0xFF, 0x00, 3, 0xFF, 0xD0, 4]);
        let error = check_complete(&bytes).unwrap_err();
        assert!(error.to_string().contains("ends within a scan"), "{error}");
        bytes.extend([0xFF, 0xFF, 0xD9]);
        check_complete(&bytes).unwrap();
    }
}
