//! Inputs of several parts.

/// Joins texts, to be told apart by [`split`].
pub(super) fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.join(SEPARATOR)
}

/// A line that stands in no text.
pub(super) const SEPARATOR: &[u8] = b"\n--8<--\n";

/// The parts of a text; missing ones are empty.
pub(super) fn split<const N: usize>(mut input: &[u8]) -> [&[u8]; N] {
    let mut parts = [&input[..0]; N];
    for (index, part) in parts.iter_mut().enumerate() {
        let end = input.windows(SEPARATOR.len()).position(|w| w == SEPARATOR);
        let (found, rest) = match end.filter(|_| index + 1 < N) {
            Some(end) => (&input[..end], &input[end + SEPARATOR.len()..]),
            None => (input, &input[..0]),
        };
        (*part, input) = (found, rest);
    }
    parts
}

/// Joins blocks of bytes, each behind its length.
pub(super) fn join_blocks<'a>(blocks: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let blocks = blocks.into_iter();
    let each = |block: &'a [u8]| [&(block.len() as u16).to_le_bytes(), block].concat();
    blocks.flat_map(each).collect()
}

/// The blocks; the last may be shorter than its length says.
pub(super) fn split_blocks(mut input: &[u8]) -> Vec<&[u8]> {
    let mut blocks = vec![];
    while let Some((length, rest)) = input.split_first_chunk() {
        let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
        blocks.push(&rest[..length]);
        input = &rest[length..];
    }
    blocks
}
