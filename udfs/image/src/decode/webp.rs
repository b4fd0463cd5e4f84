//! What libwebp does with a WebP and the decoder does not.
//!
//! libwebp refuses a file that is shorter than it says; the decoder makes up the last bytes of a lossy
//! picture. And libwebp shows the first frame of an animation as it stands, on a canvas of black: the
//! decoder mixes it with the background by its alpha, which alters colours that alpha hides
//! only. So a copy of the file says that neither is to be. Where the colours of a frame have another size
//! than its alpha, libwebp refuses it; the decoder panics, or mixes up their rows (image-webp 0.2.4,
//! <https://github.com/image-rs/image-webp/issues/182>).

/// Where the first chunk is: behind "RIFF", the length and "WEBP".
const FIRST: usize = 12;
/// Bytes of a frame before its own chunks: place and size, duration and flags.
const FRAME_HEADER: usize = 16;

/// How many bytes the file says it has, if they are more than there are.
pub(super) fn missing_length(bytes: &[u8]) -> Option<u64> {
    let said = bytes.get(4..)?.first_chunk().copied()?;
    let said = u64::from(u32::from_le_bytes(said)) + 8;
    (said > bytes.len() as u64).then_some(said)
}

/// What is wrong with the sizes in the first frame of an animation, if something is.
pub(super) fn misfit(bytes: &[u8]) -> Option<String> {
    let (_, frame) = chunks(bytes, FIRST).find(|(name, _)| name == b"ANMF")?;
    let mut parts = chunks(bytes, frame + FRAME_HEADER);
    let (_, colours) = parts
        .next()
        .filter(|(name, _)| name == b"ALPH")
        .and_then(|_| parts.next())?;
    let extent = |at: usize| {
        let &[a, b, c] = bytes.get(frame + at..)?.first_chunk()?;
        Some(u32::from_le_bytes([a, b, c, 0]) + 1)
    };
    let said = (extent(6)?, extent(9)?);
    // Behind a tag and a mark of three bytes each; the two high bits are about scaling.
    let &[a, b, c, d] = bytes.get(colours + 6..)?.first_chunk()?;
    let found = [[a, b], [c, d]].map(|extent| u32::from(u16::from_le_bytes(extent) & 0x3FFF));
    (found != [said.0, said.1]).then(|| {
        format!(
            "its first frame has {}×{} pixels, and colours for {}×{}",
            said.0, said.1, found[0], found[1]
        )
    })
}

/// The name of each chunk, and where its content begins. A length stands between them, and a chunk of odd
/// length is followed by one more byte.
fn chunks(bytes: &[u8], mut at: usize) -> impl Iterator<Item = ([u8; 4], usize)> {
    std::iter::from_fn(move || {
        let name = *bytes.get(at..)?.first_chunk()?;
        let content = at.checked_add(8)?;
        let length = *bytes.get(at + 4..content)?.first_chunk()?;
        let length = usize::try_from(u32::from_le_bytes(length)).ok()?;
        at = content.checked_add(length)?.checked_add(length % 2)?;
        Some((name, content))
    })
}

/// Background colour and blending taken out of an animation; `None` for any other file.
pub(super) fn unmixed(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut copy = None;
    for (name, content) in chunks(bytes, FIRST) {
        match &name {
            b"ANIM" => {
                let copy = copy.get_or_insert_with(|| bytes.to_vec());
                copy.get_mut(content..content + 4)?.fill(0);
            }
            b"ANMF" => {
                const DO_NOT_BLEND: u8 = 2;
                let mut copy = copy.unwrap_or_else(|| bytes.to_vec());
                *copy.get_mut(content + FRAME_HEADER - 1)? |= DO_NOT_BLEND;
                return Some(copy);
            }
            _ => {}
        }
    }
    None
}
