//! Features of sixty images against Keras on TensorFlow and against torchvision on PyTorch: the
//! same files, the same random weights, each library's own weights file.
//!
//! `tests/parity/make_golden.py` made the golden files in `tests/data/parity` and explains how they
//! stand for whole vectors. Half of the images are drawn here, as they are there, by integer
//! arithmetic; the others are JPEGs that Pillow wrote.

use std::collections::HashMap;
use std::fmt::Write;
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use candle_core::Device;
use datafusion_functions_image::model::{DeviceKind, Model};
use datafusion_functions_image::models::{Architecture, Pooling};
use datafusion_functions_image::weights::WeightsSpec;

use crate::{features, keras, norm, torchvision, with_model};

/// Projections of a vector.
const PROJECTIONS: usize = 64;
/// Largest relative error of the features.
const RELATIVE: f64 = 1e-5;
/// Least cosine on lossless images, and on JPEGs.
const COSINE: f64 = 0.99999;
const COSINE_JPEG: f64 = 0.9999;
/// An estimate of a distance from so many projections is low by this factor at most; of 120 pairs of
/// whole vectors (the libraries' own in 32 and 64 bits) the worst was low by 1.37.
const ESTIMATE: f64 = 1.5;
/// How much larger an error may be than the README says, on another processor.
const README_MARGIN: f64 = 1.5;

fn mix(x: u64) -> u64 {
    let x = x.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

fn hashed(seed: u64, layer: u64, a: u64, b: u64) -> u64 {
    mix(seed << 48 | layer << 40 | a << 20 | b)
}

/// Value noise from 0 to 255: random values on a lattice, interpolated between.
fn noise(seed: u64, layer: u64, size: i64, y: i64, x: i64) -> i64 {
    let corner = |dy, dx| {
        let hash = hashed(seed, layer, (y / size + dy) as u64, (x / size + dx) as u64);
        (hash & 255) as i64
    };
    let (fy, fx) = (y % size, x % size);
    let top = corner(0, 0) * (size - fx) + corner(0, 1) * fx;
    let bottom = corner(1, 0) * (size - fx) + corner(1, 1) * fx;
    (top * (size - fy) + bottom * fy) / (size * size)
}

/// A picture with the spectrum of a photograph: clouds at four scales, colours that change slowly,
/// a few objects with edges, the noise of a sensor.
fn scene(seed: u64, width: i64, height: i64) -> image::RgbImage {
    image::RgbImage::from_fn(width as u32, height as u32, |x, y| {
        let (x, y) = (i64::from(x), i64::from(y));
        let octaves = (0..4).map(|octave| noise(seed, octave, 64 >> octave, y, x) * (8 >> octave));
        let light = octaves.sum::<i64>() / 15;
        image::Rgb([0_u64, 1, 2].map(|channel| {
            let mut value = (2 * light + noise(seed, 8 + channel, 96, y, x)) / 3;
            value = (((value - 128) * 3).div_euclid(2) + 128).clamp(0, 255);
            for object in 0..6 {
                let hash = hashed(seed, 200, object, 0);
                let least = width.min(height);
                let centre_x = (hash % width as u64) as i64;
                let centre_y = ((hash >> 16) % height as u64) as i64;
                let radius = least / 10 + ((hash >> 32) % (least as u64 / 4)) as i64;
                let colour = ((hash >> (40 + 8 * channel)) & 255) as i64;
                let (dx, dy) = ((x - centre_x).abs(), (y - centre_y).abs());
                let inside = if object % 2 == 1 {
                    dx * dx + dy * dy < radius * radius
                } else {
                    dx < radius && 2 * dy < radius
                };
                if inside {
                    value = (value + 3 * colour) / 4;
                }
            }
            let grain = (hashed(seed, 16 + channel, y as u64, x as u64) & 7) as i64 - 4;
            (value + grain).clamp(0, 255) as u8
        }))
    })
}

const SIZES: [(i64, i64); 12] = [
    (224, 224),
    (320, 240),
    (180, 240),
    (97, 131),
    (300, 169),
    (48, 64),
    (256, 256),
    (211, 317),
    (400, 100),
    (150, 267),
    (333, 250),
    (65, 301),
];
const LOSSLESS: u64 = 28;
const IMAGES: u64 = 60;

pub(crate) fn data() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/parity")
}

/// The lossless images, then the JPEGs.
pub(crate) fn images() -> Vec<Vec<u8>> {
    let drawn = (0..LOSSLESS).map(|seed| {
        let (width, height) = SIZES[seed as usize % SIZES.len()];
        let mut out = Cursor::new(Vec::new());
        let scene = scene(seed, width, height);
        scene.write_to(&mut out, image::ImageFormat::Png).unwrap();
        out.into_inner()
    });
    let photographed =
        (LOSSLESS..IMAGES).map(|seed| std::fs::read(data().join(format!("{seed}.jpg"))).unwrap());
    drawn.chain(photographed).collect()
}

#[test]
fn scenes_are_drawn_as_in_numpy() {
    let hash = (0..4).flat_map(|seed| {
        let (width, height) = SIZES[seed as usize];
        scene(seed, width, height).into_raw()
    });
    let hash = hash.fold(0x811C_9DC5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    assert_eq!(hash, 0x30DA_C9EA);
}

/// The weights file that Keras saves, whose SHA-256 make_golden.py prints: the file of
/// `tests/data` with its constants replaced by the seeded weights.
fn keras_file(architecture: Architecture, name: &str, sha256: &str) -> Arc<Model> {
    let folder = tempfile::tempdir().unwrap();
    let path = keras::unpack(folder.path(), name);
    let mut bytes = std::fs::read(&path).unwrap();
    let variables = match architecture {
        Architecture::Vgg16 => keras::vgg16(),
        _ => keras::mobilenet_v2(),
    };
    let seeded = WeightsSpec::Seeded.load(architecture).unwrap();
    let seeded = seeded.var_builder(&Device::Cpu);
    let mut missing: HashMap<u32, Vec<f32>> = (1..)
        .zip(&variables)
        .map(|(index, (name, shape))| {
            let values = seeded.get(shape.as_slice(), name).unwrap();
            let constant = index as f32 / 1024.0;
            (
                constant.to_bits(),
                values.flatten_all().unwrap().to_vec1().unwrap(),
            )
        })
        .collect();
    let word = |bytes: &[u8], at: usize| {
        let word = bytes.get(at..at + 4)?;
        Some(u32::from_le_bytes(word.try_into().unwrap()))
    };
    let mut at = 0;
    while let Some(constant) = word(&bytes, at) {
        let run = missing.get(&constant).filter(|values| {
            (0..values.len()).all(|index| word(&bytes, at + 4 * index) == Some(constant))
        });
        let Some(length) = run.map(Vec::len) else {
            at += 4;
            continue;
        };
        for value in missing.remove(&constant).unwrap() {
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
            at += 4;
        }
        assert!(length > 0);
    }
    assert!(missing.is_empty());
    std::fs::write(&path, bytes).unwrap();
    let model = Model::load(architecture, &WeightsSpec::File(path), DeviceKind::Cpu).unwrap();
    assert_eq!(model.weights_sha256(), sha256, "{name}");
    Arc::new(model)
}

/// What a library made of the images.
struct Golden {
    sketches: Vec<Vec<f64>>,
    norms: Vec<f64>,
}

fn golden(library: &str, architecture: Architecture) -> Golden {
    let path = data().join(format!("{library}.safetensors"));
    let tensors = candle_core::safetensors::load(path, &Device::Cpu).unwrap();
    let tensor = |name: &str| &tensors[&format!("{architecture}.{name}")];
    Golden {
        sketches: tensor("sketch").to_vec2().unwrap(),
        norms: tensor("norm").to_vec1().unwrap(),
    }
}

fn sketch(vector: &[f32]) -> [f64; PROJECTIONS] {
    let mut sums = [0.0; PROJECTIONS];
    for (index, value) in (1..).zip(vector) {
        let signs = mix(index);
        for (projection, sum) in sums.iter_mut().enumerate() {
            let negative = signs >> projection & 1 == 1;
            *sum += f64::from(if negative { -value } else { *value });
        }
    }
    sums
}

/// Relative error and cosine of a vector.
pub(crate) fn compare(vector: &[f32], sketch_of_other: &[f64], norm_of_other: f64) -> (f64, f64) {
    let squares = sketch(vector)
        .into_iter()
        .zip(sketch_of_other)
        .map(|(ours, theirs)| (ours - theirs).powi(2));
    let squared_distance = squares.sum::<f64>() / PROJECTIONS as f64;
    let norm = norm(vector);
    let cosine = 1.0
        - (squared_distance - (norm - norm_of_other).powi(2)).max(0.0)
            / (2.0 * norm * norm_of_other);
    (squared_distance.sqrt() / norm_of_other, cosine)
}

pub(crate) fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
fn features_agree_with_keras_and_torchvision() {
    let images = images();
    let images: Vec<&[u8]> = images.iter().map(Vec::as_slice).collect();
    let mut rows = Vec::new();
    for (architecture, pooling, layouts) in [
        (
            Architecture::Vgg16,
            Pooling::None,
            [
                (
                    "vgg16_keras2.h5",
                    "d160a6dad5d99babf84ef29d13bb9b4283c25f6542dd915d214d221d50f6abb0",
                ),
                (
                    "vgg16_keras3.weights.h5",
                    "74de36b422cfb297a01b17b92e0419f917b3c9fc38146415beab7f128cef51b0",
                ),
            ],
        ),
        (
            Architecture::MobileNetV2,
            Pooling::Avg,
            [
                (
                    "mobilenet_v2_keras2.h5",
                    "dec80c7a06661465f538ef8e29a557f494e4433d41e0470671b241499699b31c",
                ),
                (
                    "mobilenet_v2_keras3.weights.h5",
                    "dea682526b928e2c00bdc0f9c4458610a732695edb6c6550e34f27a7e7511f21",
                ),
            ],
        ),
    ] {
        let [keras2, keras3] = layouts;
        let torchvision = match architecture {
            Architecture::Vgg16 => torchvision::vgg16_model,
            _ => torchvision::mobilenet_v2_model,
        };
        let keras = |(name, sha256)| keras_file(architecture, name, sha256);
        type MakeModel<'a> = &'a dyn Fn() -> Arc<Model>;
        let models: [(&str, &str, MakeModel<'_>); 3] = [
            ("Keras 2 `.h5`", "keras", &|| keras(keras2)),
            ("Keras 3 `.weights.h5`", "keras", &|| keras(keras3)),
            ("torchvision safetensors", "torchvision", &torchvision),
        ];
        for (layout, library, model) in models {
            let vectors = features(&with_model(model(), pooling, 0), &images);
            let golden = golden(library, architecture);
            assert_eq!(vectors.len(), golden.norms.len());
            let (mut errors, mut cosines) = (Vec::new(), Vec::new());
            for (index, vector) in vectors.iter().enumerate() {
                let (error, cosine) = compare(vector, &golden.sketches[index], golden.norms[index]);
                let what = format!("{architecture}, {layout}, image {index}");
                assert!(
                    ESTIMATE * error <= RELATIVE,
                    "{what}: relative error {error:e}"
                );
                let jpeg = index as u64 >= LOSSLESS;
                let least = if jpeg { COSINE_JPEG } else { COSINE };
                assert!(cosine >= least, "{what}: cosine {cosine}");
                errors.push(error);
                cosines.push(cosine);
            }
            let most = errors.iter().copied().fold(0.0, f64::max);
            let angle = cosines
                .iter()
                .map(|cosine| 1.0 - cosine)
                .fold(0.0, f64::max);
            let row = [median(&errors), most, angle];
            rows.push((format!("{architecture} | {layout}"), row));
        }
    }
    readme(&rows);
}

/// Compares the README's table with what was measured; `UPDATE_README=1` writes it anew.
fn readme(rows: &[(String, [f64; 3])]) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
    let Ok(text) = std::fs::read_to_string(path) else {
        // The package by itself.
        return;
    };
    let mut table = String::from(
        "| network | weights file | median relative error | largest | 1 - cosine, largest |\n\
         |---|---|---|---|---|\n",
    );
    for (name, [middle, most, angle]) in rows {
        writeln!(
            table,
            "| {name} | {middle:.1e} | {most:.1e} | {angle:.1e} |"
        )
        .unwrap();
    }
    println!("{table}");
    let (before, rest) = text.split_once("<!-- parity: made by").unwrap();
    let (comment, rest) = rest.split_once('\n').unwrap();
    let (found, after) = rest.split_once("<!-- end -->").unwrap();
    if std::env::var_os("UPDATE_README").is_some() {
        let new = format!("{before}<!-- parity: made by{comment}\n{table}<!-- end -->{after}");
        std::fs::write(path, new).unwrap();
        return;
    }
    for (name, measured) in rows {
        let line = found.lines().find(|line| line.contains(name.as_str()));
        let line = line.unwrap_or_default();
        assert!(!line.is_empty(), "README.md has no row {name}");
        let numbers = line.rsplit('|').skip(1).take(3);
        let numbers: Vec<f64> = numbers.map(|text| text.trim().parse().unwrap()).collect();
        for (stated, measured) in numbers.iter().rev().zip(measured) {
            assert!(
                *measured <= README_MARGIN * stated,
                "{name}: measured {measured:.1e}, README.md says {stated:.1e}; run UPDATE_README=1 \
                 cargo test -p datafusion-functions-image --test integration parity"
            );
        }
    }
}
