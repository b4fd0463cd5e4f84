//! The kernels beside Candle's own operations.

use candle_core::Device;
use featurize_kernels::Pooling;

use super::{Config, Tensors, build};
use crate::cancel::CancelToken;
use crate::models::{Implementation, Network};
use crate::pool::{ComputePool, Workers};
use crate::weights::NumbersOf;

const CONFIGS: [&str; 4] = [
    r#"{"model_type": "dinov2_with_registers", "hidden_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 2, "image_size": 48, "patch_size": 8}"#,
    r#"{"model_type": "clip", "projection_dim": 20, "vision_config": {"hidden_size": 40,
        "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 56, "patch_size": 8}}"#,
    r#"{"model_type": "siglip_vision_model", "hidden_size": 32, "num_hidden_layers": 1,
        "num_attention_heads": 4, "intermediate_size": 56, "patch_size": 8}"#,
    r#"{"model_type": "vit", "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 56, "patch_size": 8}"#,
];

#[test]
fn kernels_agree_with_candle() {
    let pool = ComputePool::shared(2).unwrap();
    let cancel = CancelToken::new();
    let workers = Workers {
        pool: &pool,
        cancel: &cancel,
    };
    // Two rows of pixels are left over.
    let side = 42;
    let images: Vec<f32> = (0..2 * side * side * 3)
        .map(|i| ((i * 37) % 101) as f32 / 50.0 - 1.0)
        .collect();
    for config in CONFIGS {
        let config = Config::parse(config).unwrap();
        let network = |implementation| {
            let (graph, parameters) = build(&config, &NumbersOf::Seeded, side).unwrap();
            Network::new(graph, parameters, side, implementation).unwrap()
        };
        let kernels = network(Implementation::Kernels);
        let candle = network(Implementation::Candle(Device::Cpu));
        assert_eq!(kernels.poolings(), config.poolings());
        for pooling in config.poolings() {
            let length = pooling.dimension(kernels.shape(pooling).unwrap());
            assert_eq!(config.dimension(pooling, side), Some(length), "{pooling:?}");
            let run = |network: &Network| {
                let mut out = vec![f32::NAN; 2 * length];
                network.run(&images, 2, pooling, &mut out, workers).unwrap();
                out
            };
            let (found, expected) = (run(&kernels), run(&candle));
            let square = |value: f32| f64::from(value).powi(2);
            let differences = found.iter().zip(&expected).map(|(a, b)| square(a - b));
            let norm: f64 = expected.iter().copied().map(square).sum();
            let error = (differences.sum::<f64>() / norm).sqrt();
            assert!(error < 1e-5, "{:?} {pooling:?}: {error:e}", config.family);
        }
        assert!(!config.poolings().contains(&Pooling::Cls) || config.prefix() > 0);
    }
}

#[test]
fn sides_that_are_no_patch_are_refused() {
    let config = Config::parse(r#"{"model_type": "vit", "num_hidden_layers": 1}"#).unwrap();
    let numbers: &dyn Tensors = &NumbersOf::Seeded;
    let error = build(&config, numbers, 15).unwrap_err();
    assert!(error.contains("are 0 patches of 16 a side"), "{error}");
}
