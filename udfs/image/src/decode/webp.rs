//! What libwebp does with a WebP and the decoder does not.
//!
//! libwebp refuses a file that is shorter than it says; the decoder makes up the last bytes of a lossy
//! picture. And libwebp shows the first frame of an animation as it stands, on a canvas of black: the
//! decoder mixes it with the background by its alpha, which alters colours that alpha hides
//! only. So a copy of the file says that neither is to be.

/// How many bytes the file says it has, if they are more than there are.
pub(super) fn missing_length(bytes: &[u8]) -> Option<u64> {
    let said = bytes.get(4..)?.first_chunk().copied()?;
    let said = u64::from(u32::from_le_bytes(said)) + 8;
    (said > bytes.len() as u64).then_some(said)
}

/// Background colour and blending taken out of an animation; `None` for any other file.
pub(super) fn unmixed(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut copy = None;
    // Behind "RIFF", the length and "WEBP" come chunks: a name, a length, so many bytes, and one
    // more if these are odd.
    let mut at = 12;
    while let Some(name) = bytes.get(at..at + 4) {
        let length = bytes.get(at + 4..)?.first_chunk().copied()?;
        let content = at + 8;
        match name {
            b"ANIM" => {
                let copy = copy.get_or_insert_with(|| bytes.to_vec());
                copy.get_mut(content..content + 4)?.fill(0);
            }
            b"ANMF" => {
                // Place, size and duration are three bytes each.
                const FLAGS: usize = 15;
                const DO_NOT_BLEND: u8 = 2;
                let mut copy = copy.unwrap_or_else(|| bytes.to_vec());
                *copy.get_mut(content + FLAGS)? |= DO_NOT_BLEND;
                return Some(copy);
            }
            _ => {}
        }
        let length = usize::try_from(u32::from_le_bytes(length)).ok()?;
        at = content.checked_add(length)?.checked_add(length % 2)?;
    }
    None
}
