//! VGG16 against PyTorch: the same seeded weights, the same pixels.

use std::sync::Arc;

use datafusion_functions_image::model::{DeviceKind, Model};
use datafusion_functions_image::models::{Architecture, Pooling};
use datafusion_functions_image::weights::WeightsSpec;

use crate::{Golden, features, golden_image, norm, png};

fn featurizer(pooling: Pooling, threads: usize) -> crate::Featurizer {
    crate::featurizer(Architecture::Vgg16, pooling, threads)
}

// Made with PyTorch 2.15 in f64; `seeded` is the function in src/weights/seeded.rs, `rgb` the
// golden image.
//
// import numpy as np, torch
//
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
// print(np.linalg.norm(f), f.max(), f[::1568])
// print(np.linalg.norm(map.mean((0, 1))), np.linalg.norm(map.amax((0, 1))))
const PYTORCH: Golden = Golden {
    norm: 29662.993095509202,
    max: 903.9455784986517,
    samples: [
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
    ],
};
const AVG_NORM: f64 = 4018.954412961685;
const MAX_NORM: f64 = 6551.680957768508;

/// Plain f32 is off by 3e-7, Winograd's tiles by ten times that.
const TOLERANCE: f64 = 1e-5;

#[test]
fn agrees_with_pytorch() {
    let image = golden_image();
    let vectors = features(&featurizer(Pooling::None, 0), &[&image]);
    assert_eq!(vectors[0].len(), 25_088);
    PYTORCH.check(&vectors[0], TOLERANCE);
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
