//! What else a set of weights expects of the network around it.
//!
//! The same architecture exists in several libraries with small differences that change every
//! feature: how pixels become numbers, where a convolution of stride 2 pads, what batch
//! normalisation adds to the variance. They belong to the weights, not to the architecture.

use crate::preprocess::Preprocessing;

/// Conventions of the library in which weights were trained.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Conventions {
    /// From pixels to network input.
    pub preprocessing: Preprocessing,
    /// Where a 3×3 convolution of stride 2 adds its zeros.
    pub strided_padding: StridedPadding,
    /// What batch normalisation adds to the variance.
    pub batch_norm_epsilon: f64,
}

/// Zeros around the input of a 3×3 convolution of stride 2 whose input has an even size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StridedPadding {
    /// One row below and one column to the right: TensorFlow.
    End,
    /// One on each side: PyTorch.
    Both,
}

impl StridedPadding {
    /// Zeros before and after, along one axis.
    pub(crate) fn amounts(self) -> (usize, usize) {
        match self {
            Self::End => (0, 1),
            Self::Both => (1, 1),
        }
    }
}

impl Conventions {
    /// Those of Keras, whose preprocessing differs from network to network.
    pub fn keras(preprocessing: Preprocessing) -> Self {
        Self {
            preprocessing,
            strided_padding: StridedPadding::End,
            batch_norm_epsilon: 1e-3,
        }
    }

    /// Those of torchvision.
    pub fn torchvision() -> Self {
        Self {
            preprocessing: Preprocessing::Torch,
            strided_padding: StridedPadding::Both,
            batch_norm_epsilon: 1e-5,
        }
    }
}
