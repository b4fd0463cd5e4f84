//! Tests of the public interface, in one binary.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod codecs;
mod contents;
mod damage;
mod decode;
#[cfg(feature = "http")]
mod download;
#[cfg(feature = "http")]
mod download_interrupted;
mod keras;
mod kinds;
mod laws;
mod mobilenet_v2;
mod networks;
mod parity;
mod resize;
mod safetensors;
#[cfg(feature = "http")]
mod server;
mod strangers;
mod torchvision;
mod transformer_folders;
mod transformers;
mod vgg16;

use std::io::Cursor;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Float32Type;
use datafusion_functions_image::decode::Limits;
use datafusion_functions_image::features::{Featurizer, OnUndecodable};
use datafusion_functions_image::model::{DeviceKind, Model};
use datafusion_functions_image::models::{Architecture, Pooling};
use datafusion_functions_image::pool::ComputePool;
use datafusion_functions_image::weights::WeightsSpec;

/// A featurizer with the model that all tests of the process share.
fn featurizer(architecture: Architecture, pooling: Pooling, threads: usize) -> Featurizer {
    let model = Model::shared(architecture, &WeightsSpec::Seeded, DeviceKind::Cpu).unwrap();
    with_model(model, pooling, threads)
}

fn with_model(model: Arc<Model>, pooling: Pooling, threads: usize) -> Featurizer {
    let limits = Limits {
        max_pixels: 1 << 20,
    };
    Featurizer::new(
        model,
        pooling,
        limits,
        ComputePool::shared(threads).unwrap(),
    )
}

/// The features of images, all of which are good.
fn features(featurizer: &Featurizer, images: &[&[u8]]) -> Vec<Vec<f32>> {
    let images: Vec<_> = images.iter().copied().map(Some).collect();
    let lists = featurizer.featurize(&images, OnUndecodable::Fail).unwrap();
    lists
        .iter()
        .map(|list| {
            let list = list.unwrap();
            list.as_primitive::<Float32Type>().values().to_vec()
        })
        .collect()
}

/// A PNG of 224×224 pixels, which no resize touches.
fn png(pattern: impl Fn(u32, u32, u32) -> u32) -> Vec<u8> {
    let image = image::RgbImage::from_fn(224, 224, |x, y| {
        image::Rgb([0, 1, 2].map(|channel| pattern(x, y, channel) as u8))
    });
    let mut out = Cursor::new(Vec::new());
    image.write_to(&mut out, image::ImageFormat::Png).unwrap();
    out.into_inner()
}

/// The image of all goldens; in numpy:
///
/// ```text
/// y, x, c = np.mgrid[0:224, 0:224, 0:3]
/// rgb = ((x * (c + 3) + y * (7 - c) + x * y // 16 * (c + 1)) % 256).astype(np.uint8)
/// ```
fn golden_image() -> Vec<u8> {
    png(|x, y, c| x * (c + 3) + y * (7 - c) + x * y / 16 * (c + 1))
}

/// What is known of a vector of features.
struct Golden {
    norm: f64,
    max: f64,
    /// Sixteen features at equal distances, from the first.
    samples: [f64; 16],
}

impl Golden {
    /// Compares within a tolerance that is relative to the largest feature.
    fn check(&self, vector: &[f32], tolerance: f64) {
        let found = norm(vector);
        assert!((found / self.norm - 1.0).abs() < tolerance, "norm {found}");
        let max = f64::from(vector.iter().copied().fold(0.0, f32::max));
        assert!((max / self.max - 1.0).abs() < tolerance, "max {max}");
        for (index, expected) in self.samples.iter().enumerate() {
            let found = f64::from(vector[index * (vector.len() / 16)]);
            let error = (found - expected).abs();
            assert!(
                error < tolerance * self.max,
                "{index}: {found}, expected {expected}"
            );
        }
    }
}

fn norm(values: &[f32]) -> f64 {
    let squares = values.iter().map(|value| f64::from(*value).powi(2));
    squares.sum::<f64>().sqrt()
}
