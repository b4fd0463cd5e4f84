//! Networks of torchvision, as ONNX and on the kernels, by hand:
//!
//! ```text
//! python tests/parity/make_onnx.py torchvision FOLDER
//! FEATURIZE_ONNX_NETWORKS=FOLDER ORT_DYLIB_PATH=… cargo test … --test onnx networks -- --nocapture
//! ```

use std::path::PathBuf;
use std::sync::Arc;

use datafusion_functions_image::decode::Limits;
use datafusion_functions_image::features::Featurizer;
use datafusion_functions_image::model::{DeviceKind, Model};
use datafusion_functions_image::models::Architecture;
use datafusion_functions_image::pool::ComputePool;
use datafusion_functions_image::weights::WeightsSpec;

use crate::{data, features, featurizer, has_library, load, relative, spec};

/// What weights of torchvision are fed here.
const PREPARATION: &str = r#"{"size": {"height": 224, "width": 224}, "resample": 3,
    "rescale_factor": 0.00392156862745098, "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225]}"#;

#[test]
fn networks_of_torchvision_agree_with_the_kernels() {
    let Some(folder) = std::env::var_os("FEATURIZE_ONNX_NETWORKS").map(PathBuf::from) else {
        println!("skipped: FEATURIZE_ONNX_NETWORKS names no folder of make_onnx.py");
        return;
    };
    if !has_library() {
        return;
    }
    let jpeg = |number| std::fs::read(data(&format!("../parity/{number}.jpg"))).unwrap();
    let images: Vec<_> = (28..60).map(jpeg).collect();
    for architecture in [
        Architecture::MobileNetV2,
        Architecture::ResNet50,
        Architecture::Vgg16,
    ] {
        let onnx = spec(&folder.join(format!("{architecture}.onnx")))
            .with_preprocessing(Some(PREPARATION.to_owned()));
        let onnx = features(&featurizer(&load(&onnx, None).unwrap(), 0), &images);
        let weights = WeightsSpec::File(folder.join(format!("{architecture}.safetensors")));
        let model = Arc::new(Model::load(architecture, &weights, DeviceKind::Cpu).unwrap());
        let limits = Limits {
            max_pixels: 1 << 24,
        };
        let pool = ComputePool::shared(0).unwrap();
        let own = Featurizer::new(model, architecture.default_pooling(), limits, pool);
        let own = features(&own, &images);
        let mut errors: Vec<f64> = onnx
            .iter()
            .zip(&own)
            .map(|(onnx, own)| {
                let own: Vec<f64> = own.iter().copied().map(f64::from).collect();
                relative(onnx, &own)
            })
            .collect();
        errors.sort_by(f64::total_cmp);
        let (median, largest) = (errors[errors.len() / 2], errors[errors.len() - 1]);
        println!("{architecture}: median {median:.1e}, largest {largest:.1e}");
        assert!(largest <= 1e-5, "{architecture}: {largest:e}");
    }
}
