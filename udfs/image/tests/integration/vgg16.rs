//! VGG16 against PyTorch: the same seeded weights, the same pixels.

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

const LIMITS: Limits = Limits {
    max_pixels: 1 << 20,
};

fn featurizer(pooling: Pooling, threads: usize) -> Featurizer {
    let model = Model::shared(Architecture::Vgg16, &WeightsSpec::Seeded, DeviceKind::Cpu).unwrap();
    Featurizer::new(
        model,
        pooling,
        LIMITS,
        ComputePool::shared(threads).unwrap(),
    )
}

fn features(featurizer: &Featurizer, images: &[&[u8]]) -> Vec<Vec<f32>> {
    let images: Vec<_> = images.iter().copied().map(Some).collect();
    let lists = featurizer.featurize(&images, OnUndecodable::Fail).unwrap();
    lists
        .iter()
        .map(|list| {
            list.unwrap()
                .as_primitive::<Float32Type>()
                .values()
                .to_vec()
        })
        .collect()
}

fn png(pattern: impl Fn(u32, u32, u32) -> u32) -> Vec<u8> {
    let image = image::RgbImage::from_fn(224, 224, |x, y| {
        image::Rgb([0, 1, 2].map(|channel| pattern(x, y, channel) as u8))
    });
    let mut out = Cursor::new(Vec::new());
    image.write_to(&mut out, image::ImageFormat::Png).unwrap();
    out.into_inner()
}

fn golden_image() -> Vec<u8> {
    png(|x, y, c| x * (c + 3) + y * (7 - c) + x * y / 16 * (c + 1))
}

fn norm(values: &[f32]) -> f64 {
    values
        .iter()
        .map(|value| f64::from(*value).powi(2))
        .sum::<f64>()
        .sqrt()
}

// Made with PyTorch 2.15 in f64; `seeded` is the function in src/weights/seeded.rs.
//
// import numpy as np, torch
//
// y, x, c = np.mgrid[0:224, 0:224, 0:3]
// rgb = ((x * (c + 3) + y * (7 - c) + x * y // 16 * (c + 1)) % 256).astype(np.uint8)
// bgr = rgb[..., ::-1].astype(np.float32) - np.array([103.939, 116.779, 123.68], np.float32)
// x = torch.from_numpy(bgr.copy()).permute(2, 0, 1)[None].double()
// inputs = 3
// for b, (layers, outputs) in enumerate([(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)], 1):
//     for l in range(1, layers + 1):
//         k = seeded(f"block{b}_conv{l}.kernel", (3, 3, inputs, outputs))
//         bias = seeded(f"block{b}_conv{l}.bias", (outputs,))
//         k = torch.from_numpy(k).permute(3, 2, 0, 1).double()
//         x = torch.relu(torch.conv2d(x, k, torch.from_numpy(bias).double(), padding=1))
//         inputs = outputs
//     x = torch.max_pool2d(x, 2)
// map = x[0].permute(1, 2, 0)
// f = map.reshape(-1).numpy()
// print(np.linalg.norm(f), f.max(), (f > 0).sum(), f[::1568])
// print(np.linalg.norm(map.mean((0, 1))), np.linalg.norm(map.amax((0, 1))))
const NORM: f64 = 29662.993095509202;
const MAX: f64 = 903.9455784986517;
const POSITIVE: usize = 15_338;
const EVERY_1568TH: [f64; 16] = [
    71.61869300664986,
    88.5427802847862,
    0.0,
    151.56370273048665,
    0.0,
    121.24301074448806,
    133.02720915585343,
    9.300208162469705,
    4.552594811006658,
    0.0,
    53.87026633554142,
    500.0943736434013,
    304.3417904697422,
    219.6417224645442,
    233.08124086574233,
    0.0,
];
const AVG_NORM: f64 = 4018.954412961685;
const MAX_NORM: f64 = 6551.680957768508;

/// Relative to the largest feature. Plain f32 is off by 3e-7, Winograd's tiles by ten times that.
const TOLERANCE: f64 = 1e-5;

#[test]
fn agrees_with_pytorch() {
    let image = golden_image();
    let vectors = features(&featurizer(Pooling::None, 0), &[&image]);
    let vector = &vectors[0];
    assert_eq!(vector.len(), 25_088);
    assert!(
        (norm(vector) / NORM - 1.0).abs() < TOLERANCE,
        "{}",
        norm(vector)
    );
    let max = vector.iter().copied().fold(0.0, f32::max);
    assert!((f64::from(max) / MAX - 1.0).abs() < TOLERANCE, "{max}");
    let positive = vector.iter().filter(|value| **value > 0.0).count();
    assert!(positive.abs_diff(POSITIVE) <= 2, "{positive}");
    for (index, expected) in EVERY_1568TH.iter().enumerate() {
        let found = f64::from(vector[index * 1568]);
        assert!(
            (found - expected).abs() < TOLERANCE * MAX,
            "{index}: {found} {expected}"
        );
    }
    for (pooling, expected) in [(Pooling::Avg, AVG_NORM), (Pooling::Max, MAX_NORM)] {
        let vectors = features(&featurizer(pooling, 0), &[&image]);
        assert_eq!(vectors[0].len(), 512);
        assert!((norm(&vectors[0]) / expected - 1.0).abs() < TOLERANCE);
    }
}

/// Batches and threads are a matter of speed: they must never show in the numbers, or the same
/// query would give different vectors on another machine.
#[test]
fn bits_do_not_depend_on_batch_order_or_threads() {
    let images: Vec<Vec<u8>> = (0..11)
        .map(|seed| png(move |x, y, c| (x * seed + y * 3) * (c + 1) + seed * 40))
        .collect();
    let batch: Vec<&[u8]> = images.iter().map(Vec::as_slice).collect();
    let together = features(&featurizer(Pooling::None, 2), &batch);
    let other_threads = features(&featurizer(Pooling::None, 1), &batch[..3]);
    assert!(together[..3] == other_threads);
    let three = featurizer(Pooling::None, 3);
    for index in [0, 5, 10] {
        assert!(features(&three, &batch[index..=index]) == together[index..=index]);
    }
    assert!(together[0] != together[1]);
}

#[test]
fn one_model_for_all() {
    let shared = || Model::shared(Architecture::Vgg16, &WeightsSpec::Seeded, DeviceKind::Cpu);
    assert!(Arc::ptr_eq(&shared().unwrap(), &shared().unwrap()));
}
