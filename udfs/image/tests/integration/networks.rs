//! The networks at several sizes of images against Keras and torchvision in 64 bits: some of the sixty
//! images, the same seeded weights. `tests/parity/make_networks.py` made the golden file, and the list of
//! torchvision's layers.

use std::collections::HashMap;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use datafusion_functions_image::model::{DeviceKind, Model};
use datafusion_functions_image::models::Architecture::{self, InceptionV3, ResNet50, Vgg16};
use datafusion_functions_image::weights::WeightsSpec;

use crate::parity::{compare, data, images, median};
use crate::{features, with_model};

/// Relative error of the features.
const MEDIAN: f64 = 5e-6;
const LARGEST: f64 = 2e-5;

/// Of the sixty images.
const EVERY: usize = 20;

const CASES: [(Architecture, usize); 2] = [(ResNet50, 75), (InceptionV3, 100)];

/// A `state_dict` of torchvision with the seeded weights.
fn torchvision(architecture: Architecture) -> HashMap<String, Tensor> {
    let weights = WeightsSpec::Seeded.load(architecture).unwrap();
    let seeded = weights.var_builder(&Device::Cpu);
    let list = std::fs::read_to_string(data().join("torchvision_layers.txt")).unwrap();
    let mut tensors = HashMap::new();
    for line in list.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let [network, layer, module, shape]: [&str; 4] = fields.try_into().unwrap();
        if network != architecture.name() {
            continue;
        }
        let shape: Vec<usize> = shape.split('x').map(|size| size.parse().unwrap()).collect();
        let mut put = |variable: &str, shape: &[usize], name: &str| {
            let value = seeded.get(shape, &format!("{layer}.{variable}")).unwrap();
            tensors.insert(format!("{module}.{name}"), value.clone());
            value
        };
        if let [outputs, inputs, height, width] = shape[..] {
            let depthwise = layer.ends_with("_depthwise");
            let (variable, shape, axes) = if depthwise {
                (
                    "depthwise_kernel",
                    [height, width, outputs, 1],
                    [2, 3, 0, 1],
                )
            } else {
                ("kernel", [height, width, inputs, outputs], [3, 2, 0, 1])
            };
            let kernel = put(variable, &shape, "weight");
            if architecture == Vgg16 {
                put("bias", &[outputs], "bias");
            }
            let kernel = kernel.permute(axes).unwrap().contiguous().unwrap();
            tensors.insert(format!("{module}.weight"), kernel);
        } else {
            put("gamma", &shape, "weight");
            put("beta", &shape, "bias");
            put("moving_mean", &shape, "running_mean");
            put("moving_variance", &shape, "running_var");
        }
    }
    // What torchvision has besides.
    if architecture == InceptionV3 {
        let ones = |shape: &[usize]| Tensor::ones(shape, candle_core::DType::F32, &Device::Cpu);
        tensors.insert("fc.weight".to_owned(), ones(&[10, 2048]).unwrap());
        let auxiliary = ones(&[128, 768, 1, 1]).unwrap();
        tensors.insert("AuxLogits.conv0.conv.weight".to_owned(), auxiliary);
    }
    tensors
}

fn model(library: &str, architecture: Architecture, side: usize) -> Arc<Model> {
    let folder = tempfile::tempdir().unwrap();
    let weights = if library == "keras" {
        WeightsSpec::Seeded
    } else {
        let path = folder.path().join("w.safetensors");
        candle_core::safetensors::save(&torchvision(architecture), &path).unwrap();
        WeightsSpec::File(path)
    };
    Arc::new(Model::load_at(architecture, side, &weights, DeviceKind::Cpu).unwrap())
}

#[test]
fn every_network_and_size_agrees_with_keras_and_torchvision() {
    let images = images();
    let images: Vec<&[u8]> = images.iter().step_by(EVERY).map(Vec::as_slice).collect();
    let golden = candle_core::safetensors::load(data().join("networks.safetensors"), &Device::Cpu);
    let golden = golden.unwrap();
    for (architecture, side) in CASES {
        for library in ["keras", "torchvision"] {
            let key = |what| format!("{library}.{architecture}.{side}.{what}");
            let sketches = golden[&key("sketch")].to_vec2::<f64>().unwrap();
            let norms = golden[&key("norm")].to_vec1::<f64>().unwrap();
            let model = model(library, architecture, side);
            let pooling = architecture.default_pooling();
            let vectors = features(&with_model(model, pooling, 0), &images);
            assert_eq!(vectors.len(), norms.len());
            let errors = vectors.iter().zip(sketches).zip(norms);
            let errors: Vec<f64> = errors
                .map(|((vector, sketch), norm)| compare(vector, &sketch, norm).0)
                .collect();
            let (middle, most) = (median(&errors), errors.iter().copied().fold(0.0, f64::max));
            println!("| {architecture} | {side} | {library} | {middle:.1e} | {most:.1e} |");
            assert!(
                middle <= MEDIAN && most <= LARGEST,
                "{library} {architecture} {side}: {middle:e} {most:e}"
            );
        }
    }
}
