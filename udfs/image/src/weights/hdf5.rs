//! Weights in the HDF5 files of Keras.
//!
//! Two layouts are recognised:
//!
//! - **Keras 2** (`.h5`, also the files of Keras Applications): one group for each layer, whose
//!   attribute `weight_names` lists its datasets in order. A whole saved model keeps them below
//!   `model_weights`.
//! - **Keras 3** (`.weights.h5`): `layers/<class>[_<n>]/vars/<i>`; newer versions give the layer's
//!   name in an attribute of `vars`, older ones only count the layers of each class.
//!
//! With or without the classifier: further layers are ignored.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{Device, Error as TensorError, Result as TensorResult, Tensor};
use hdf5_reader::group::Group;
use hdf5_reader::{Dataset, Hdf5File};

use super::file::{Location, TensorFile};
use crate::error::{Error, Result};
use crate::models::{Architecture, LayerKind};

/// An HDF5 file in memory.
pub(super) struct KerasFile {
    file: Hdf5File,
    /// Keras's `<layer>.<variable>` to the path of its dataset.
    datasets: HashMap<String, String>,
}

impl std::fmt::Debug for KerasFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KerasFile")
            .field("variables", &self.datasets.len())
            .finish_non_exhaustive()
    }
}

type HdfResult<T> = std::result::Result<T, hdf5_reader::error::Error>;

impl KerasFile {
    pub(super) fn parse(path: &Path, bytes: Vec<u8>, architecture: Architecture) -> Result<Self> {
        let length = bytes.len();
        let failed = |what: &str, error: &hdf5_reader::error::Error| Error::Weights {
            origin: path.display().to_string(),
            message: format!("{length} bytes are not {what}: {error}"),
        };
        let file =
            Hdf5File::from_vec(bytes).map_err(|error| failed("a whole HDF5 file", &error))?;
        let datasets = index(&file, architecture)
            .map_err(|error| failed("a weights file of Keras", &error))?;
        if datasets.is_empty() {
            return Err(Error::Weights {
                origin: path.display().to_string(),
                message: "the HDF5 file holds no layers of Keras; expected groups with the \
                          attribute weight_names (Keras 2) or a group layers (Keras 3)"
                    .to_owned(),
            });
        }
        Ok(Self { file, datasets })
    }
}

impl TensorFile for KerasFile {
    fn locate(&self, name: &str) -> Location {
        Location {
            name: name.to_owned(),
            axes: None,
        }
    }

    fn read(&self, name: &str, device: &Device) -> TensorResult<Option<Tensor>> {
        let Some(path) = self.datasets.get(name) else {
            return Ok(None);
        };
        let dataset = self.file.dataset(path).map_err(TensorError::wrap)?;
        let shape: Vec<usize> = dataset
            .shape()
            .iter()
            .map(|size| usize::try_from(*size).map_err(TensorError::wrap))
            .collect::<TensorResult<_>>()?;
        Tensor::from_vec(numbers(&dataset)?, shape, device).map(Some)
    }
}

/// The elements of a dataset of floats of either width, row-major.
fn numbers(dataset: &Dataset) -> TensorResult<Vec<f32>> {
    let element = hdf5_reader::datatype_api::dtype_element_size(dataset.dtype());
    if element.is_ok_and(|size| size == size_of::<f64>()) {
        let array = dataset.read_array::<f64>().map_err(TensorError::wrap)?;
        return Ok(array.iter().map(|value| *value as f32).collect());
    }
    let array = dataset.read_array::<f32>().map_err(TensorError::wrap)?;
    Ok(array.iter().copied().collect())
}

fn index(file: &Hdf5File, architecture: Architecture) -> HdfResult<HashMap<String, String>> {
    let root = file.root_group()?;
    let (groups, _) = root.member_names()?;
    let mut datasets = HashMap::new();
    if groups.iter().any(|name| name == "layers") {
        keras_3(&root.group("layers")?, architecture, &mut datasets)?;
    } else if groups.iter().any(|name| name == "model_weights") {
        keras_2(
            &root.group("model_weights")?,
            "model_weights/",
            &mut datasets,
        )?;
    } else {
        keras_2(&root, "", &mut datasets)?;
    }
    Ok(datasets)
}

fn keras_2(layers: &Group, prefix: &str, datasets: &mut HashMap<String, String>) -> HdfResult<()> {
    let (names, _) = layers.member_names()?;
    for layer in names {
        let group = layers.group(&layer)?;
        for weight in weight_names(&group) {
            let variable = keras_2_variable(&layer, &weight);
            let path = format!("{prefix}{layer}/{weight}");
            datasets.insert(format!("{layer}.{variable}"), path);
        }
    }
    Ok(())
}

/// The attribute `weight_names`, which is an empty array of floats where there are none.
fn weight_names(layer: &Group) -> Vec<String> {
    let Ok(attribute) = layer.attribute("weight_names") else {
        return Vec::new();
    };
    if let Ok(names) = attribute.read_strings() {
        return names;
    }
    let names = layer
        .file_data()
        .and_then(|data| attribute.read_vlen_strings(&data, layer.offset_size()));
    names.unwrap_or_default()
}

/// The variable behind a weight name such as `block1_conv1/kernel:0` or, in the oldest files,
/// `block1_conv1_W_1:0`.
fn keras_2_variable<'a>(layer: &str, weight: &'a str) -> &'a str {
    let name = weight.rsplit('/').next().unwrap_or(weight);
    let name = name.split(':').next().unwrap_or(name);
    match name {
        name if name.ends_with("_W_1") || name.ends_with("_W") => "kernel",
        name if name.ends_with("_b_1") || name.ends_with("_b") => "bias",
        // Keras 3 calls it so even where it writes the layout of Keras 2.
        "kernel" if layer.ends_with("depthwise") => "depthwise_kernel",
        name => name,
    }
}

fn keras_3(
    layers: &Group,
    architecture: Architecture,
    datasets: &mut HashMap<String, String>,
) -> HdfResult<()> {
    let (names, _) = layers.member_names()?;
    for entry in names {
        let group = layers.group(&entry)?;
        let Ok(variables) = group.group("vars") else {
            continue;
        };
        let (class, ordinal) = class_and_ordinal(&entry);
        let Some(kind) = LayerKind::of_class(class) else {
            continue;
        };
        let named = variables
            .attribute("name")
            .and_then(|attribute| string(&attribute, &variables));
        let layer = match named {
            Ok(name) => name,
            Err(_) => match architecture.layer(kind, ordinal) {
                Some(name) => name,
                None => continue,
            },
        };
        for (number, variable) in kind.variables().iter().enumerate() {
            let path = format!("layers/{entry}/vars/{number}");
            datasets.insert(format!("{layer}.{variable}"), path);
        }
    }
    datasets.retain(|_, path| layers_has(layers, path));
    Ok(())
}

/// Whether a dataset is there: a convolution without bias has one variable only.
fn layers_has(layers: &Group, path: &str) -> bool {
    let mut parts = path.split('/').skip(1);
    let (Some(entry), Some(vars), Some(number)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    layers
        .group(entry)
        .and_then(|group| group.group(vars))
        .and_then(|group| group.dataset(number))
        .is_ok()
}

fn string(attribute: &hdf5_reader::Attribute, group: &Group) -> HdfResult<String> {
    attribute.read_string().or_else(|_| {
        let data = group.file_data()?;
        attribute.read_vlen_string(&data, group.offset_size())
    })
}

/// `conv2d_3` is the class `conv2d` and the ordinal 3; `conv2d` itself has the ordinal 0.
fn class_and_ordinal(entry: &str) -> (&str, usize) {
    match entry.rsplit_once('_') {
        Some((class, ordinal)) => match ordinal.parse() {
            Ok(ordinal) => (class, ordinal),
            Err(_) => (entry, 0),
        },
        None => (entry, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_three_generations() {
        let variable = keras_2_variable;
        assert_eq!(variable("block1_conv1", "block1_conv1_W_1:0"), "kernel");
        assert_eq!(variable("block1_conv1", "block1_conv1_b_1:0"), "bias");
        assert_eq!(variable("block1_conv1", "block1_conv1/kernel:0"), "kernel");
        assert_eq!(
            variable("bn_Conv1", "bn_Conv1/moving_mean:0"),
            "moving_mean"
        );
        assert_eq!(
            variable("block_1_depthwise", "block_1_depthwise/depthwise_kernel:0"),
            "depthwise_kernel"
        );
        assert_eq!(
            variable("block_1_depthwise", "block_1_depthwise/kernel"),
            "depthwise_kernel"
        );
    }

    #[test]
    fn classes_and_ordinals() {
        assert_eq!(class_and_ordinal("conv2d"), ("conv2d", 0));
        assert_eq!(
            class_and_ordinal("depthwise_conv2d_16"),
            ("depthwise_conv2d", 16)
        );
        assert_eq!(
            class_and_ordinal("batch_normalization"),
            ("batch_normalization", 0)
        );
    }
}
