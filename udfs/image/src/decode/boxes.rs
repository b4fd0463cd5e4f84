//! The boxes of ISO base media files, in which JPEG 2000 and AVIF lie (ISO/IEC 14496-12, section 4.2).

/// Most boxes of one level that are looked at.
pub(super) const MOST_BOXES: usize = 1000;

/// Names and contents of the boxes that follow each other; the last one may be cut.
pub(super) fn boxes(mut rest: &[u8]) -> impl Iterator<Item = (&[u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let (name, behind, length) = first(rest)?;
        let (content, next) = behind.split_at(length.min(behind.len()));
        rest = next;
        Some((name, content))
    })
}

/// Whether the last of them is said to be longer than it is.
#[cfg_attr(not(feature = "avif"), cfg(test))]
pub(super) fn is_cut(mut rest: &[u8]) -> bool {
    while let Some((_, behind, length)) = first(rest) {
        match behind.get(length..) {
            Some(next) => rest = next,
            None => return true,
        }
    }
    false
}

/// The name of the first box, what is behind its header, and how long its content is said to be.
fn first(rest: &[u8]) -> Option<(&[u8; 4], &[u8], usize)> {
    let (length, behind) = rest.split_first_chunk::<4>()?;
    let (name, behind) = behind.split_first_chunk::<4>()?;
    match u32::from_be_bytes(*length) {
        // To the end of the file.
        0 => Some((name, behind, behind.len())),
        1 => {
            let (length, behind) = behind.split_first_chunk::<8>()?;
            let length = usize::try_from(u64::from_be_bytes(*length)).ok()?;
            Some((name, behind, length.checked_sub(16)?))
        }
        length => Some((name, behind, (length as usize).checked_sub(8)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_taken_in_all_their_ways_and_never_beyond_the_end() {
        let file = b"\0\0\0\x09abcdX\0\0\0\x01long\0\0\0\0\0\0\0\x12YY\0\0\0\0restZZZ";
        let found: Vec<_> = boxes(file).collect();
        let expected: [(&[u8; 4], &[u8]); 3] =
            [(b"abcd", b"X"), (b"long", b"YY"), (b"rest", b"ZZZ")];
        assert_eq!(found, expected);
        assert_eq!(boxes(b"\0\0\0\x09ab").count(), 0);
        let cut: [(&[u8; 4], &[u8]); 1] = [(b"abcd", b"X")];
        assert_eq!(boxes(b"\xFF\0\0\0abcdX").collect::<Vec<_>>(), cut);
        assert!(is_cut(b"\xFF\0\0\0abcdX") && !is_cut(file));
        // Lengths that do not hold their own header end the walk.
        assert_eq!(boxes(b"\0\0\0\x07abcdX").count(), 0);
        assert_eq!(boxes(b"\0\0\0\x01abcd\0\0\0\0\0\0\0\x0FX").count(), 0);
    }
}
