//! Weights in a safetensors file.
//!
//! Two ways of naming are recognised:
//!
//! - **our own**: `<layer>.<variable>` with the names and the layout of Keras, for example
//!   `block1_conv1.kernel` (3, 3, 3, 64) and `block1_conv1.bias` (64);
//! - **torchvision**: a `state_dict`, for example `features.0.weight` (64, 3, 3, 3), whose kernels
//!   are output, input, height, width. What `DataParallel` and `torch.compile` put before all names
//!   (`module.`, `_orig_mod.`) is no part of them.
//!
//! Numbers may be f32, f16, bf16 or f64.

use ::safetensors::Dtype;
pub(super) use candle_core::safetensors::BufferedSafetensors as Buffer;
use candle_core::{Device, Result as TensorResult, Tensor};

use super::file::{Layout, Location, TensorFile, Variable};
use crate::conventions::Library;
use crate::error::{Error, Result, tensor_message};
use crate::models::Architecture;

/// Checks the header of a file.
pub(super) fn open(bytes: Vec<u8>) -> Result<Buffer, String> {
    let length = bytes.len();
    Buffer::new(bytes).map_err(|error| {
        let why = tensor_message(&error);
        format!("{length} bytes are not a whole safetensors file: {why}")
    })
}

/// Why a tensor of this type is not read: whole numbers are weights of a quantised network, without the
/// scale that they are to be multiplied by.
pub(super) fn refused_type(name: &str, dtype: Dtype) -> Option<String> {
    let is_read = matches!(dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16 | Dtype::F64);
    (!is_read).then(|| {
        format!(
            "tensor {name} is of type {dtype:?}; expected F32, F16 or BF16: quantised weights are \
             not read"
        )
    })
}

/// A safetensors file in memory.
pub(super) struct SafetensorsFile {
    /// By whose names.
    library: Library,
    tensors: Buffer,
    /// What all names begin with, besides what they say.
    prefix: String,
}

impl std::fmt::Debug for SafetensorsFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SafetensorsFile")
            .field("library", &self.library)
            .finish_non_exhaustive()
    }
}

impl SafetensorsFile {
    pub(super) fn parse(origin: &str, bytes: Vec<u8>) -> Result<Self> {
        let tensors = open(bytes).map_err(|message| Error::Weights {
            origin: origin.to_owned(),
            message,
        })?;
        // Whatever network it is of: the one that is asked for may be another.
        let firsts = Architecture::ALL.map(|each| {
            let (_, module) = each.layer_names().swap_remove(0);
            format!("{module}.weight")
        });
        let all: Vec<String> = tensors
            .tensors()
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        let prefix = wrappers(&all);
        let mut names = all.iter().map(|name| name[prefix.len()..].to_owned());
        let library = if names.any(|name| name.starts_with("features.") || firsts.contains(&name)) {
            Library::Torchvision
        } else {
            Library::Keras
        };
        Ok(Self {
            library,
            tensors,
            prefix,
        })
    }

    /// The library whose names the file has.
    pub(super) fn library(&self) -> Library {
        self.library
    }
}

impl TensorFile for SafetensorsFile {
    fn locate(&self, layer: &str, module: &str, variable: &str) -> Location {
        match self.library {
            Library::Keras => Location {
                name: format!("{layer}.{variable}"),
                axes: None,
            },
            Library::Torchvision => torchvision(module, variable),
        }
    }

    fn read(&self, name: &str, device: &Device) -> TensorResult<Option<Tensor>> {
        let whole = format!("{}{name}", self.prefix);
        let Ok(view) = self.tensors.get(&whole) else {
            return Ok(None);
        };
        if let Some(refused) = refused_type(name, view.dtype()) {
            candle_core::bail!("{refused}");
        }
        self.tensors.load(&whole, device).map(Some)
    }

    fn layout(&self) -> Layout {
        match self.library {
            Library::Keras => Layout::Unordered,
            Library::Torchvision => Layout::Torchvision,
        }
    }

    fn variables(&self) -> Vec<Variable> {
        let tensors = self.tensors.tensors().into_iter();
        tensors
            .map(|(name, tensor)| (name[self.prefix.len()..].to_owned(), tensor))
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

/// What modules of PyTorch that wrap another one put before the names of all its tensors.
fn wrappers(names: &[String]) -> String {
    let mut prefix = String::new();
    while let Some(wrapper) = ["module.", "_orig_mod."].into_iter().find(|wrapper| {
        let is_wrapped = |name: &String| name[prefix.len()..].starts_with(wrapper);
        !names.is_empty() && names.iter().all(is_wrapped)
    }) {
        prefix += wrapper;
    }
    prefix
}

/// Where torchvision keeps a Keras variable.
fn torchvision(module: &str, variable: &str) -> Location {
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
        let name = |architecture: Architecture, keras: &str| {
            let (layer, variable) = keras.rsplit_once('.').unwrap();
            let mut names = architecture.layer_names().into_iter();
            let (_, module) = names.find(|(name, _)| name == layer).unwrap();
            torchvision(&module, variable).name
        };
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
        let resnet = Architecture::ResNet50;
        assert_eq!(
            name(resnet, "conv4_block1_0_bn.beta"),
            "layer3.0.downsample.1.bias"
        );
        assert_eq!(
            name(resnet, "conv2_block3_2_conv.kernel"),
            "layer1.2.conv2.weight"
        );
        let inception = Architecture::InceptionV3;
        assert_eq!(
            name(inception, "conv2d_93.kernel"),
            "Mixed_7c.branch_pool.conv.weight"
        );
    }

    #[test]
    fn what_wraps_a_module_is_no_part_of_its_names() {
        let file = |names: &[&str]| {
            let bytes = vec![0; 4];
            let view = ::safetensors::tensor::TensorView::new(Dtype::F32, vec![1], &bytes).unwrap();
            let tensors = names.iter().map(|name| (*name, view.clone()));
            let bytes = ::safetensors::serialize(tensors, None).unwrap();
            SafetensorsFile::parse("x.safetensors", bytes).unwrap()
        };
        for prefix in ["", "module.", "_orig_mod.", "module._orig_mod."] {
            let names = ["features.0.weight", "features.0.bias"];
            let wrapped = names.map(|name| format!("{prefix}{name}"));
            let wrapped = file(&wrapped.each_ref().map(String::as_str));
            assert_eq!(wrapped.library(), Library::Torchvision, "{prefix}");
            let tensor = wrapped.read(names[0], &Device::Cpu).unwrap();
            assert!(tensor.is_some(), "{prefix}");
            let mut found: Vec<_> = wrapped.variables().into_iter().map(|v| v.name).collect();
            found.sort();
            assert_eq!(found, ["features.0.bias", "features.0.weight"], "{prefix}");
        }
        // Where some tensors have no such name, it is one.
        let mixed = file(&["module.weight", "features.0.weight"]);
        assert!(mixed.read("module.weight", &Device::Cpu).unwrap().is_some());
    }
}
