//! No file takes more memory than [`DecodeOptions`] says, and none makes a decoder panic.
//!
//! In a binary of its own, as the allocator counts what every test of a process takes.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::path::{Path, PathBuf};

use datafusion_functions_image::decode::{
    DecodeOptions, DeepGrey, ExifOrientation, Limits, TruncatedImages, decode, inspect, panics,
};
use peak_alloc::PeakAlloc;

#[global_allocator]
static COUNTING: PeakAlloc = PeakAlloc;

/// The documented most: so many bytes for each pixel allowed, for each byte of the file, and more.
const PER_PIXEL: usize = 24;
const PER_BYTE: usize = 4;
const OVERHEAD: usize = 64 << 20;

const MAX_PIXELS: u64 = 1 << 20;
const CHANGES_OF_EACH: u32 = 150;

fn pictures() -> Vec<PathBuf> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let files = ["codecs", "decode", "kinds"]
        .into_iter()
        .flat_map(|folder| std::fs::read_dir(data.join(folder)).unwrap());
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

/// Bytes taken at the most while decoding.
fn peak(bytes: &[u8], options: DecodeOptions) -> usize {
    let before = COUNTING.current_usage();
    COUNTING.reset_peak_usage();
    let pixels = decode(bytes, options);
    let peak = COUNTING.peak_usage().saturating_sub(before);
    drop(pixels);
    peak
}

/// A small generator (xorshift), so that a failure happens again.
struct Random(u32);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0 as usize % most
    }
}

/// One test, as two would run at the same time and count each other's memory.
#[test]
fn memory_is_bounded_and_no_decoder_panics() {
    what_is_too_large_takes_nothing();
    let limits = Limits {
        max_pixels: MAX_PIXELS,
    };
    let plain = DecodeOptions::from(limits);
    let lenient = DecodeOptions {
        limits,
        exif_orientation: ExifOrientation::Apply,
        truncated_images: TruncatedImages::Load,
        deep_grey: DeepGrey::Clip,
    };
    let mut random = Random(20);
    for path in pictures() {
        let good = std::fs::read(&path).unwrap();
        for change in 0..CHANGES_OF_EACH {
            let mut bytes = good.clone();
            // The file itself first; then with other bytes, most of them in its header.
            for _ in 0..change.min(5) {
                let within = if change % 3 == 0 {
                    bytes.len()
                } else {
                    bytes.len().min(100)
                };
                let at = random.below(within);
                bytes[at] = random.below(256) as u8;
            }
            let before = panics();
            let most = PER_PIXEL * MAX_PIXELS as usize + PER_BYTE * bytes.len() + OVERHEAD;
            for options in [plain, lenient] {
                let peak = peak(&bytes, options);
                assert!(
                    peak <= most,
                    "{}: change {change} took {peak} bytes",
                    path.display()
                );
            }
            let _inspection = inspect(&bytes, lenient);
            assert_eq!(
                panics(),
                before,
                "{}: change {change}: {bytes:?}",
                path.display()
            );
        }
    }
}

fn what_is_too_large_takes_nothing() {
    let limits = Limits { max_pixels: 100 };
    for path in pictures() {
        let bytes = std::fs::read(&path).unwrap();
        let peak = peak(&bytes, limits.into());
        let most = (1 << 20) + PER_BYTE * bytes.len();
        assert!(peak <= most, "{}: {peak} bytes", path.display());
    }
}
