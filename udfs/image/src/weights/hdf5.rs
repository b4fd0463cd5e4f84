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
//! With or without the classifier, and with the network as a layer of the model or as one of a layer
//! in it. What the optimizer keeps is in other groups.

use std::collections::HashMap;

use candle_core::{Device, Error as TensorError, Result as TensorResult, Tensor};
use hdf5_reader::group::Group;
use hdf5_reader::{Dataset, Hdf5File};

use super::file::{Layout, Location, TensorFile, Variable};
use crate::error::{Error, Result};
use crate::library::Library;
use crate::models::{Architecture, LayerKind};

/// An HDF5 file in memory.
pub(super) struct KerasFile {
    file: Hdf5File,
    layout: Layout,
    variables: Vec<Stored>,
    /// Places among `variables`, by their names.
    places: HashMap<String, usize>,
}

/// A variable and the path of its dataset.
struct Stored {
    variable: Variable,
    path: String,
    /// The model within the model that it belongs to; empty for the whole.
    model: String,
}

impl std::fmt::Debug for KerasFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KerasFile")
            .field("layout", &self.layout)
            .field("variables", &self.variables.len())
            .finish_non_exhaustive()
    }
}

type HdfResult<T> = std::result::Result<T, hdf5_reader::error::Error>;

impl KerasFile {
    pub(super) fn parse(origin: &str, bytes: Vec<u8>, architecture: Architecture) -> Result<Self> {
        let length = bytes.len();
        let failed = |what: &str, error: &hdf5_reader::error::Error| Error::Weights {
            origin: origin.to_owned(),
            message: format!("{length} bytes are not {what}: {error}"),
        };
        let file =
            Hdf5File::from_vec(bytes).map_err(|error| failed("a whole HDF5 file", &error))?;
        let (layout, mut variables) = index(&file, architecture)
            .map_err(|error| failed("a weights file of Keras", &error))?;
        if variables.is_empty() {
            return Err(Error::Weights {
                origin: origin.to_owned(),
                message: "the HDF5 file holds no layers of Keras; expected groups with the \
                          attribute weight_names (Keras 2) or a group layers (Keras 3)"
                    .to_owned(),
            });
        }
        choose(&mut variables, architecture).map_err(|message| Error::Weights {
            origin: origin.to_owned(),
            message,
        })?;
        let mut places = HashMap::new();
        for (place, Stored { variable, path, .. }) in variables.iter_mut().enumerate() {
            // A name that is taken would have to be guessed: no network asks for a path.
            if places.contains_key(&variable.name) {
                variable.name.clone_from(path);
            }
            places.insert(variable.name.clone(), place);
        }
        Ok(Self {
            file,
            layout,
            variables,
            places,
        })
    }
}

impl TensorFile for KerasFile {
    fn locate(&self, layer: &str, _: &str, variable: &str) -> Location {
        Location {
            name: format!("{layer}.{variable}"),
            axes: None,
        }
    }

    fn read(&self, name: &str, device: &Device) -> TensorResult<Option<Tensor>> {
        let place = self.places.get(name);
        let Some(stored) = place.and_then(|place| self.variables.get(*place)) else {
            return Ok(None);
        };
        let dataset = self.file.dataset(&stored.path).map_err(TensorError::wrap)?;
        let shape = stored.variable.shape.as_slice();
        Tensor::from_vec(numbers(&dataset)?, shape, device).map(Some)
    }

    fn layout(&self) -> Layout {
        self.layout
    }

    fn variables(&self) -> Vec<Variable> {
        let variables = self.variables.iter();
        variables.map(|stored| stored.variable.clone()).collect()
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

fn index(file: &Hdf5File, architecture: Architecture) -> HdfResult<(Layout, Vec<Stored>)> {
    let root = file.root_group()?;
    let (groups, _) = root.member_names()?;
    let mut variables = Vec::new();
    if groups.iter().any(|name| name == "layers") {
        let mut layers = Keras3 {
            architecture,
            variables: &mut variables,
            groups: 0,
        };
        layers.index(&root.group("layers")?, "", "layers")?;
        return Ok((Layout::Unordered, variables));
    }
    let layout = if groups.iter().any(|name| name == "model_weights") {
        let layers = root.group("model_weights")?;
        keras_2(file, &layers, "model_weights/", &mut variables)?
    } else {
        keras_2(file, &root, "", &mut variables)?
    };
    if layout == Layout::Ordered && architecture.is_counted() {
        recount(architecture, &mut variables);
    }
    Ok((layout, variables))
}

fn shape(dataset: &Dataset) -> HdfResult<Vec<usize>> {
    let sizes = dataset.shape().iter();
    let sizes = sizes.map(|size| usize::try_from(*size));
    sizes.collect::<Result<_, _>>().map_err(|_| {
        let what = format!("the shape {:?} of {}", dataset.shape(), dataset.name());
        hdf5_reader::error::Error::InvalidData(what)
    })
}

fn keras_2(
    file: &Hdf5File,
    layers: &Group,
    prefix: &str,
    variables: &mut Vec<Stored>,
) -> HdfResult<Layout> {
    // The order of the model, by which a classifier is told. A long list is cut into several.
    let mut order = strings(layers, "layer_names");
    let parts = (0..).map(|part| strings(layers, &format!("layer_names{part}")));
    order.extend(parts.take_while(|part| !part.is_empty()).flatten());
    let layout = if order.is_empty() {
        Layout::Unordered
    } else {
        Layout::Ordered
    };
    let (mut names, _) = layers.member_names()?;
    names.retain(|name| !order.contains(name));
    names.extend(order);
    for layer in names {
        // A layer's name may have slashes, and then lies in as many groups.
        let group = file.group(&format!("{prefix}{layer}"))?;
        let weights = strings(&group, "weight_names");
        // A model in the model has the weights of several layers in its group.
        let inner = |weight: &String| weight.rsplit('/').nth(1).map(str::to_owned);
        let is_model = weights
            .iter()
            .any(|weight| inner(weight) != inner(&weights[0]));
        for weight in weights {
            let (layer_of, model) = match inner(&weight).filter(|_| is_model) {
                Some(inner) => (inner, layer.clone()),
                None => (layer.clone(), String::new()),
            };
            let name = format!("{layer_of}.{}", keras_2_variable(&layer_of, &weight));
            let path = format!("{prefix}{layer}/{weight}");
            let shape = shape(&file.dataset(&path)?)?;
            variables.push(Stored {
                variable: Variable {
                    layer: layer_of,
                    name,
                    shape,
                },
                path,
                model,
            });
        }
    }
    Ok(layout)
}

/// Lets the layers of the model within the model that is the network have their own names, and the
/// layers of others that of their model as well.
///
/// # Errors
///
/// That several would do.
fn choose(variables: &mut [Stored], architecture: Architecture) -> Result<(), String> {
    let mut models: Vec<&str> = variables
        .iter()
        .map(|stored| stored.model.as_str())
        .collect();
    models.sort_unstable();
    models.dedup();
    if models == [""] {
        return Ok(());
    }
    let wanted = architecture.variables(Library::Keras);
    let fits = |model: &&str| {
        let of = variables.iter().filter(|stored| stored.model == *model);
        let shapes: HashMap<&str, &[usize]> = of
            .map(|Stored { variable, .. }| (variable.name.as_str(), variable.shape.as_slice()))
            .collect();
        let mut wanted = wanted.iter();
        wanted.all(|(name, shape)| shapes.get(name.as_str()) == Some(&shape.as_slice()))
    };
    let fitting: Vec<&str> = models.into_iter().filter(fits).collect();
    let chosen = match fitting.as_slice() {
        [] => String::new(),
        [model] => (*model).to_owned(),
        several => {
            let instead = "save one of them by itself (model.get_layer(…).save_weights(…))";
            let names = several.join("', '");
            return Err(format!(
                "several models in the file would do as {architecture}: '{names}'; {instead}"
            ));
        }
    };
    for Stored {
        variable, model, ..
    } in variables
    {
        if *model != chosen {
            let prefix = match model.as_str() {
                "" => "model".to_owned(),
                model => format!("{model}/layers"),
            };
            variable.name = format!("{prefix}/{}", variable.name);
            variable.layer = format!("{prefix}/{}", variable.layer);
        }
    }
    Ok(())
}

/// Gives layers that Keras counted the names that they have in a new process. The order of the model
/// tells which each is: the count goes on from one model to the next.
fn recount(architecture: Architecture, variables: &mut [Stored]) {
    let mut counts: HashMap<(String, LayerKind), usize> = HashMap::new();
    let mut names: HashMap<(String, String), Option<String>> = HashMap::new();
    for Stored {
        variable, model, ..
    } in variables
    {
        let old = &variable.layer;
        let new = names
            .entry((model.clone(), old.clone()))
            .or_insert_with(|| {
                let kind = LayerKind::of_class(class_and_ordinal(old).0)?;
                let count = counts.entry((model.clone(), kind)).or_default();
                *count += 1;
                architecture.layer(kind, *count - 1)
            });
        if let Some(new) = new {
            variable.name = variable.name.replacen(old.as_str(), new, 1);
            variable.layer.clone_from(new);
        }
    }
}

/// An attribute of strings, which is an empty array of floats where there are none.
fn strings(group: &Group, attribute: &str) -> Vec<String> {
    let Ok(attribute) = group.attribute(attribute) else {
        return Vec::new();
    };
    if let Ok(names) = attribute.read_strings() {
        return names;
    }
    let names = group
        .file_data()
        .and_then(|data| attribute.read_vlen_strings(&data, group.offset_size()));
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

/// Reads the index of the layout of Keras 3.
struct Keras3<'a> {
    architecture: Architecture,
    variables: &'a mut Vec<Stored>,
    /// Groups that have been looked into.
    groups: usize,
}

/// The most groups that a file may have, and the most of them that may lie in each other. Links may make a
/// loop of them.
const MOST_GROUPS: usize = 50_000;
const DEEPEST: usize = 32;

impl Keras3<'_> {
    /// Reads the layers of `model`, whose name is empty for the whole.
    fn index(&mut self, layers: &Group, model: &str, path: &str) -> HdfResult<()> {
        self.enter(path)?;
        for entry in layers.member_names()?.0 {
            let group = layers.group(&entry)?;
            let path = format!("{path}/{entry}");
            if group.member_names()?.0.iter().any(|name| name == "layers") {
                let inner = match model {
                    "" => entry,
                    outer => format!("{outer}/{entry}"),
                };
                self.index(&group.group("layers")?, &inner, &format!("{path}/layers"))?;
                continue;
            }
            let (class, ordinal) = class_and_ordinal(&entry);
            let kind = LayerKind::of_class(class);
            // Of layers that are counted, the place in the file tells more than the name.
            let name = self.name(&group);
            let name = name.filter(|_| kind.is_none() || !self.architecture.is_counted());
            let layer = match (name, kind) {
                (Some(name), _) => name,
                (None, Some(kind)) => {
                    let known = self.architecture.layer(kind, ordinal);
                    known.unwrap_or_else(|| entry.clone())
                }
                (None, None) => entry.clone(),
            };
            self.layer(&group, &layer, &path, (model, kind))?;
        }
        Ok(())
    }

    /// Counts a group.
    ///
    /// # Errors
    ///
    /// When there are too many, or they lie too deep in each other.
    fn enter(&mut self, path: &str) -> HdfResult<()> {
        self.groups += 1;
        if self.groups <= MOST_GROUPS && path.matches('/').count() <= DEEPEST {
            return Ok(());
        }
        let start: String = path.chars().take(60).collect();
        Err(hdf5_reader::error::Error::InvalidData(format!(
            "its groups lie more than {DEEPEST} deep in each other or are more than {MOST_GROUPS}, as when a \
             link leads back to where it is: '{start}…'"
        )))
    }

    /// Newer files give the name of a layer beside its variables.
    fn name(&self, group: &Group) -> Option<String> {
        let variables = group.group("vars").ok()?;
        let attribute = variables.attribute("name").ok()?;
        string(&attribute, &variables).ok()
    }

    /// Variables of a layer, and of the layers in it.
    fn layer(
        &mut self,
        group: &Group,
        layer: &str,
        path: &str,
        (model, kind): (&str, Option<LayerKind>),
    ) -> HdfResult<()> {
        self.enter(path)?;
        for part in group.member_names()?.0 {
            let inner = group.group(&part)?;
            let path = format!("{path}/{part}");
            if part != "vars" {
                // The state of a dropout's random numbers is none of the network's.
                if part != "seed_generator" {
                    self.layer(&inner, &format!("{layer}/{part}"), &path, (model, None))?;
                }
                continue;
            }
            for number in inner.member_names()?.1 {
                let known =
                    kind.and_then(|kind| kind.variables().get(number.parse::<usize>().ok()?));
                let name = known.map_or(number.as_str(), |name| name);
                self.variables.push(Stored {
                    variable: Variable {
                        layer: layer.to_owned(),
                        name: format!("{layer}.{name}"),
                        shape: shape(&inner.dataset(&number)?)?,
                    },
                    path: format!("{path}/{number}"),
                    model: model.to_owned(),
                });
            }
        }
        Ok(())
    }
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
