//! Weights in a safetensors file.
//!
//! Two ways of naming are recognised:
//!
//! - **our own**: `<layer>.<variable>` with the names and the layout of Keras, for example
//!   `block1_conv1.kernel` (3, 3, 3, 64) and `block1_conv1.bias` (64);
//! - **torchvision**: a `state_dict`, for example `features.0.weight` (64, 3, 3, 3), whose kernels
//!   are output, input, height, width.
//!
//! Numbers may be f32, f16, bf16 or f64.

use candle_core::safetensors::BufferedSafetensors;
use candle_core::{Device, Result as TensorResult, Tensor};

use super::file::{Location, TensorFile};
use super::strangers::{Layout, Variable};
use crate::error::{Error, Result, tensor_message};
use crate::models::Architecture;

/// A safetensors file in memory.
pub(super) struct SafetensorsFile {
    naming: Naming,
    tensors: BufferedSafetensors,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Naming {
    Keras,
    Torchvision(Architecture),
}

impl std::fmt::Debug for SafetensorsFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SafetensorsFile")
            .field("naming", &self.naming)
            .finish_non_exhaustive()
    }
}

impl SafetensorsFile {
    pub(super) fn parse(origin: &str, bytes: Vec<u8>, architecture: Architecture) -> Result<Self> {
        let length = bytes.len();
        let tensors = BufferedSafetensors::new(bytes).map_err(|error| Error::Weights {
            origin: origin.to_owned(),
            message: format!(
                "{length} bytes are not a whole safetensors file: {}",
                tensor_message(&error)
            ),
        })?;
        let torchvision = tensors
            .tensors()
            .iter()
            .any(|(name, _)| name.starts_with("features."));
        let naming = if torchvision {
            Naming::Torchvision(architecture)
        } else {
            Naming::Keras
        };
        Ok(Self { naming, tensors })
    }

    /// Whether the file is a `state_dict` of torchvision.
    pub(super) fn is_torchvision(&self) -> bool {
        matches!(self.naming, Naming::Torchvision(_))
    }
}

impl TensorFile for SafetensorsFile {
    fn locate(&self, name: &str) -> Location {
        match self.naming {
            Naming::Keras => Location {
                name: name.to_owned(),
                axes: None,
            },
            Naming::Torchvision(architecture) => torchvision(architecture, name),
        }
    }

    fn read(&self, name: &str, device: &Device) -> TensorResult<Option<Tensor>> {
        if self.tensors.get(name).is_err() {
            return Ok(None);
        }
        self.tensors.load(name, device).map(Some)
    }

    fn layout(&self) -> Layout {
        match self.naming {
            Naming::Keras => Layout::Unordered,
            Naming::Torchvision(_) => Layout::Torchvision,
        }
    }

    fn variables(&self) -> Vec<Variable> {
        let tensors = self.tensors.tensors().into_iter();
        tensors
            // How often a normalisation was trained.
            .filter(|(name, _)| !name.ends_with(".num_batches_tracked"))
            .map(|(name, tensor)| Variable {
                layer: name
                    .rsplit_once('.')
                    .map_or("", |(layer, _)| layer)
                    .to_owned(),
                shape: tensor.shape().to_vec(),
                name,
            })
            .collect()
    }
}

/// Where torchvision keeps a Keras variable.
fn torchvision(architecture: Architecture, name: &str) -> Location {
    let (layer, variable) = name.rsplit_once('.').unwrap_or((name, ""));
    let module = architecture
        .torchvision_module(layer)
        .unwrap_or_else(|| layer.to_owned());
    let (variable, axes) = match variable {
        // (output, input, height, width) to (height, width, input, output)
        "kernel" => ("weight", Some([2, 3, 1, 0])),
        // (channel, 1, height, width) to (height, width, channel, 1)
        "depthwise_kernel" => ("weight", Some([2, 3, 0, 1])),
        "gamma" => ("weight", None),
        "beta" => ("bias", None),
        "moving_mean" => ("running_mean", None),
        "moving_variance" => ("running_var", None),
        other => (other, None),
    };
    Location {
        name: format!("{module}.{variable}"),
        axes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn torchvision_names() {
        let name = |architecture, keras: &str| torchvision(architecture, keras).name;
        assert_eq!(
            name(Architecture::Vgg16, "block1_conv1.kernel"),
            "features.0.weight"
        );
        assert_eq!(
            name(Architecture::Vgg16, "block5_conv3.bias"),
            "features.28.bias"
        );
        let mobilenet = Architecture::MobileNetV2;
        assert_eq!(name(mobilenet, "bn_Conv1.gamma"), "features.0.1.weight");
        assert_eq!(
            name(mobilenet, "expanded_conv_project.kernel"),
            "features.1.conv.1.weight"
        );
        assert_eq!(
            name(mobilenet, "block_16_depthwise.depthwise_kernel"),
            "features.17.conv.1.0.weight"
        );
        assert_eq!(
            name(mobilenet, "block_1_project_BN.moving_variance"),
            "features.2.conv.3.running_var"
        );
        assert_eq!(name(mobilenet, "Conv_1_bn.beta"), "features.18.1.bias");
    }
}
