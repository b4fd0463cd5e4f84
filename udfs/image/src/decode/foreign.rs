//! Formats of images that are not decoded, by their first bytes, so that the error names them.

/// The name of the format, if it is one of these.
pub(super) fn name(bytes: &[u8]) -> Option<&'static str> {
    const SIGNATURES: [(&[u8], &str); 2] = [
        (b"\0\0\0\x0CJXL \r\n\x87\n", "JPEG XL"),
        (b"\xFF\x0A", "JPEG XL"),
    ];
    let mut signatures = SIGNATURES.iter();
    let signature = signatures.find(|(signature, _)| bytes.starts_with(signature));
    signature.map(|(_, name)| *name).or_else(|| brand(bytes))
}

/// The format that the first box of a media file names: its main brand, or the first one that is
/// known of those it is compatible with.
fn brand(bytes: &[u8]) -> Option<&'static str> {
    let (length, rest) = bytes.split_first_chunk()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let brands = rest.strip_prefix(b"ftyp")?;
    let brands = brands.get(..length.saturating_sub(8).min(brands.len()))?;
    let (brands, _) = brands.as_chunks::<4>();
    let known = |brand: &[u8; 4]| match brand {
        b"avif" | b"avis" => Some("AVIF"),
        b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"hevm" | b"hevs" => {
            Some("HEIC")
        }
        _ => None,
    };
    let general = |brand: &[u8; 4]| matches!(brand, b"mif1" | b"msf1").then_some("HEIF");
    let mut named = brands.iter().filter_map(known);
    named.next().or_else(|| brands.iter().find_map(general))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_named() {
        let box_of = |brands: &[u8]| {
            let length = (8 + brands.len()) as u32;
            [&length.to_be_bytes(), b"ftyp".as_slice(), brands].concat()
        };
        for (bytes, expected) in [
            (box_of(b"avif\0\0\0\0avifmif1"), Some("AVIF")),
            (box_of(b"avis\0\0\0\0avis"), Some("AVIF")),
            (box_of(b"mif1\0\0\0\0mif1avif"), Some("AVIF")),
            (box_of(b"heic\0\0\0\0mif1heic"), Some("HEIC")),
            (box_of(b"heix\0\0\0\0"), Some("HEIC")),
            (box_of(b"mif1\0\0\0\0miaf"), Some("HEIF")),
            (box_of(b"isom\0\0\0\0mp42"), None),
            (b"\0\0\0\x0CJXL \r\n\x87\n".to_vec(), Some("JPEG XL")),
            (b"\xFF\x0A\xFA".to_vec(), Some("JPEG XL")),
            (b"\0\0\xFF\xFFftyp".to_vec(), None),
            (b"hello".to_vec(), None),
            (Vec::new(), None),
        ] {
            assert_eq!(name(&bytes), expected, "{bytes:?}");
        }
    }
}
