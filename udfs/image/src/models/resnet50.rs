//! ResNet50 without its top, as Keras Applications builds it (its first version), or torchvision.
//!
//! A 7×7 convolution, maximum pooling and sixteen bottlenecks (1×1, 3×3 and 1×1 convolution, to
//! which their input is added): (n, 224, 224, 3) becomes (n, 7, 7, 2048). Keras's convolutions have
//! biases, and the first one of a bottleneck moves by two; torchvision's have none, and the second
//! does.
//!
//! - He, Zhang, Ren and Sun, "Deep residual learning for image recognition", CVPR 2016:
//!   <https://arxiv.org/abs/1512.03385>
//! - Reference implementations: `keras/src/applications/resnet.py`, `torchvision/models/resnet.py`

use featurize_kernels::Activation::{Linear, Relu};
use featurize_kernels::{Activation, Padding, Pooling, Window};

use super::blueprint::{Blueprint, IMAGES, Place};
use super::facts::Facts;
use crate::preprocess::Preprocessing;

pub(super) const FACTS: Facts = Facts {
    name: "resnet50",
    keras_folder: "resnet",
    keras_file: "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
    keras_md5: Some("4d473c1dd8becc155b73f8504c6f6626"),
    side: 224,
    least_side: 32,
    pooling: Pooling::Avg,
    preprocessing: (Preprocessing::Caffe, Preprocessing::Torch),
    epsilon: (1.001e-5, 1e-5),
    counted: false,
    describe,
};

/// Bottlenecks, and channels within them: a quarter of those that they give.
const STAGES: [(usize, usize); 4] = [(3, 64), (4, 128), (6, 256), (3, 512)];

fn describe(network: &mut Blueprint) {
    let mut map = conv(
        network,
        IMAGES,
        ("conv1", "conv1".to_owned(), "bn1".to_owned()),
        64,
        Window::new(7, 2, Padding::Zeros(3, 3)),
        Relu,
    );
    map = network.max_pool(map, Window::new(3, 2, Padding::Zeros(1, 1)));
    for (stage, (blocks, channels)) in (1..).zip(STAGES) {
        for block in 0..blocks {
            let stride = if block == 0 && stage > 1 { 2 } else { 1 };
            let names = (
                format!("conv{}_block{}", stage + 1, block + 1),
                format!("layer{stage}.{block}"),
            );
            map = bottleneck(network, map, &names, channels, stride, block == 0);
        }
    }
}

fn bottleneck(
    network: &mut Blueprint,
    input: Place,
    (name, module): &(String, String),
    channels: usize,
    stride: usize,
    first: bool,
) -> Place {
    let strides = network.either((stride, 1), (1, stride));
    let point = |stride| Window::new(1, stride, Padding::Zeros(0, 0));
    let mut unit = |input, number: usize, outputs, window, activation| {
        let (conv_module, norm) = match number {
            0 => (
                format!("{module}.downsample.0"),
                format!("{module}.downsample.1"),
            ),
            _ => (
                format!("{module}.conv{number}"),
                format!("{module}.bn{number}"),
            ),
        };
        let name = format!("{name}_{number}");
        conv(
            network,
            input,
            (&name, conv_module, norm),
            outputs,
            window,
            activation,
        )
    };
    let shortcut = if first {
        unit(input, 0, 4 * channels, point(stride), Linear)
    } else {
        input
    };
    let mut map = unit(input, 1, channels, point(strides.0), Relu);
    let window = Window::new(3, strides.1, Padding::Zeros(1, 1));
    map = unit(map, 2, channels, window, Relu);
    map = unit(map, 3, 4 * channels, point(1), Linear);
    network.add([shortcut, map], Relu)
}

fn conv(
    network: &mut Blueprint,
    input: Place,
    (name, module, norm): (&str, String, String),
    outputs: usize,
    window: Window,
    activation: Activation,
) -> Place {
    let names = (format!("{name}_conv"), module);
    let norm = (format!("{name}_bn"), norm);
    let map = network.conv_norm(input, names, norm, outputs, window, activation);
    let bias = network.either(true, false);
    network.change(map, |unit| unit.bias = bias)
}
