//! Tensors of a file by the names and in the layout of Keras, whatever the file uses.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Mutex, PoisonError};

use candle_core::{DType, Device, Result, Shape, Tensor, bail};
use candle_nn::Init;
use candle_nn::var_builder::SimpleBackend;

use crate::cancel::CancelToken;
use crate::library::Library;
use crate::models::Architecture;

/// How a file names and orders its layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// Keras 2: layers in the order of the model.
    Ordered,
    /// Keras 3, and safetensors with Keras's names: layers in no order.
    Unordered,
    /// A `state_dict` of torchvision, with the network below `features`.
    Torchvision,
}

/// A variable of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Variable {
    /// Its layer, as the file calls it.
    pub(super) layer: String,
    /// What the file knows it by.
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
}

/// A file that holds tensors.
pub(super) trait TensorFile: fmt::Debug + Send + Sync {
    /// Where the file keeps a variable of a layer, by the names of Keras, which torchvision keeps in
    /// `module`; whether it is there is another matter.
    fn locate(&self, layer: &str, module: &str, variable: &str) -> Location;

    /// Reads a tensor as the file lays it out; `None` if there is none of this name.
    fn read(&self, name: &str, device: &Device) -> Result<Option<Tensor>>;

    /// How the file names and orders its layers.
    fn layout(&self) -> Layout;

    /// Every variable in the file, by the names that [`read`](Self::read) takes.
    fn variables(&self) -> Vec<Variable>;
}

/// A variable's place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Location {
    /// Name in the file.
    pub(super) name: String,
    /// Order in which the axes of the file's tensor make Keras's; `None` if they are the same.
    pub(super) axes: Option<[usize; 4]>,
}

/// A file and what has been read of it.
#[derive(Debug)]
pub(super) struct OpenFile {
    file: Box<dyn TensorFile>,
    pub(super) architecture: Architecture,
    /// torchvision's modules of Keras's layers.
    modules: HashMap<String, String>,
    read: Mutex<HashSet<String>>,
}

impl OpenFile {
    pub(super) fn new(file: Box<dyn TensorFile>, architecture: Architecture) -> Self {
        Self {
            file,
            architecture,
            modules: architecture.layer_names().into_iter().collect(),
            read: Mutex::default(),
        }
    }

    fn locate(&self, name: &str) -> Location {
        let (layer, variable) = name.rsplit_once('.').unwrap_or((name, ""));
        let module = self.modules.get(layer).map_or(layer, String::as_str);
        self.file.locate(layer, module, variable)
    }

    /// Whether the file has every variable of a network, in its shape.
    pub(super) fn fits(&self, architecture: Architecture) -> bool {
        let shapes: HashMap<String, Vec<usize>> = self
            .file
            .variables()
            .into_iter()
            .map(|variable| (variable.name, variable.shape))
            .collect();
        let modules: HashMap<_, _> = architecture.layer_names().into_iter().collect();
        let library = match self.layout() {
            Layout::Torchvision => Library::Torchvision,
            Layout::Ordered | Layout::Unordered => Library::Keras,
        };
        let variables = architecture.variables(library).into_iter();
        let mut variables = variables.map(|(name, shape)| {
            let (layer, variable) = name.rsplit_once('.')?;
            let place = self.file.locate(layer, modules.get(layer)?, variable);
            let found = shapes.get(&place.name)?;
            Some(*found == file_shape(&Shape::from(shape), place.axes))
        });
        variables.all(|fits| fits == Some(true))
    }

    fn read(&self, name: &str, device: &Device) -> Result<Option<Tensor>> {
        let mut names = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        names.insert(name.to_owned());
        drop(names);
        self.file.read(name, device)
    }

    pub(super) fn layout(&self) -> Layout {
        self.file.layout()
    }

    /// Every variable, and whether it has been read.
    pub(super) fn variables(&self) -> Vec<(Variable, bool)> {
        let names = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let variables = self.file.variables().into_iter();
        variables
            .map(|variable| {
                let read = names.contains(&variable.name);
                (variable, read)
            })
            .collect()
    }
}

/// The tensors of a file as a [`candle_nn::VarBuilder`] asks for them.
pub(super) struct FileTensors<'a>(pub(super) &'a OpenFile);

impl SimpleBackend for FileTensors<'_> {
    fn get(&self, s: Shape, name: &str, _: Init, dtype: DType, dev: &Device) -> Result<Tensor> {
        let Location { name, axes } = self.0.locate(name);
        let Some(tensor) = self.0.read(&name, dev)? else {
            bail!(
                "tensor {name} of shape {:?} is missing",
                file_shape(&s, axes)
            )
        };
        let expected = file_shape(&s, axes);
        if tensor.dims() != expected {
            bail!(
                "tensor {name} has shape {:?}, expected {expected:?}",
                tensor.dims()
            )
        }
        let tensor = match axes {
            Some(axes) => tensor.permute(axes)?.contiguous()?,
            None => tensor,
        };
        let tensor = tensor.to_dtype(dtype)?;
        check_finite(&name, &tensor)?;
        Ok(tensor)
    }

    fn get_unchecked(&self, name: &str, dtype: DType, dev: &Device) -> Result<Tensor> {
        let Location { name, .. } = self.0.locate(name);
        match self.0.read(&name, dev)? {
            Some(tensor) => tensor.to_dtype(dtype),
            None => bail!("tensor {name} is missing"),
        }
    }

    fn contains_tensor(&self, name: &str) -> bool {
        let Location { name, .. } = self.0.locate(name);
        matches!(self.0.file.read(&name, &Device::Cpu), Ok(Some(_)))
    }
}

/// A file of a training that went astray: every feature would be NaN, and look like a bad image's.
pub(super) fn check_finite(name: &str, tensor: &Tensor) -> Result<()> {
    // NaN and infinities times zero are NaN, and NaN goes through a sum.
    let zero = (tensor * 0.0)?.sum_all()?.to_dtype(DType::F32)?;
    if zero.to_scalar::<f32>()? == 0.0 {
        return Ok(());
    }
    let values = tensor
        .flatten_all()?
        .to_dtype(DType::F32)?
        .to_vec1::<f32>()?;
    let count = values.iter().filter(|value| !value.is_finite()).count();
    bail!(
        "tensor {name} has {count} of {} values that are not finite (NaN or infinite): take a file \
         whose training went well, or export it again",
        values.len()
    )
}

/// Tensors that are asked for one by one, until a token is triggered.
pub(super) struct Stoppable<'a> {
    pub(super) backend: Box<dyn SimpleBackend + 'a>,
    pub(super) cancel: CancelToken,
}

impl Stoppable<'_> {
    fn check(&self) -> Result<()> {
        self.cancel.check().map_err(candle_core::Error::wrap)
    }
}

impl SimpleBackend for Stoppable<'_> {
    fn get(&self, s: Shape, name: &str, h: Init, dtype: DType, dev: &Device) -> Result<Tensor> {
        self.check()?;
        self.backend.get(s, name, h, dtype, dev)
    }

    fn get_unchecked(&self, name: &str, dtype: DType, dev: &Device) -> Result<Tensor> {
        self.check()?;
        self.backend.get_unchecked(name, dtype, dev)
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.backend.contains_tensor(name)
    }
}

/// The shape a tensor has in the file if it has `shape` in Keras.
fn file_shape(shape: &Shape, axes: Option<[usize; 4]>) -> Vec<usize> {
    let dims = shape.dims();
    let Some(axes) = axes else {
        return dims.to_vec();
    };
    let mut in_file = dims.to_vec();
    for (axis, size) in axes.iter().zip(dims) {
        if let Some(place) = in_file.get_mut(*axis) {
            *place = *size;
        }
    }
    in_file
}
