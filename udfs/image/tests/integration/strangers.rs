//! Files of other networks, and files with more than the network: no layer is left out in silence.
//!
//! The files in `tests/data/models` were written by Keras 3.15, in both layouts and as whole models
//! with the state of Adam. Their datasets were then replaced by ones of the same shape that are not
//! allocated and have a fill value, so that they take no space:
//!
//! ```text
//! vgg19                VGG19(weights=None, include_top=False, input_shape=(224, 224, 3))
//! *_topped             VGG16 or MobileNetV2, GlobalAveragePooling2D, Dropout, Dense(32, name="fc1"),
//!                      Dense(10, name="predictions")
//! nested               Input, VGG16(pooling="avg") as one layer, Dense(10)
//! normalised           VGG16 with a BatchNormalization after each block
//! mobilenet_v2_050     MobileNetV2(alpha=0.5)
//! ```

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use datafusion_functions_image::error::Result;
use datafusion_functions_image::model::{DeviceKind, Model};
use datafusion_functions_image::models::Architecture::{self, MobileNetV2, MobileNetV2_050, Vgg16};
use datafusion_functions_image::weights::WeightsSpec;

use crate::keras::{mobilenet_v2, unpack, vgg16};

/// Loads a file of `tests/data/models`.
fn load(architecture: Architecture, name: &str) -> Result<Model> {
    let folder = tempfile::tempdir().unwrap();
    load_file(
        architecture,
        &unpack(folder.path(), &format!("models/{name}")),
    )
}

fn load_file(architecture: Architecture, path: &Path) -> Result<Model> {
    let weights = WeightsSpec::File(path.to_owned());
    Model::load(architecture, &weights, DeviceKind::Cpu)
}

/// What is wrong with a file.
fn misfit(architecture: Architecture, name: &str) -> String {
    let error = load(architecture, name).unwrap_err().to_string();
    let expected = format!("do not fit {architecture}");
    assert!(error.contains(name) && error.contains(&expected), "{error}");
    error
}

fn assert_says(error: &str, parts: &[&str]) {
    for part in parts {
        assert!(error.contains(part), "{part} is not in: {error}");
    }
}

#[test]
fn vgg19_is_not_vgg16() {
    for name in ["vgg19_keras2.h5", "vgg19_keras3.weights.h5"] {
        let error = misfit(Vgg16, name);
        let convolutions = [
            "block3_conv4.kernel [3, 3, 256, 256]",
            "block4_conv4.bias [512]",
            "block5_conv4.kernel",
            "looks like VGG19",
        ];
        assert_says(&error, &convolutions);
        let error = misfit(MobileNetV2, name);
        assert_says(
            &error,
            &[
                "Conv1.kernel of shape [3, 3, 3, 32] is missing",
                "like VGG19",
            ],
        );
    }
}

#[test]
fn a_classifier_and_the_state_of_an_optimizer_may_be_there() {
    for (architecture, name, parameters) in [
        (Vgg16, "vgg16_topped_whole.h5", 14_714_688),
        (Vgg16, "vgg16_topped_keras3.weights.h5", 14_714_688),
        (Vgg16, "vgg16_topped.keras", 14_714_688),
        (MobileNetV2, "mobilenet_v2_topped_keras2.h5", 2_257_984),
        (MobileNetV2, "mobilenet_v2_topped_whole.h5", 2_257_984),
    ] {
        let model = load(architecture, name).unwrap();
        assert_eq!(model.parameter_count(), parameters, "{name}");
    }
}

#[test]
fn a_network_is_recognised_as_another() {
    let error = misfit(MobileNetV2, "vgg16_topped_keras3.weights.h5");
    assert_says(&error, &["looks like vgg16: model => 'vgg16'"]);
    let error = misfit(Vgg16, "mobilenet_v2_topped_keras2.h5");
    assert_says(&error, &["looks like mobilenet_v2"]);
}

/// As most people keep a network that they have trained further.
#[test]
fn a_model_inside_a_model_is_found() {
    for name in ["nested_keras2.h5", "nested_keras3.weights.h5"] {
        let model = load(Vgg16, name).unwrap();
        assert_eq!(model.parameter_count(), 14_714_688, "{name}");
        let error = misfit(MobileNetV2, name);
        assert_says(
            &error,
            &["is missing", "model inside the model", "save_weights("],
        );
    }
}

/// They come between layers that are read, and change what those are given.
#[test]
fn normalisations_in_between_are_no_classifier() {
    for name in ["normalised_keras2.h5", "normalised_keras3.weights.h5"] {
        let error = misfit(Vgg16, name);
        assert_says(&error, &["batch_normalization", "[64]", "vgg16 lacks"]);
    }
}

#[test]
fn another_width_has_other_shapes() {
    let error = misfit(MobileNetV2, "mobilenet_v2_050_keras2.h5");
    assert_says(
        &error,
        &[
            "fit mobilenet_v2: ",
            "Conv1.kernel has shape [3, 3, 3, 16], expected [3, 3, 3, 32]",
            "looks like mobilenet_v2_050: model => 'mobilenet_v2_050'",
        ],
    );
    let model = load(MobileNetV2_050, "mobilenet_v2_050_keras2.h5").unwrap();
    assert_eq!(model.parameter_count(), 706_224);
}

/// Safetensors with the variables of a network, and more.
fn with_extras(
    variables: Vec<(String, Vec<usize>)>,
    extras: &[(&str, &[usize])],
) -> HashMap<String, Tensor> {
    let extras = extras.iter();
    let extras = extras.map(|(name, shape)| ((*name).to_owned(), shape.to_vec()));
    let tensors = variables.into_iter().chain(extras).map(|(name, shape)| {
        let value = Tensor::ones(shape, DType::F32, &Device::Cpu).unwrap();
        (name, value)
    });
    tensors.collect()
}

fn save_and_load(architecture: Architecture, tensors: &HashMap<String, Tensor>) -> Result<Model> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    candle_core::safetensors::save(tensors, &path).unwrap();
    load_file(architecture, &path)
}

#[test]
fn our_own_naming() {
    let top: [(&str, &[usize]); 3] = [
        ("fc1.kernel", &[25_088, 16]),
        ("fc1.bias", &[16]),
        ("predictions.kernel", &[16, 10]),
    ];
    save_and_load(Vgg16, &with_extras(vgg16(), &top)).unwrap();
    for (architecture, variables, extra, shape) in [
        (
            Vgg16,
            vgg16(),
            "block5_conv4.kernel",
            [3, 3, 512, 512].as_slice(),
        ),
        (Vgg16, vgg16(), "block5_conv3.gamma", &[512]),
        (Vgg16, vgg16(), "bn_Conv1.gamma", &[32]),
        (MobileNetV2, mobilenet_v2(), "Conv1.bias", &[32]),
        (
            MobileNetV2,
            mobilenet_v2(),
            "block_17_expand.kernel",
            &[1, 1, 1280, 96],
        ),
    ] {
        let tensors = with_extras(variables, &[(extra, shape)]);
        let error = save_and_load(architecture, &tensors)
            .unwrap_err()
            .to_string();
        assert_says(&error, &["do not fit", extra, "lacks"]);
    }
}

/// VGG16 by the names of torchvision.
fn torchvision_vgg16() -> Vec<(String, Vec<usize>)> {
    let indices = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28];
    let outputs = [
        64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512,
    ];
    let inputs = [3].into_iter().chain(outputs);
    let layers = indices.into_iter().zip(outputs).zip(inputs);
    layers
        .flat_map(|((index, outputs), inputs)| {
            let name = format!("features.{index}");
            let kernel = vec![outputs, inputs, 3, 3];
            [
                (format!("{name}.weight"), kernel),
                (format!("{name}.bias"), vec![outputs]),
            ]
        })
        .collect()
}

#[test]
fn names_of_torchvision() {
    let tops: [&[(&str, &[usize])]; 3] = [
        &[
            ("classifier.0.weight", &[16, 25_088]),
            ("classifier.0.bias", &[16]),
        ],
        // timm's, whose first layer of the top is a convolution.
        &[
            ("pre_logits.fc1.weight", &[16, 512, 7, 7]),
            ("head.fc.weight", &[10, 16]),
        ],
        &[("features.0.num_batches_tracked", &[])],
    ];
    for top in tops {
        save_and_load(Vgg16, &with_extras(torchvision_vgg16(), top)).unwrap();
    }
    let extras: [(&str, &[usize]); 3] = [
        ("features.30.weight", &[512, 512, 3, 3]),
        ("features.1.weight", &[64]),
        ("decoder.0.weight", &[8, 512, 3, 3]),
    ];
    for (name, shape) in extras {
        let tensors = with_extras(torchvision_vgg16(), &[(name, shape)]);
        let error = save_and_load(Vgg16, &tensors).unwrap_err().to_string();
        assert_says(&error, &["do not fit vgg16", name, "no classifier"]);
    }
}

/// Squeeze and excitation is fully connected, too, but takes the channels of maps in between.
#[test]
fn attention_to_channels_is_no_classifier() {
    let extras: [(&str, &[usize]); 2] = [
        ("block1_conv2_se_reduce.kernel", &[64, 4]),
        ("block1_conv2_se_expand.kernel", &[4, 64]),
    ];
    let error = save_and_load(Vgg16, &with_extras(vgg16(), &extras)).unwrap_err();
    assert_says(&error.to_string(), &["do not fit vgg16", "_se_reduce"]);
    let tensors = with_extras(
        torchvision_vgg16(),
        &[("attention.0.fc.0.weight", &[16, 256])],
    );
    let error = save_and_load(Vgg16, &tensors).unwrap_err().to_string();
    assert_says(&error, &["attention.0.fc.0.weight", "no classifier"]);
}

/// Whole numbers would be weights without their scale.
#[test]
fn quantised_weights_are_refused_by_name() {
    for dtype in [DType::U8, DType::U32, DType::I64] {
        let mut tensors = with_extras(vgg16(), &[]);
        let kernel = tensors["block1_conv1.kernel"].to_dtype(dtype).unwrap();
        tensors.insert("block1_conv1.kernel".to_owned(), kernel);
        let error = save_and_load(Vgg16, &tensors).unwrap_err().to_string();
        assert_says(
            &error,
            &["block1_conv1.kernel", "quantised weights are not read"],
        );
    }
}

/// `h = h5py.File("loop.weights.h5", "w"); g = h.create_group("layers"); g["again"] = g`
#[test]
fn groups_in_a_circle_are_an_error() {
    let error = load(Vgg16, "loop.weights.h5").unwrap_err().to_string();
    assert_says(&error, &["more than 32 deep in each other", "link"]);
}
