//! Weights of torchvision: another naming, another layout, another preprocessing, another padding
//! and another epsilon.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use candle_nn::VarBuilder;
use datafusion_functions_image::model::{DeviceKind, Model};
use datafusion_functions_image::models::{Architecture, Pooling};
use datafusion_functions_image::preprocess::Preprocessing;
use datafusion_functions_image::weights::WeightsSpec;

use crate::{Golden, features, golden_image, with_model};

// Made with torchvision 0.30 in f64, after copying the seeded weights of the Keras model of
// mobilenet_v2.rs and of VGG16 into the convolutions and normalisations in order, kernels permuted
// to (output, input, height, width); `rgb` is the golden image.
//
// import numpy as np, torch, torchvision
//
// mean = np.array([.485, .456, .406], np.float32)
// std = np.array([.229, .224, .225], np.float32)
// x = ((rgb.astype(np.float32) / np.float32(255) - mean) / std).astype(np.float64)
// model = torchvision.models.vgg16(weights=None)  # or mobilenet_v2
// ...
// y = model.double().eval().features(torch.from_numpy(x).permute(2, 0, 1)[None])[0]
// map = y.permute(1, 2, 0).detach().numpy()
// f = map.reshape(-1)  # or map.mean((0, 1))
// print(np.linalg.norm(f), f.max(), f[::len(f) // 16])
const VGG16: Golden = Golden {
    norm: 507.50050580679493,
    max: 14.891744528630099,
    samples: [
        1.241170802426886,
        2.1148194188452614,
        0.0,
        3.1014805737666573,
        0.0,
        2.24058147966221,
        1.208973601163592,
        0.06575284569558018,
        0.16214175146219154,
        0.0,
        0.7644946988140712,
        9.40303027687962,
        4.6256122204994945,
        4.45343723151511,
        3.854887594732846,
        0.0,
    ],
};
const MOBILENET_V2: Golden = Golden {
    norm: 82.69359061118078,
    max: 6.0,
    samples: [
        5.532131841154278,
        3.5044508192714368,
        0.7798628970805467,
        0.4252573528883792,
        0.6662732385867897,
        1.1498330760537188,
        1.1978645884001804,
        0.6847130155931052,
        0.11861009428488214,
        1.8840092040818404,
        0.38864081210674445,
        1.5379380896991781,
        2.742091212637988,
        0.48793038622448187,
        0.062000762611751636,
        1.114172374587414,
    ],
};

/// A `state_dict` in the making.
struct StateDict<'a> {
    seeded: VarBuilder<'a>,
    tensors: HashMap<String, Tensor>,
}

impl StateDict<'_> {
    fn convolution(&mut self, layer: &str, module: &str, shape: [usize; 4]) {
        let [.., inputs, outputs] = shape;
        let depthwise = layer.ends_with("_depthwise");
        let variable = if depthwise {
            "depthwise_kernel"
        } else {
            "kernel"
        };
        let shape = if depthwise { [3, 3, outputs, 1] } else { shape };
        let kernel = self
            .seeded
            .get(&shape, &format!("{layer}.{variable}"))
            .unwrap();
        let axes = if depthwise {
            (2, 3, 0, 1)
        } else {
            (3, 2, 0, 1)
        };
        assert!(!depthwise || inputs == 1);
        let kernel = kernel.permute(axes).unwrap().contiguous().unwrap();
        self.tensors.insert(format!("{module}.weight"), kernel);
    }

    fn vector(&mut self, layer: &str, variable: &str, module: &str, name: &str, length: usize) {
        let values = self
            .seeded
            .get(length, &format!("{layer}.{variable}"))
            .unwrap();
        self.tensors.insert(format!("{module}.{name}"), values);
    }

    fn norm(&mut self, layer: &str, module: &str, channels: usize) {
        for (variable, name) in [
            ("gamma", "weight"),
            ("beta", "bias"),
            ("moving_mean", "running_mean"),
            ("moving_variance", "running_var"),
        ] {
            self.vector(layer, variable, module, name, channels);
        }
    }
}

fn model(architecture: Architecture, fill: impl FnOnce(&mut StateDict)) -> Arc<Model> {
    let weights = WeightsSpec::Seeded.load(architecture).unwrap();
    let mut dict = StateDict {
        seeded: weights.var_builder(&Device::Cpu),
        tensors: HashMap::new(),
    };
    fill(&mut dict);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    candle_core::safetensors::save(&dict.tensors, &path).unwrap();
    let spec = WeightsSpec::File(path);
    let model = Model::load(architecture, &spec, DeviceKind::Cpu).unwrap();
    assert_eq!(model.preprocessing(), Some(Preprocessing::Torch));
    Arc::new(model)
}

/// torchvision's VGG16 with the seeded weights.
pub(crate) fn vgg16_model() -> Arc<Model> {
    let indices = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28];
    model(Architecture::Vgg16, |dict| {
        let mut indices = indices.into_iter();
        let mut inputs = 3;
        for (block, (layers, outputs)) in
            (1..).zip([(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)])
        {
            for layer in 1..=layers {
                let name = format!("block{block}_conv{layer}");
                let module = format!("features.{}", indices.next().unwrap());
                dict.convolution(&name, &module, [3, 3, inputs, outputs]);
                dict.vector(&name, "bias", &module, "bias", outputs);
                inputs = outputs;
            }
        }
    })
}

/// torchvision's MobileNetV2 with the seeded weights.
pub(crate) fn mobilenet_v2_model() -> Arc<Model> {
    model(Architecture::MobileNetV2, |dict| {
        dict.convolution("Conv1", "features.0.0", [3, 3, 3, 32]);
        dict.norm("bn_Conv1", "features.0.1", 32);
        dict.convolution(
            "expanded_conv_depthwise",
            "features.1.conv.0.0",
            [3, 3, 1, 32],
        );
        dict.norm("expanded_conv_depthwise_BN", "features.1.conv.0.1", 32);
        dict.convolution("expanded_conv_project", "features.1.conv.1", [1, 1, 32, 16]);
        dict.norm("expanded_conv_project_BN", "features.1.conv.2", 16);
        let mut inputs = 16;
        let mut number = 1;
        for (outputs, count) in [(24, 2), (32, 3), (64, 4), (96, 3), (160, 3), (320, 1)] {
            for _ in 0..count {
                let (name, module) = (
                    format!("block_{number}"),
                    format!("features.{}.conv", number + 1),
                );
                let hidden = inputs * 6;
                dict.convolution(
                    &format!("{name}_expand"),
                    &format!("{module}.0.0"),
                    [1, 1, inputs, hidden],
                );
                dict.norm(
                    &format!("{name}_expand_BN"),
                    &format!("{module}.0.1"),
                    hidden,
                );
                dict.convolution(
                    &format!("{name}_depthwise"),
                    &format!("{module}.1.0"),
                    [3, 3, 1, hidden],
                );
                dict.norm(
                    &format!("{name}_depthwise_BN"),
                    &format!("{module}.1.1"),
                    hidden,
                );
                dict.convolution(
                    &format!("{name}_project"),
                    &format!("{module}.2"),
                    [1, 1, hidden, outputs],
                );
                dict.norm(
                    &format!("{name}_project_BN"),
                    &format!("{module}.3"),
                    outputs,
                );
                inputs = outputs;
                number += 1;
            }
        }
        dict.convolution("Conv_1", "features.18.0", [1, 1, 320, 1280]);
        dict.norm("Conv_1_bn", "features.18.1", 1280);
    })
}

#[test]
fn vgg16() {
    let model = vgg16_model();
    let vectors = features(&with_model(model, Pooling::None, 0), &[&golden_image()]);
    VGG16.check(&vectors[0], 1e-5);
}

#[test]
fn mobilenet_v2() {
    let model = mobilenet_v2_model();
    let vectors = features(&with_model(model, Pooling::Avg, 0), &[&golden_image()]);
    MOBILENET_V2.check(&vectors[0], 1e-5);
}

#[test]
fn a_missing_tensor_is_named_as_the_file_would() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let shape = (64, 3, 3, 3);
    let first = Tensor::zeros(shape, candle_core::DType::F32, &Device::Cpu).unwrap();
    let tensors = HashMap::from([("features.0.weight".to_owned(), first)]);
    candle_core::safetensors::save(&tensors, &path).unwrap();
    let error = load_error(&path);
    assert!(
        error.contains("tensor features.0.bias of shape [64] is missing"),
        "{error}"
    );
    let tensors = HashMap::from([(
        "features.0.weight".to_owned(),
        Tensor::zeros((64, 3, 5, 5), candle_core::DType::F32, &Device::Cpu).unwrap(),
    )]);
    candle_core::safetensors::save(&tensors, &path).unwrap();
    let error = load_error(&path);
    assert!(
        error.contains("tensor features.0.weight has shape [64, 3, 5, 5], expected [64, 3, 3, 3]"),
        "{error}"
    );
}

fn load_error(path: &Path) -> String {
    let spec = WeightsSpec::File(path.to_owned());
    let error = Model::load(Architecture::Vgg16, &spec, DeviceKind::Cpu).unwrap_err();
    error.to_string()
}
