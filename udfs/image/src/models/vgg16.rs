//! VGG16 without its top, as Keras Applications builds it.
//!
//! Five blocks of 3×3 convolutions with bias and ReLU, each followed by 2×2 maximum pooling:
//! (n, 224, 224, 3) becomes (n, 7, 7, 512).
//!
//! - Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition",
//!   ICLR 2015, configuration D: <https://arxiv.org/abs/1409.1556>
//! - Reference implementation: `keras/src/applications/vgg16.py`

use featurize_kernels::{Activation, Padding, Pooling, Window};

use super::blueprint::{Blueprint, IMAGES};
use super::facts::Facts;
use crate::preprocess::Preprocessing;

pub(super) const FACTS: Facts = Facts {
    name: "vgg16",
    keras_folder: "vgg16",
    keras_file: "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
    keras_md5: Some("6d6bbae143d832006294945121d1f1fc"),
    side: 224,
    least_side: 32,
    pooling: Pooling::None,
    preprocessing: (Preprocessing::Caffe, Preprocessing::Torch),
    epsilon: (0.0, 0.0),
    counted: false,
    describe,
};

/// Convolutions and output channels of each block.
const BLOCKS: [(usize, usize); 5] = [(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)];

fn describe(network: &mut Blueprint) {
    let convolution = Window::new(3, 1, Padding::Same);
    let pool = Window::new(2, 2, Padding::Zeros(0, 0));
    let mut map = IMAGES;
    // torchvision counts activations and pools too.
    let mut index = 0;
    for (block, (layers, outputs)) in (1..).zip(BLOCKS) {
        for layer in 1..=layers {
            let names = (
                format!("block{block}_conv{layer}"),
                format!("features.{index}"),
            );
            map = network.conv(map, names, outputs, convolution, Activation::Relu);
            index += 2;
        }
        map = network.max_pool(map, pool);
        index += 1;
    }
}
