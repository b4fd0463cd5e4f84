//! Kinds of layers, as Keras names and stores them.

/// Kinds of layers that have variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum LayerKind {
    Conv2d,
    DepthwiseConv2d,
    BatchNormalization,
}

impl LayerKind {
    /// The kind of a Keras class in snake case.
    pub(crate) fn of_class(class: &str) -> Option<Self> {
        match class {
            "conv2d" => Some(Self::Conv2d),
            "depthwise_conv2d" => Some(Self::DepthwiseConv2d),
            "batch_normalization" => Some(Self::BatchNormalization),
            _ => None,
        }
    }

    /// Names of its variables, in the order in which Keras stores them.
    pub(crate) fn variables(self) -> &'static [&'static str] {
        match self {
            Self::Conv2d => &["kernel", "bias"],
            Self::DepthwiseConv2d => &["depthwise_kernel", "bias"],
            Self::BatchNormalization => &["gamma", "beta", "moving_mean", "moving_variance"],
        }
    }
}
