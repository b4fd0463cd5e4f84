//! Damage of the kinds that hurt parsers.

use std::ops::Range;

use crate::random::Random;

/// Longest input.
const MOST_BYTES: usize = 256 << 10;
/// Values at which counts and lengths overflow.
const EDGES: [u64; 16] = [
    0,
    1,
    2,
    0x7F,
    0x80,
    0xFF,
    0x100,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x1_0000,
    0x7FFF_FFFF,
    0x8000_0000,
    0xFFFF_FFFF,
    0x7FFF_FFFF_FFFF_FFFF,
    u64::MAX,
];

/// Changes `bytes` once or a few times. Parts may come from `other`, words from `tokens`.
pub(crate) fn mutate(bytes: &mut Vec<u8>, other: &[u8], tokens: &[&[u8]], random: &mut Random) {
    // Mostly one change: two that each make an error hide one another.
    let changes = 1 << random.below(4).saturating_sub(random.below(3));
    for _ in 0..changes {
        change(bytes, other, tokens, random);
    }
    bytes.truncate(MOST_BYTES);
}

fn change(bytes: &mut Vec<u8>, other: &[u8], tokens: &[&[u8]], random: &mut Random) {
    let at = place(bytes, random);
    match random.below(14) {
        0 => bytes.truncate(at),
        1 => set(bytes, at, |byte| byte ^ 1 << random.below(8)),
        2 => set(bytes, at, |_| random.byte()),
        3 | 4 => length_field(bytes, at, random),
        5 => number_in_digits(bytes, at, random),
        6 => {
            let range = range(bytes.len(), at, random);
            bytes.drain(range);
        }
        7 => {
            let piece = bytes[range(bytes.len(), at, random)].to_vec();
            insert(bytes, place(bytes, random), &piece);
        }
        8 => {
            // A chunk moves.
            let range = range(bytes.len(), at, random);
            let piece: Vec<u8> = bytes.drain(range).collect();
            insert(bytes, place(bytes, random), &piece);
        }
        9 => {
            let from = place(other, random);
            insert(bytes, at, &other[range(other.len(), from, random)]);
        }
        10 => {
            let from = place(other, random);
            let piece = &other[range(other.len(), from, random)];
            let end = bytes.len().min(at + piece.len());
            bytes.splice(at..end, piece.iter().copied());
        }
        11 => {
            let value = *random.pick(&[0, 0xFF, 0x80, b' ', b'9']);
            let range = range(bytes.len(), at, random);
            bytes[range].fill(value);
        }
        12 if !tokens.is_empty() => insert(bytes, at, tokens[random.below(tokens.len())]),
        13 if !tokens.is_empty() => {
            let token = tokens[random.below(tokens.len())];
            let end = bytes.len().min(at + token.len());
            bytes.splice(at..end, token.iter().copied());
        }
        _ => {
            let piece: Vec<u8> = (0..=random.below(8)).map(|_| random.byte()).collect();
            insert(bytes, at, &piece);
        }
    }
}

fn set(bytes: &mut [u8], at: usize, change: impl FnOnce(u8) -> u8) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte = change(*byte);
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, piece: &[u8]) {
    bytes.splice(at..at, piece.iter().copied());
}

/// A place in or just behind the bytes. Headers are at the beginning, directories at the end, and what is
/// zero is mostly padding.
fn place(bytes: &[u8], random: &mut Random) -> usize {
    let length = bytes.len();
    match random.below(6) {
        0 => random.below(length.min(64) + 1),
        1 => length - random.below(length.min(64) + 1),
        _ => {
            let mut at = random.below(length + 1);
            for _ in 0..8 {
                if bytes.get(at).is_some_and(|byte| *byte != 0) {
                    break;
                }
                at = random.below(length + 1);
            }
            at
        }
    }
}

/// From `at` on, mostly a few bytes.
fn range(length: usize, at: usize, random: &mut Random) -> Range<usize> {
    let longest = *random.pick(&[1, 4, 8, 16, 64, 256, 4096]);
    at..length.min(at + 1 + random.below(longest))
}

/// Changes a whole number of one to eight bytes, of either order, a little or to an edge.
fn length_field(bytes: &mut [u8], at: usize, random: &mut Random) {
    let size = *random.pick(&[1, 2, 4, 8]);
    let length = bytes.len() as u64;
    let Some(field) = bytes.get_mut(at..at + size) else {
        return;
    };
    let is_big_endian = random.once_in(2);
    if is_big_endian {
        field.reverse();
    }
    let mut value = [0; 8];
    value[..size].copy_from_slice(field);
    let old = u64::from_le_bytes(value);
    let new = match random.below(5) {
        0 => old.wrapping_add(1 + random.below(16) as u64),
        1 => old.wrapping_sub(1 + random.below(16) as u64),
        2 => old << random.below(8),
        3 => length.wrapping_add(random.below(9) as u64).wrapping_sub(4),
        _ => *random.pick(&EDGES),
    };
    field.copy_from_slice(&new.to_le_bytes()[..size]);
    if is_big_endian {
        field.reverse();
    }
}

/// Replaces a number that is written in digits.
fn number_in_digits(bytes: &mut Vec<u8>, at: usize, random: &mut Random) {
    let is_digit = |byte: &u8| byte.is_ascii_digit();
    let Some(start) = bytes[at..].iter().position(is_digit).map(|from| at + from) else {
        return;
    };
    let end = start + bytes[start..].iter().take_while(|b| is_digit(b)).count();
    let new = match random.below(6) {
        0 => format!("-{}", random.below(3)),
        1 => format!("{}.5", random.below(100)),
        2 => "1e999".to_owned(),
        3 => format!("{}", random.below(4096)),
        _ => random.pick(&EDGES).to_string(),
    };
    bytes.splice(start..end, new.into_bytes());
}
