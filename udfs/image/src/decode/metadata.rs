//! What files say beside their pixels: EXIF, ICC profiles, further frames.

use super::Details;
use super::orientation::Orientation;

/// Most chunks or segments that are looked at.
const MOST: usize = 100_000;

/// Of the segments of a JPEG before its first scan.
pub(super) fn of_jpeg(bytes: &[u8]) -> Details {
    let mut details = Details::default();
    let mut at = 2;
    for _ in 0..MOST {
        let Some(&[marker, code, high, low]) = bytes.get(at..).and_then(|rest| rest.first_chunk())
        else {
            break;
        };
        if marker != 0xFF || code == 0xDA {
            break;
        }
        let length = usize::from(u16::from_be_bytes([high, low]));
        let content = bytes.get(at + 4..at + 2 + length).unwrap_or_default();
        if code == 0xE1 && content.starts_with(b"Exif\0\0") && details.orientation == 1 {
            details.orientation = Orientation::of_exif(content).number();
        }
        details.icc_profile |= code == 0xE2 && content.starts_with(b"ICC_PROFILE\0");
        at += 2 + length;
    }
    details
}

/// Of the chunks of a PNG; some are behind the pixels.
pub(super) fn of_png(bytes: &[u8]) -> Details {
    let mut details = Details::default();
    let mut at = 8;
    for _ in 0..MOST {
        let Some((length, rest)) = bytes.get(at..).and_then(|rest| rest.split_first_chunk()) else {
            break;
        };
        let length = u32::from_be_bytes(*length) as usize;
        let Some((name, content)) = rest.split_first_chunk::<4>() else {
            break;
        };
        let content = content.get(..length).unwrap_or_default();
        match name {
            b"IHDR" => {
                details.bits = content.get(8).copied().unwrap_or(8);
                details.transparency |= matches!(content.get(9), Some(4 | 6));
            }
            b"tRNS" => details.transparency = true,
            b"iCCP" => details.icc_profile = true,
            b"eXIf" => details.orientation = Orientation::of_exif(content).number(),
            b"acTL" => {
                let frames = content.first_chunk().copied().map(u32::from_be_bytes);
                details.frames = frames.unwrap_or(1);
            }
            _ => {}
        }
        at = at.saturating_add(12).saturating_add(length);
    }
    details
}

/// Of the chunks of a WebP.
pub(super) fn of_webp(bytes: &[u8]) -> Details {
    let mut details = Details::default();
    let (mut at, mut frames) = (12, 0);
    for _ in 0..MOST {
        let Some((name, rest)) = bytes
            .get(at..)
            .and_then(|rest| rest.split_first_chunk::<4>())
        else {
            break;
        };
        let Some((length, content)) = rest.split_first_chunk() else {
            break;
        };
        let length = u32::from_le_bytes(*length) as usize;
        let content = content.get(..length).unwrap_or_default();
        match name {
            b"VP8X" => details.transparency |= content.first().is_some_and(|flags| flags & 16 != 0),
            // The 29th bit behind the signature.
            b"VP8L" => details.transparency |= content.get(4).is_some_and(|bits| bits & 16 != 0),
            b"ICCP" => details.icc_profile = true,
            b"EXIF" => details.orientation = Orientation::of_exif(content).number(),
            b"ANMF" => frames += 1,
            _ => {}
        }
        at = at
            .saturating_add(8)
            .saturating_add(length.next_multiple_of(2));
    }
    details.frames = frames.max(1);
    details
}
