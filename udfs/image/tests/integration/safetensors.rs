//! Weights in a safetensors file: they load, they are identified, and what is wrong is named.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use datafusion_functions_image::error::Error;
use datafusion_functions_image::model::{DeviceKind, Model};
use datafusion_functions_image::models::Architecture;
use datafusion_functions_image::weights::WeightsSpec;

/// The seeded VGG16 tensors, by name.
fn seeded() -> HashMap<String, Tensor> {
    let weights = WeightsSpec::Seeded.load(Architecture::Vgg16).unwrap();
    let variables = weights.var_builder(&Device::Cpu);
    let mut tensors = HashMap::new();
    let mut inputs = 3;
    for (block, (layers, outputs)) in (1..).zip([(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)]) {
        for layer in 1..=layers {
            let name = format!("block{block}_conv{layer}");
            let kernel = variables.get((3, 3, inputs, outputs), &format!("{name}.kernel"));
            let bias = variables.get(outputs, &format!("{name}.bias"));
            tensors.insert(format!("{name}.kernel"), kernel.unwrap());
            tensors.insert(format!("{name}.bias"), bias.unwrap());
            inputs = outputs;
        }
    }
    tensors
}

fn save(folder: &Path, tensors: &HashMap<String, Tensor>) -> PathBuf {
    let path = folder.join("vgg16.safetensors");
    candle_core::safetensors::save(tensors, &path).unwrap();
    path
}

fn load(path: &Path) -> Result<Model, Error> {
    let spec = WeightsSpec::parse(path.to_str().unwrap())?;
    Model::load(Architecture::Vgg16, &spec, DeviceKind::Cpu)
}

fn load_error(path: &Path) -> String {
    let error = load(path).unwrap_err();
    assert!(matches!(error, Error::Weights { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains(path.to_str().unwrap()), "{text}");
    text
}

#[test]
fn numbers_that_are_none_are_refused_with_the_name_of_their_tensor() {
    let folder = tempfile::tempdir().unwrap();
    let mut tensors = seeded();
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut bias = vec![0.0; 128];
        bias[7] = bad;
        let bias = Tensor::from_vec(bias, 128, &Device::Cpu).unwrap();
        tensors.insert("block2_conv1.bias".to_owned(), bias);
        let text = load_error(&save(folder.path(), &tensors));
        assert!(
            text.contains("tensor block2_conv1.bias has 1 of 128 values that are not finite"),
            "{text}"
        );
    }
}

#[test]
fn what_is_wrong_with_a_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut tensors = seeded();
    let path = save(folder.path(), &tensors);
    let model = load(&path).unwrap();
    assert_eq!(model.parameter_count(), 14_714_688);
    assert_eq!(model.weights_sha256().len(), 64);
    assert_eq!(model.weights_origin(), path.to_str().unwrap());

    // Half precision and further tensors are fine.
    let half = tensors["block1_conv1.bias"].to_dtype(DType::F16).unwrap();
    tensors.insert("block1_conv1.bias".to_owned(), half);
    let top = Tensor::zeros((4096, 10), DType::F32, &Device::Cpu).unwrap();
    tensors.insert("predictions.kernel".to_owned(), top);
    let path = save(folder.path(), &tensors);
    let other = load(&path).unwrap();
    assert_ne!(other.weights_sha256(), model.weights_sha256());

    let kernel = tensors.remove("block3_conv2.kernel").unwrap();
    let text = load_error(&save(folder.path(), &tensors));
    assert!(
        text.contains("tensor block3_conv2.kernel of shape [3, 3, 256, 256] is missing"),
        "{text}"
    );

    let transposed = kernel.permute((3, 2, 0, 1)).unwrap().contiguous().unwrap();
    tensors.insert("block3_conv2.kernel".to_owned(), transposed);
    let path = save(folder.path(), &tensors);
    let text = load_error(&path);
    assert!(
        text.contains(
            "tensor block3_conv2.kernel has shape [256, 256, 3, 3], expected [3, 3, 256, 256]"
        ),
        "{text}"
    );

    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let text = load_error(&path);
    assert!(text.contains("not a whole safetensors file"), "{text}");

    std::fs::write(&path, b"").unwrap();
    load_error(&path);
    std::fs::remove_file(&path).unwrap();
    let text = load_error(&path);
    assert!(text.contains("cannot be read"), "{text}");
}
