//! InceptionV3 without its top, as Keras Applications builds it, or torchvision without the
//! auxiliary head.
//!
//! Convolutions and eleven blocks of branches whose results are put side by side:
//! (n, 299, 299, 3) becomes (n, 8, 8, 2048). Keras gives its layers no names but counts them, in the
//! order in which they are made here.
//!
//! - Szegedy, Vanhoucke, Ioffe, Shlens and Wojna, "Rethinking the inception architecture for computer
//!   vision", CVPR 2016: <https://arxiv.org/abs/1512.00567>
//! - Reference implementations: `keras/src/applications/inception_v3.py`,
//!   `torchvision/models/inception.py`

use featurize_kernels::{Activation, Padding, Pooling, Window};

use super::blueprint::{Blueprint, IMAGES, Place};
use super::facts::Facts;
use crate::preprocess::Preprocessing;

pub(super) const FACTS: Facts = Facts {
    name: "inception_v3",
    keras_folder: "inception_v3",
    keras_file: "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
    keras_md5: Some("bcbd6486424b2319ff4ef7d526e38f63"),
    side: 299,
    least_side: 75,
    pooling: Pooling::Avg,
    // torchvision's published weights are used with `transform_input`, which turns its own
    // preprocessing into this one.
    preprocessing: (Preprocessing::Tf, Preprocessing::Tf),
    epsilon: (1e-3, 1e-3),
    counted: true,
    describe,
};

const VALID: Padding = Padding::Zeros(0, 0);

struct Layers<'a> {
    network: &'a mut Blueprint,
    /// The block of torchvision.
    module: String,
    count: usize,
}

fn describe(network: &mut Blueprint) {
    let mut layers = Layers {
        network,
        module: String::new(),
        count: 0,
    };
    let mut map = layers.stem();
    for (name, pooled) in [("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)] {
        name.clone_into(&mut layers.module);
        map = layers.block_a(map, pooled);
    }
    "Mixed_6a".clone_into(&mut layers.module);
    map = layers.block_b(map);
    for (name, channels) in [
        ("Mixed_6b", 128),
        ("Mixed_6c", 160),
        ("Mixed_6d", 160),
        ("Mixed_6e", 192),
    ] {
        name.clone_into(&mut layers.module);
        map = layers.block_c(map, channels);
    }
    "Mixed_7a".clone_into(&mut layers.module);
    map = layers.block_d(map);
    for name in ["Mixed_7b", "Mixed_7c"] {
        name.clone_into(&mut layers.module);
        map = layers.block_e(map);
    }
}

impl Layers<'_> {
    /// A convolution with batch normalisation without gamma (in Keras) and ReLU.
    fn conv(&mut self, input: Place, module: &str, outputs: usize, window: Window) -> Place {
        let number = match self.count {
            0 => String::new(),
            count => format!("_{count}"),
        };
        self.count += 1;
        let module = match self.module.as_str() {
            "" => module.to_owned(),
            block => format!("{block}.{module}"),
        };
        let map = self.network.conv_norm(
            input,
            (format!("conv2d{number}"), format!("{module}.conv")),
            (
                format!("batch_normalization{number}"),
                format!("{module}.bn"),
            ),
            outputs,
            window,
            Activation::Relu,
        );
        let gamma = self.network.either(false, true);
        self.network.change(map, |unit| {
            if let Some(norm) = &mut unit.norm {
                norm.gamma = gamma;
            }
        })
    }

    fn same(&mut self, input: Place, module: &str, outputs: usize, size: (usize, usize)) -> Place {
        let window = Window {
            size,
            stride: 1,
            padding: Padding::Zeros(size.0 / 2, size.1 / 2),
        };
        self.conv(input, module, outputs, window)
    }

    fn point(&mut self, input: Place, module: &str, outputs: usize) -> Place {
        self.same(input, module, outputs, (1, 1))
    }

    /// The mean of the neighbours, and a 1×1 convolution.
    fn pooled(&mut self, input: Place, outputs: usize) -> Place {
        let window = Window::new(3, 1, Padding::Zeros(1, 1));
        let mean = self.network.average_pool(input, window);
        self.point(mean, "branch_pool", outputs)
    }

    fn stem(&mut self) -> Place {
        let window = |stride| Window::new(3, stride, VALID);
        let mut map = self.conv(IMAGES, "Conv2d_1a_3x3", 32, window(2));
        map = self.conv(map, "Conv2d_2a_3x3", 32, window(1));
        map = self.same(map, "Conv2d_2b_3x3", 64, (3, 3));
        map = self.network.max_pool(map, window(2));
        map = self.point(map, "Conv2d_3b_1x1", 80);
        map = self.conv(map, "Conv2d_4a_3x3", 192, window(1));
        self.network.max_pool(map, window(2))
    }

    fn block_a(&mut self, input: Place, pooled: usize) -> Place {
        let one = self.point(input, "branch1x1", 64);
        let mut five = self.point(input, "branch5x5_1", 48);
        five = self.same(five, "branch5x5_2", 64, (5, 5));
        let mut three = self.point(input, "branch3x3dbl_1", 64);
        three = self.same(three, "branch3x3dbl_2", 96, (3, 3));
        three = self.same(three, "branch3x3dbl_3", 96, (3, 3));
        let pool = self.pooled(input, pooled);
        self.network.concat(vec![one, five, three, pool])
    }

    fn block_b(&mut self, input: Place) -> Place {
        let window = Window::new(3, 2, VALID);
        let three = self.conv(input, "branch3x3", 384, window);
        let mut double = self.point(input, "branch3x3dbl_1", 64);
        double = self.same(double, "branch3x3dbl_2", 96, (3, 3));
        double = self.conv(double, "branch3x3dbl_3", 96, window);
        let pool = self.network.max_pool(input, window);
        self.network.concat(vec![three, double, pool])
    }

    fn block_c(&mut self, input: Place, channels: usize) -> Place {
        let one = self.point(input, "branch1x1", 192);
        let mut seven = self.point(input, "branch7x7_1", channels);
        seven = self.same(seven, "branch7x7_2", channels, (1, 7));
        seven = self.same(seven, "branch7x7_3", 192, (7, 1));
        let mut double = self.point(input, "branch7x7dbl_1", channels);
        double = self.same(double, "branch7x7dbl_2", channels, (7, 1));
        double = self.same(double, "branch7x7dbl_3", channels, (1, 7));
        double = self.same(double, "branch7x7dbl_4", channels, (7, 1));
        double = self.same(double, "branch7x7dbl_5", 192, (1, 7));
        let pool = self.pooled(input, 192);
        self.network.concat(vec![one, seven, double, pool])
    }

    fn block_d(&mut self, input: Place) -> Place {
        let window = Window::new(3, 2, VALID);
        let mut three = self.point(input, "branch3x3_1", 192);
        three = self.conv(three, "branch3x3_2", 320, window);
        let mut seven = self.point(input, "branch7x7x3_1", 192);
        seven = self.same(seven, "branch7x7x3_2", 192, (1, 7));
        seven = self.same(seven, "branch7x7x3_3", 192, (7, 1));
        seven = self.conv(seven, "branch7x7x3_4", 192, window);
        let pool = self.network.max_pool(input, window);
        self.network.concat(vec![three, seven, pool])
    }

    fn block_e(&mut self, input: Place) -> Place {
        let one = self.point(input, "branch1x1", 320);
        let three = self.point(input, "branch3x3_1", 384);
        let wide = self.same(three, "branch3x3_2a", 384, (1, 3));
        let tall = self.same(three, "branch3x3_2b", 384, (3, 1));
        let three = self.network.concat(vec![wide, tall]);
        let mut double = self.point(input, "branch3x3dbl_1", 448);
        double = self.same(double, "branch3x3dbl_2", 384, (3, 3));
        let wide = self.same(double, "branch3x3dbl_3a", 384, (1, 3));
        let tall = self.same(double, "branch3x3dbl_3b", 384, (3, 1));
        let double = self.network.concat(vec![wide, tall]);
        let pool = self.pooled(input, 192);
        self.network.concat(vec![one, three, double, pool])
    }
}
