//! Draws the sample pictures of `examples/fruits`: eight kinds of fruit, six pictures of each,
//! laid out and framed like the Fruits-360 data set (one fruit on white, 100×100 pixels, a folder
//! per kind), so that the other examples run offline on pictures that carry no one's rights.
//!
//! ```text
//! cargo run --example draw_fruits [-- FOLDER]
//! ```
//!
//! The same program writes the same files each time: all chance comes from a seeded generator.

#[path = "draw_fruits/kinds/mod.rs"]
mod kinds;
#[path = "draw_fruits/noise.rs"]
mod noise;
#[path = "draw_fruits/render.rs"]
mod render;
#[path = "draw_fruits/shapes.rs"]
mod shapes;
#[path = "draw_fruits/vector.rs"]
mod vector;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use image::RgbImage;
use image::codecs::jpeg::JpegEncoder;

use crate::kinds::{KINDS, Kind};
use crate::noise::Rng;
use crate::render::{Light, View, draw};
use crate::vector::{Rotation, vec3};

const PICTURES_PER_KIND: u32 = 6;
/// High enough that seeds and pores survive, low enough for about 4 KB a picture.
const JPEG_QUALITY: u8 = 88;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = output_folder()?;
    let (mut pictures, mut bytes) = (0, 0);
    for (number, kind) in (0..).zip(&KINDS) {
        let kind_folder = folder.join(kind.name);
        fs::create_dir_all(&kind_folder)
            .map_err(|e| format!("cannot create the folder {}: {e}", kind_folder.display()))?;
        for turn in 0..PICTURES_PER_KIND {
            let path = kind_folder.join(format!("{turn}_100.jpg"));
            bytes += write_jpeg(&path, &photograph(kind, turn, seed(number, turn)))?;
            pictures += 1;
        }
    }
    println!(
        "{pictures} pictures, {bytes} bytes, in {}",
        folder.display()
    );
    Ok(())
}

/// The one optional argument.
fn output_folder() -> Result<PathBuf, String> {
    let mut arguments = env::args_os().skip(1);
    let folder = arguments.next();
    match arguments.next() {
        Some(extra) => Err(format!(
            "expected at most one argument, the folder to write to, found also {extra:?}"
        )),
        None => Ok(folder.map_or_else(|| PathBuf::from("examples/fruits"), PathBuf::from)),
    }
}

fn seed(number: u64, turn: u32) -> u64 {
    (number << 32) | u64::from(turn)
}

/// A new fruit of this kind, turned to its `turn`-th side under light of its own.
fn photograph(kind: &Kind, turn: u32, seed: u64) -> RgbImage {
    let mut rng = Rng::new(seed);
    let fruit = (kind.grow)(&mut rng);
    // Each picture has its own share of the yaw, so that no two show the same side.
    let share = (f64::from(turn) + rng.range(0.2, 0.8)) / f64::from(PICTURES_PER_KIND);
    let (from, to) = kind.pose.yaw;
    let view = View {
        rotation: Rotation::new(
            from + (to - from) * share,
            rng.range(kind.pose.pitch.0, kind.pose.pitch.1),
            rng.range(kind.pose.roll.0, kind.pose.roll.1),
        ),
        light: Light {
            towards: vec3(
                rng.range(-0.75, 0.55),
                rng.range(0.45, 0.9),
                rng.range(0.6, 0.95),
            )
            .normalize(),
            key: rng.range(0.55, 0.8),
            tent: rng.range(0.42, 0.58),
        },
        fill: rng.range(0.84, 0.97),
    };
    draw(fruit.as_ref(), &view)
}

/// Writes the picture and returns how many bytes it takes.
fn write_jpeg(path: &Path, picture: &RgbImage) -> Result<usize, String> {
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, JPEG_QUALITY)
        .encode_image(picture)
        .map_err(|e| format!("cannot encode {}: {e}", path.display()))?;
    fs::write(path, &jpeg).map_err(|e| format!("cannot write {}: {e}", path.display()))?;
    Ok(jpeg.len())
}

/// One picture stands for all: drawing them takes a minute without optimisation.
#[test]
fn pictures_are_those_of_the_repository() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("0_100.jpg");
    let (number, kind) = (0..).zip(&KINDS).last().ok_or("no kind of fruit")?;
    write_jpeg(&path, &photograph(kind, 0, seed(number, 0)))?;
    let drawn = image::open(&path)?.to_rgb8();
    let kept = image::open(format!("examples/fruits/{}/0_100.jpg", kind.name))?.to_rgb8();
    assert_eq!(drawn.dimensions(), kept.dimensions());
    // Not byte by byte: sines differ by their last bit from system to system.
    let apart = drawn
        .iter()
        .zip(kept.iter())
        .map(|(a, b)| u64::from(a.abs_diff(*b)));
    let mean = apart.sum::<u64>() as f64 / kept.len() as f64;
    assert!(mean < 0.5, "{mean} shades apart");
    Ok(())
}
