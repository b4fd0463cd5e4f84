//! Tensors of a file by the names and in the layout of Keras, whatever the file uses.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use candle_core::{DType, Device, Result, Shape, Tensor, bail};
use candle_nn::Init;
use candle_nn::var_builder::SimpleBackend;

use super::strangers::{Layout, Variable};

/// A file that holds tensors.
pub(super) trait TensorFile: fmt::Debug + Send + Sync {
    /// Where the file keeps the variable that Keras calls `name`; whether it is there is another
    /// matter.
    fn locate(&self, name: &str) -> Location;

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
    read: Mutex<HashSet<String>>,
}

impl OpenFile {
    pub(super) fn new(file: Box<dyn TensorFile>) -> Self {
        let read = Mutex::default();
        Self { file, read }
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
        let Location { name, axes } = self.0.file.locate(name);
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
        tensor.to_dtype(dtype)
    }

    fn get_unchecked(&self, name: &str, dtype: DType, dev: &Device) -> Result<Tensor> {
        let Location { name, .. } = self.0.file.locate(name);
        match self.0.read(&name, dev)? {
            Some(tensor) => tensor.to_dtype(dtype),
            None => bail!("tensor {name} is missing"),
        }
    }

    fn contains_tensor(&self, name: &str) -> bool {
        let Location { name, .. } = self.0.file.locate(name);
        matches!(self.0.file.read(&name, &Device::Cpu), Ok(Some(_)))
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
