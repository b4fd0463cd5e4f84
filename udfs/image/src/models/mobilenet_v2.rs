//! MobileNetV2 of any width without its top, as Keras Applications builds it.
//!
//! A strided convolution, seventeen inverted residual blocks (1×1 expansion, 3×3 depthwise
//! convolution, 1×1 projection without activation) and a 1×1 convolution:
//! (n, 224, 224, 3) becomes (n, 7, 7, 1280).
//!
//! - Sandler, Howard, Zhu, Zhmoginov and Chen, "MobileNetV2: inverted residuals and linear
//!   bottlenecks", CVPR 2018: <https://arxiv.org/abs/1801.04381>
//! - Reference implementation: `keras/src/applications/mobilenet_v2.py`

use featurize_kernels::{Activation, Padding, Pooling, Window};

use super::blueprint::{Blueprint, IMAGES, Place};
use super::facts::Facts;
use crate::preprocess::Preprocessing;

macro_rules! width {
    ($name:literal, $file:literal, $percent:literal) => {
        Facts {
            name: $name,
            keras_folder: "mobilenet_v2",
            keras_file: concat!(
                "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_",
                $file,
                "_224_no_top.h5"
            ),
            // Keras checks none.
            keras_md5: None,
            side: 224,
            least_side: 32,
            pooling: Pooling::Avg,
            preprocessing: (Preprocessing::Tf, Preprocessing::Torch),
            epsilon: (1e-3, 1e-5),
            counted: false,
            describe: |network| describe(network, $percent),
        }
    };
}

pub(super) const WIDTH_035: Facts = width!("mobilenet_v2_035", "0.35", 35);
pub(super) const WIDTH_050: Facts = width!("mobilenet_v2_050", "0.5", 50);
pub(super) const WIDTH_075: Facts = width!("mobilenet_v2_075", "0.75", 75);
pub(super) const WIDTH_100: Facts = width!("mobilenet_v2", "1.0", 100);
pub(super) const WIDTH_130: Facts = width!("mobilenet_v2_130", "1.3", 130);
pub(super) const WIDTH_140: Facts = width!("mobilenet_v2_140", "1.4", 140);

/// Expansion factor, output channels, blocks, and stride of the first of them.
const GROUPS: [(usize, usize, usize, usize); 7] = [
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
];
const STEM_CHANNELS: usize = 32;
const HEAD_CHANNELS: usize = 1280;

/// Channels at a width in percent: a multiple of eight, and not less than nine tenths.
fn scaled(channels: usize, percent: usize) -> usize {
    let exact = channels * percent;
    let rounded = ((exact + 400) / 800 * 8).max(8);
    if rounded * 1000 < 9 * exact {
        rounded + 8
    } else {
        rounded
    }
}

fn describe(network: &mut Blueprint, percent: usize) {
    let mut layers = Layers { network };
    let window = layers.window(2);
    let names = |keras: &str, module: &str| (keras.to_owned(), module.to_owned());
    let mut map = layers.network.conv_norm(
        IMAGES,
        names("Conv1", "features.0.0"),
        names("bn_Conv1", "features.0.1"),
        scaled(STEM_CHANNELS, percent),
        window,
        Activation::Relu6,
    );
    let mut number = 0;
    for (factor, outputs, count, first_stride) in GROUPS {
        for index in 0..count {
            let stride = if index == 0 { first_stride } else { 1 };
            map = layers.block(map, number, factor, scaled(outputs, percent), stride);
            number += 1;
        }
    }
    layers.network.conv_norm(
        map,
        names("Conv_1", "features.18.0"),
        names("Conv_1_bn", "features.18.1"),
        scaled(HEAD_CHANNELS, percent.max(100)),
        Window::POINT,
        Activation::Relu6,
    );
}

struct Layers<'a> {
    network: &'a mut Blueprint,
}

impl Layers<'_> {
    fn window(&self, stride: usize) -> Window {
        let padding = self.network.either(Padding::Same, Padding::Zeros(1, 1));
        Window::new(3, stride, padding)
    }

    fn block(
        &mut self,
        input: Place,
        number: usize,
        factor: usize,
        outputs: usize,
        stride: usize,
    ) -> Place {
        let name = match number {
            0 => "expanded_conv".to_owned(),
            _ => format!("block_{number}"),
        };
        let module = format!("features.{}.conv", number + 1);
        let inputs = self.network.channels(input);
        let (mut map, mut position) = (input, 0);
        if factor > 1 {
            map = self.network.conv_norm(
                map,
                (format!("{name}_expand"), format!("{module}.0.0")),
                (format!("{name}_expand_BN"), format!("{module}.0.1")),
                factor * inputs,
                Window::POINT,
                Activation::Relu6,
            );
            position = 1;
        }
        let window = self.window(stride);
        map = self.network.conv_norm(
            map,
            (
                format!("{name}_depthwise"),
                format!("{module}.{position}.0"),
            ),
            (
                format!("{name}_depthwise_BN"),
                format!("{module}.{position}.1"),
            ),
            factor * inputs,
            window,
            Activation::Relu6,
        );
        self.network.change(map, |unit| unit.depthwise = true);
        map = self.network.conv_norm(
            map,
            (
                format!("{name}_project"),
                format!("{module}.{}", position + 1),
            ),
            (
                format!("{name}_project_BN"),
                format!("{module}.{}", position + 2),
            ),
            outputs,
            Window::POINT,
            Activation::Linear,
        );
        if stride == 1 && inputs == outputs {
            map = self.network.add([input, map], Activation::Linear);
        }
        map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_at_every_width() {
        let stem = [35, 50, 75, 100, 130, 140].map(|percent| scaled(STEM_CHANNELS, percent));
        assert_eq!(stem, [16, 16, 24, 32, 40, 48]);
        let last = [35, 50, 75, 100, 130, 140].map(|percent| scaled(320, percent));
        assert_eq!(last, [112, 160, 240, 320, 416, 448]);
    }
}
