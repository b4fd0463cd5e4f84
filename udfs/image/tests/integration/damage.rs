//! A damaged JPEG is an error, never the pixels of a part of it.
//!
//! Downloads break off, disks lose blocks, and half an image has features like any other. What no
//! decoder can see is a change within the codes themselves that leaves as many blocks as before:
//! JPEG has no check sum.

use std::fmt;
use std::path::Path;
use std::sync::LazyLock;

use datafusion_functions_image::decode::{Limits, RgbPixels, decode};
use proptest::prelude::*;
use proptest::sample::Index;

const LIMITS: Limits = Limits {
    max_pixels: 1 << 20,
};

/// Sequential and progressive ones, with restart markers and without, in one scan and in several.
const PICTURES: [&str; 16] = [
    "decode/apart.jpg",
    "decode/baseline_420.jpg",
    "decode/baseline_444.jpg",
    "decode/cmyk.jpg",
    "decode/cmyk_two_and_two.jpg",
    "decode/grey.jpg",
    "decode/one_and_two_restart.jpg",
    "decode/progressive.jpg",
    "decode/progressive_cmyk_420.jpg",
    "decode/progressive_finer.jpg",
    "decode/restart.jpg",
    "decode/rgb_420.jpg",
    "parity/29.jpg",
    "parity/31.jpg",
    "parity/33.jpg",
    "parity/45.jpg",
];

struct Picture {
    name: &'static str,
    bytes: Vec<u8>,
    pixels: RgbPixels,
    /// Where the height stands.
    height: usize,
    /// Beginning of the header and end of the data of each scan.
    scans: Vec<(usize, usize)>,
    /// Beginning and end of each run of entropy-coded data; a restart marker or another follows.
    runs: Vec<(usize, usize)>,
}

static GOOD: LazyLock<Vec<Picture>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    PICTURES
        .iter()
        .map(|name| Picture::new(name, std::fs::read(folder.join(name)).unwrap()))
        .collect()
});

impl fmt::Debug for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Picture {
    fn new(name: &'static str, bytes: Vec<u8>) -> Self {
        let pixels = decode(&bytes, LIMITS).unwrap();
        let (mut height, mut scans, mut runs) = (0, Vec::new(), Vec::new());
        let mut at = 2;
        while bytes[at + 1] != 0xD9 {
            let (code, begins) = (bytes[at + 1], at);
            at += 2 + usize::from(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]));
            if matches!(code, 0xC0..=0xC2) {
                height = begins + 5;
            }
            if code == 0xDA {
                let mut start = at;
                loop {
                    while bytes[at] != 0xFF || bytes[at + 1] == 0 {
                        at += 1;
                    }
                    runs.push((start, at));
                    if !matches!(bytes[at + 1], 0xD0..=0xD7) {
                        break;
                    }
                    at += 2;
                    start = at;
                }
                scans.push((begins, at));
            }
        }
        Self {
            name,
            bytes,
            pixels,
            height,
            scans,
            runs,
        }
    }

    fn without(&self, from: usize, to: usize) -> Vec<u8> {
        [&self.bytes[..from], &self.bytes[to..]].concat()
    }

    /// Whether a restart marker follows the run.
    fn restarts(&self, run: usize) -> bool {
        matches!(self.bytes[self.runs[run].1 + 1], 0xD0..=0xD7)
    }
}

fn picture() -> impl Strategy<Value = &'static Picture> {
    (0..PICTURES.len()).prop_map(|index| &GOOD[index])
}

/// A picture and a run of it that a restart marker follows.
fn restart() -> impl Strategy<Value = (&'static Picture, usize)> {
    static ALL: LazyLock<Vec<(&Picture, usize)>> = LazyLock::new(|| {
        let runs = GOOD
            .iter()
            .flat_map(|good| (0..good.runs.len()).map(move |run| (good, run)));
        runs.filter(|(good, run)| good.restarts(*run)).collect()
    });
    (0..ALL.len()).prop_map(|index| ALL[index])
}

fn error(bytes: &[u8]) -> Result<(), TestCaseError> {
    match decode(bytes, LIMITS) {
        Ok(_) => Err(TestCaseError::fail("it was decoded")),
        Err(error) => no_panic(&error.to_string()),
    }
}

fn no_panic(error: &str) -> Result<(), TestCaseError> {
    prop_assert!(!error.contains("panicked"), "{error}");
    Ok(())
}

proptest! {
    #[test]
    fn cut_anywhere(
        good in picture(),
        at in any::<Index>(),
        end in prop::sample::select(vec![0, 2]),
        zeros in 0..300_usize,
    ) {
        let cut = at.index(good.bytes.len());
        let tail = [&[0xFF, 0xD9][..end], &vec![0; zeros]].concat();
        match decode(&[&good.bytes[..cut], &tail].concat(), LIMITS) {
            Ok(pixels) => prop_assert!(pixels == good.pixels, "other pixels, cut at {cut}"),
            Err(error) => no_panic(&error.to_string())?,
        }
    }

    #[test]
    fn data_cut_short(good in picture(), run in any::<Index>(), at in any::<Index>()) {
        let (from, to) = good.runs[run.index(good.runs.len())];
        error(&good.without(from + at.index(to - from), to))?;
    }

    #[test]
    fn restart_intervals_missing((good, first) in restart(), count in 1..20_usize) {
        let last = (first..).take_while(|run| good.restarts(*run)).take(count).last();
        error(&good.without(good.runs[first].0, good.runs[last.unwrap()].1 + 2))?;
    }

    #[test]
    fn restart_marker_changed((good, run) in restart(), by in 1..8_u8) {
        let mut bytes = good.bytes.clone();
        let code = &mut bytes[good.runs[run].1 + 1];
        *code = 0xD0 + (*code - 0xD0 + by) % 8;
        error(&bytes)?;
    }

    #[test]
    fn scans_missing(good in picture(), first in any::<Index>(), count in 1..4_usize) {
        let first = first.index(good.scans.len());
        let last = (first + count - 1).min(good.scans.len() - 1);
        error(&good.without(good.scans[first].0, good.scans[last].1))?;
    }

    #[test]
    fn rows_missing(good in picture(), more in 32..1000_u16) {
        let mut bytes = good.bytes.clone();
        let height = &mut bytes[good.height..good.height + 2];
        let taller = u16::from_be_bytes([height[0], height[1]]) + more;
        height.copy_from_slice(&taller.to_be_bytes());
        error(&bytes)?;
    }

    #[test]
    fn any_bytes_changed(
        good in picture(),
        changes in prop::collection::vec((any::<Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = good.bytes.clone();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Err(error) = decode(&bytes, LIMITS) {
            no_panic(&error.to_string())?;
        }
    }
}

#[test]
fn the_end_of_half_an_image() {
    let good = &GOOD[1];
    let (from, to) = good.runs[0];
    let message = decode(&good.without(from.midpoint(to), to), LIMITS)
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("truncated: the data of a scan ends before the image does"),
        "{message}"
    );
}
