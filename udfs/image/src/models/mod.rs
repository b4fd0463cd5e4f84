//! The networks.

mod convolution;
mod fused;
mod mobilenet_v2;
mod vgg16;

use std::fmt;

use candle_core::Tensor;
use candle_nn::VarBuilder;

use crate::conventions::Conventions;
use crate::error::{Error, Result};
use crate::pool::Workers;
use crate::preprocess::Preprocessing;

/// A convolutional network without its classifier.
pub(crate) trait Network: fmt::Debug + Send + Sync {
    /// Trainable and other variables, as `model.summary()` counts them in Keras.
    fn parameter_count(&self) -> usize;

    /// Maps preprocessed images (n, height, width, 3) to the last feature map (n, h, w, c),
    /// computing on `workers` where the tensors are in main memory, until they are told to stop.
    fn forward(&self, images: &Tensor, workers: Workers<'_>) -> candle_core::Result<Tensor>;
}

/// Who does the arithmetic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Implementation {
    /// The fused CPU kernels of `featurize_kernels`, as custom operations on Candle tensors.
    Kernels,
    /// Candle's own operations, on any device.
    Candle,
}

/// A network this crate knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Architecture {
    /// Simonyan and Zisserman, "Very deep convolutional networks for large-scale image
    /// recognition", ICLR 2015, configuration D.
    Vgg16,
    /// Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks", CVPR 2018, with
    /// alpha 1.0.
    MobileNetV2,
}

impl Architecture {
    /// Every network, in the order in which messages list them.
    pub const ALL: [Self; 2] = [Self::Vgg16, Self::MobileNetV2];

    /// Name in SQL.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vgg16 => "vgg16",
            Self::MobileNetV2 => "mobilenet_v2",
        }
    }

    /// Parses the `model` argument.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] that lists the names and suggests the nearest.
    pub fn parse(text: &str) -> Result<Self> {
        choose("model", text, &Self::ALL.map(|each| (each.name(), each)))
    }

    /// Height and width of the images the network is fed.
    pub fn image_size(self) -> (usize, usize) {
        match self {
            Self::Vgg16 | Self::MobileNetV2 => (224, 224),
        }
    }

    /// Shape (height, width, channels) of the last feature map.
    pub fn feature_map(self) -> (usize, usize, usize) {
        match self {
            Self::Vgg16 => (7, 7, 512),
            Self::MobileNetV2 => (7, 7, 1280),
        }
    }

    /// What `pooling` means where it is not given.
    pub fn default_pooling(self) -> Pooling {
        match self {
            Self::Vgg16 => Pooling::None,
            Self::MobileNetV2 => Pooling::Avg,
        }
    }

    /// Preprocessing that goes with Keras's weights.
    pub fn keras_preprocessing(self) -> Preprocessing {
        match self {
            Self::Vgg16 => Preprocessing::Caffe,
            Self::MobileNetV2 => Preprocessing::Tf,
        }
    }

    /// Name of the weights file of Keras Applications, without the top.
    pub fn keras_file(self) -> &'static str {
        match self {
            Self::Vgg16 => "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
            Self::MobileNetV2 => {
                "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
            }
        }
    }

    /// Builds the network from its variables.
    pub(crate) fn build(
        self,
        variables: &VarBuilder<'_>,
        conventions: Conventions,
        implementation: Implementation,
    ) -> candle_core::Result<Box<dyn Network>> {
        Ok(match self {
            Self::Vgg16 => Box::new(vgg16::Vgg16::load(variables, implementation)?),
            Self::MobileNetV2 => Box::new(mobilenet_v2::MobileNetV2::load(
                variables,
                conventions,
                implementation,
            )?),
        })
    }

    /// Layers with variables in Keras's order, each with the module torchvision keeps it in.
    fn layers(self) -> Vec<(LayerKind, String, String)> {
        match self {
            Self::Vgg16 => vgg16::layers(),
            Self::MobileNetV2 => mobilenet_v2::layers(),
        }
    }

    /// Name of the layer number `ordinal` (from 0) of its kind.
    pub(crate) fn layer(self, kind: LayerKind, ordinal: usize) -> Option<String> {
        let layers = self.layers().into_iter();
        let mut of_kind = layers.filter(|(other, ..)| *other == kind);
        of_kind.nth(ordinal).map(|(_, name, _)| name)
    }

    /// The layers with variables, by their names in Keras and in torchvision.
    pub(crate) fn layer_names(self) -> Vec<(String, String)> {
        let layers = self.layers().into_iter();
        layers.map(|(_, name, module)| (name, module)).collect()
    }

    /// The torchvision module that holds what Keras calls `layer`.
    pub(crate) fn torchvision_module(self, layer: &str) -> Option<String> {
        let mut layers = self.layers().into_iter();
        let found = layers.find(|(_, name, _)| name == layer);
        found.map(|(_, _, module)| module)
    }
}

/// Kinds of layers that have variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How the last feature map becomes a vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pooling {
    /// Flattened in height, width, channel order.
    None,
    /// Mean over the positions, per channel.
    Avg,
    /// Maximum over the positions, per channel.
    Max,
}

impl Pooling {
    const ALL: [Self; 3] = [Self::None, Self::Avg, Self::Max];

    /// Parses the `pooling` argument.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] that lists the names and suggests the nearest.
    pub fn parse(text: &str) -> Result<Self> {
        choose("pooling", text, &Self::ALL.map(|each| (each.name(), each)))
    }

    /// Name in SQL.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Avg => "avg",
            Self::Max => "max",
        }
    }

    /// Length of the vector that a map of this shape becomes.
    pub fn dimension(self, (height, width, channels): (usize, usize, usize)) -> usize {
        match self {
            Self::None => height * width * channels,
            Self::Avg | Self::Max => channels,
        }
    }

    /// Appends the vector of one feature map, given in height, width, channel order.
    pub(crate) fn apply(self, map: &[f32], channels: usize, out: &mut Vec<f32>) {
        let start = out.len();
        let mut positions = map.chunks_exact(channels);
        match self {
            Self::None => out.extend_from_slice(map),
            Self::Avg => {
                let count = positions.len() as f32;
                out.resize(start + channels, 0.0);
                for position in positions {
                    for (sum, value) in out.iter_mut().skip(start).zip(position) {
                        *sum += value;
                    }
                }
                for sum in out.iter_mut().skip(start) {
                    *sum /= count;
                }
            }
            Self::Max => {
                out.extend_from_slice(positions.next().unwrap_or_default());
                for position in positions {
                    for (most, value) in out.iter_mut().skip(start).zip(position) {
                        *most = most.max(*value);
                    }
                }
            }
        }
    }
}

/// Finds `text` among `choices`, or says which they are and which is nearest.
fn choose<T: Copy>(argument: &str, text: &str, choices: &[(&str, T)]) -> Result<T> {
    use datafusion_common::utils::datafusion_strsim::levenshtein;

    if let Some((_, choice)) = choices.iter().find(|(name, _)| *name == text) {
        return Ok(*choice);
    }
    let names: Vec<String> = choices
        .iter()
        .map(|(name, _)| format!("'{name}'"))
        .collect();
    let nearest = choices
        .iter()
        .map(|(name, _)| (levenshtein(&text.to_lowercase(), name), name))
        .filter(|(distance, name)| *distance <= text.len().max(name.len()).div_ceil(2))
        .min()
        .map(|(_, name)| format!("; did you mean '{name}'?"))
        .unwrap_or_default();
    Err(Error::Argument(format!(
        "unknown {argument} '{text}', expected one of {}{nearest}",
        names.join(", ")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_names_get_a_suggestion() {
        let error = Architecture::parse("VGG-16").unwrap_err().to_string();
        assert_eq!(
            error,
            "unknown model 'VGG-16', expected one of 'vgg16', 'mobilenet_v2'; did you mean 'vgg16'?"
        );
        let error = Pooling::parse("average").unwrap_err().to_string();
        assert!(
            error.ends_with("'none', 'avg', 'max'; did you mean 'avg'?"),
            "{error}"
        );
    }

    #[test]
    fn pooling_over_positions() {
        let map = [1.0, -2.0, 3.0, -4.0];
        let pooled = |pooling: Pooling| {
            let mut out = vec![9.0];
            pooling.apply(&map, 2, &mut out);
            out
        };
        assert_eq!(pooled(Pooling::None), [9.0, 1.0, -2.0, 3.0, -4.0]);
        assert_eq!(pooled(Pooling::Avg), [9.0, 2.0, -3.0]);
        assert_eq!(pooled(Pooling::Max), [9.0, 3.0, -2.0]);
        assert_eq!(Pooling::Max.dimension((2, 1, 2)), 2);
    }
}
