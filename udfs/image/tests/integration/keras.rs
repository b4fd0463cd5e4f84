//! Weights files as Keras writes them.
//!
//! The files in `tests/data` were written by Keras 3.15 itself, the variables filled with
//! constants so that they compress: variable number n (from 1, in Keras's order) is n / 1024.
//!
//! ```text
//! import gzip, h5py, keras, numpy as np
//! from keras.src.legacy.saving import legacy_h5_format
//!
//! for name, build in (("vgg16", keras.applications.VGG16),
//!                     ("mobilenet_v2", keras.applications.MobileNetV2)):
//!     model = build(weights=None, include_top=False, input_shape=(224, 224, 3))
//!     n = 0
//!     for layer in model.layers:
//!         values = []
//!         for v in layer.weights:
//!             n += 1
//!             values.append(np.full(tuple(v.shape), n / 1024, np.float32))
//!         layer.set_weights(values)
//!     model.save_weights(f"{name}_keras3.weights.h5")
//!     with h5py.File(f"{name}_keras2.h5", "w") as file:
//!         legacy_h5_format.save_weights_to_hdf5_group(file, model)
//! # each compressed by gzip.compress(data, 9, mtime=0)
//! ```

use std::io::Read;
use std::path::{Path, PathBuf};

use candle_core::Device;
use datafusion_functions_image::model::{DeviceKind, Model};
use datafusion_functions_image::models::Architecture;
use datafusion_functions_image::preprocess::Preprocessing;
use datafusion_functions_image::weights::WeightsSpec;

/// Unpacks a file of `tests/data` into `folder`.
pub(crate) fn unpack(folder: &Path, name: &str) -> PathBuf {
    let packed = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(format!("{name}.gz"));
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(std::fs::File::open(packed).unwrap())
        .read_to_end(&mut bytes)
        .unwrap();
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, bytes).unwrap();
    path
}

/// Names and shapes of VGG16's variables, in Keras's order.
pub(crate) fn vgg16() -> Vec<(String, Vec<usize>)> {
    let mut variables = Vec::new();
    let mut inputs = 3;
    for (block, (layers, outputs)) in (1..).zip([(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)]) {
        for layer in 1..=layers {
            let name = format!("block{block}_conv{layer}");
            variables.push((format!("{name}.kernel"), vec![3, 3, inputs, outputs]));
            variables.push((format!("{name}.bias"), vec![outputs]));
            inputs = outputs;
        }
    }
    variables
}

/// Names and shapes of MobileNetV2's variables, in Keras's order.
pub(crate) fn mobilenet_v2() -> Vec<(String, Vec<usize>)> {
    fn norm(variables: &mut Vec<(String, Vec<usize>)>, layer: &str, channels: usize) {
        for variable in ["gamma", "beta", "moving_mean", "moving_variance"] {
            variables.push((format!("{layer}.{variable}"), vec![channels]));
        }
    }
    let mut all = vec![("Conv1.kernel".to_owned(), vec![3, 3, 3, 32])];
    norm(&mut all, "bn_Conv1", 32);
    let mut inputs = 32;
    let mut block = "expanded_conv".to_owned();
    let mut number = 0;
    for (factor, outputs, count) in [
        (1, 16, 1),
        (6, 24, 2),
        (6, 32, 3),
        (6, 64, 4),
        (6, 96, 3),
        (6, 160, 3),
        (6, 320, 1),
    ] {
        for _ in 0..count {
            let hidden = inputs * factor;
            if factor > 1 {
                all.push((format!("{block}_expand.kernel"), vec![1, 1, inputs, hidden]));
                norm(&mut all, &format!("{block}_expand_BN"), hidden);
            }
            all.push((
                format!("{block}_depthwise.depthwise_kernel"),
                vec![3, 3, hidden, 1],
            ));
            norm(&mut all, &format!("{block}_depthwise_BN"), hidden);
            all.push((
                format!("{block}_project.kernel"),
                vec![1, 1, hidden, outputs],
            ));
            norm(&mut all, &format!("{block}_project_BN"), outputs);
            inputs = outputs;
            number += 1;
            block = format!("block_{number}");
        }
    }
    all.push(("Conv_1.kernel".to_owned(), vec![1, 1, 320, 1280]));
    norm(&mut all, "Conv_1_bn", 1280);
    all
}

#[test]
fn both_layouts_of_both_networks_load() {
    let folder = tempfile::tempdir().unwrap();
    for (architecture, file, variables) in [
        (Architecture::Vgg16, "vgg16_keras2.h5", vgg16()),
        (Architecture::Vgg16, "vgg16_keras3.weights.h5", vgg16()),
        (
            Architecture::MobileNetV2,
            "mobilenet_v2_keras2.h5",
            mobilenet_v2(),
        ),
        (
            Architecture::MobileNetV2,
            "mobilenet_v2_keras3.weights.h5",
            mobilenet_v2(),
        ),
    ] {
        let path = unpack(folder.path(), file);
        let weights = WeightsSpec::File(path.clone()).load(architecture).unwrap();
        let tensors = weights.var_builder(&Device::Cpu);
        for (index, (name, shape)) in (1..).zip(&variables) {
            let tensor = tensors.get(shape.as_slice(), name).unwrap();
            let values = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let expected = index as f32 / 1024.0;
            assert!(
                values.iter().all(|value| *value == expected),
                "{file}: {name}"
            );
        }
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn what_is_wrong_with_a_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = unpack(folder.path(), "mobilenet_v2_keras2.h5");
    let load = |architecture, path: &Path| {
        Model::load(
            architecture,
            &WeightsSpec::File(path.to_owned()),
            DeviceKind::Cpu,
        )
    };
    let model = load(Architecture::MobileNetV2, &path).unwrap();
    assert_eq!(model.preprocessing(), Some(Preprocessing::Tf));
    assert_eq!(model.parameter_count(), 2_257_984);

    let error = load(Architecture::Vgg16, &path).unwrap_err().to_string();
    assert!(error.contains("do not fit vgg16"), "{error}");
    assert!(
        error.contains("tensor block1_conv1.kernel of shape [3, 3, 3, 64] is missing"),
        "{error}"
    );
    let bytes = std::fs::read(&path).unwrap();
    for (length, message) in [(0, "0 bytes"), (100, "100 bytes"), (bytes.len() / 2, "")] {
        std::fs::write(&path, &bytes[..length]).unwrap();
        let error = load(Architecture::MobileNetV2, &path)
            .unwrap_err()
            .to_string();
        assert!(error.contains(path.to_str().unwrap()), "{error}");
        assert!(error.contains(message), "{error}");
    }
}
