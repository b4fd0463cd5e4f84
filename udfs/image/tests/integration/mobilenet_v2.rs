//! MobileNetV2 against Keras: the same seeded weights, the same pixels.

use datafusion_functions_image::models::{Architecture, Pooling};

use crate::{Golden, features, golden_image, norm, png};

fn featurizer(pooling: Pooling, threads: usize) -> crate::Featurizer {
    crate::featurizer(Architecture::MobileNetV2, pooling, threads)
}

// Made with Keras 3.15 on PyTorch in f64; `seeded` is the function in src/weights/seeded.rs, `rgb`
// the golden image.
//
// import keras, numpy as np
//
// keras.config.set_dtype_policy("float64")
// model = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(224, 224, 3))
// for layer in model.layers:
//     kernel = "depthwise_kernel" if "depthwise" in layer.name else "kernel"
//     names = [kernel if v.name == "kernel" else v.name for v in layer.weights]
//     layer.set_weights([seeded(f"{layer.name}.{n}", tuple(v.shape))
//                        for n, v in zip(names, layer.weights)])
// x = (rgb.astype(np.float32) / np.float32(127.5) - np.float32(1)).astype(np.float64)
// map = np.asarray(model(x[None], training=False).detach())[0]
// f = map.mean((0, 1))
// print(np.linalg.norm(f), f.max(), f[::80])
// print(np.linalg.norm(map), np.linalg.norm(map.max((0, 1))))
const KERAS: Golden = Golden {
    norm: 82.78359531613867,
    max: 6.0,
    samples: [
        5.194933725863087,
        3.527973223705681,
        0.3108354063362491,
        0.46696180926293746,
        0.3621745117921002,
        1.2103885833402068,
        1.0281492953701896,
        0.6242845934264514,
        0.14794397354125977,
        1.2907325442956419,
        0.5417941541087871,
        1.6284305556696288,
        2.958822925327992,
        0.6424997344004865,
        0.08117276308487872,
        1.2746826708316803,
    ],
};
const MAP_NORM: f64 = 676.2445272797842;
const MAX_NORM: f64 = 175.87750264913117;

/// Keras itself is off by 1.1e-5 of the norm when it runs in f32.
const TOLERANCE: f64 = 1e-5;

#[test]
fn agrees_with_keras() {
    let image = golden_image();
    let vectors = features(&featurizer(Pooling::Avg, 0), &[&image]);
    assert_eq!(vectors[0].len(), 1280);
    KERAS.check(&vectors[0], TOLERANCE);
    for (pooling, length, expected) in [
        (Pooling::None, 62_720, MAP_NORM),
        (Pooling::Max, 1280, MAX_NORM),
    ] {
        let vectors = features(&featurizer(pooling, 0), &[&image]);
        assert_eq!(vectors[0].len(), length);
        assert!((norm(&vectors[0]) / expected - 1.0).abs() < TOLERANCE);
    }
}

/// As for VGG16: batches and threads must never show in the numbers.
#[test]
fn bits_do_not_depend_on_batch_order_or_threads() {
    let images: Vec<Vec<u8>> = (0..9)
        .map(|seed| png(move |x, y, c| (x * seed + y * 3) * (c + 1) + seed * 40))
        .collect();
    let batch: Vec<&[u8]> = images.iter().map(Vec::as_slice).collect();
    let together = features(&featurizer(Pooling::Avg, 2), &batch);
    let other_threads = features(&featurizer(Pooling::Avg, 1), &batch[..3]);
    assert!(together[..3] == other_threads);
    let three = featurizer(Pooling::Avg, 3);
    for index in [0, 4, 8] {
        assert!(features(&three, &batch[index..=index]) == together[index..=index]);
    }
    assert!(together[0] != together[1]);
}
