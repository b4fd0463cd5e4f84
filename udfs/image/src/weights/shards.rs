//! The tensors of a transformer, in one or several safetensors files, by the names of transformers.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device};

use super::content::{self, Format};
use super::safetensors::{open, refused_type};
use super::{file, seeded};
use crate::cancel;
use crate::error::tensor_message;
use crate::models::transformer::Tensors;

/// Where the numbers of a transformer come from.
pub(crate) enum NumbersOf {
    Seeded,
    Files(Shards),
}

impl Tensors for NumbersOf {
    fn prefix(&self, name: &str) -> Option<String> {
        match self {
            Self::Seeded => Some(String::new()),
            Self::Files(shards) => shards.prefix(name),
        }
    }

    fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, String> {
        cancel::current()
            .check()
            .map_err(|error| error.to_string())?;
        match self {
            Self::Seeded => Ok(seeded::tensor(name, shape)),
            Self::Files(shards) => shards.read_tensor(name, shape),
        }
    }
}

/// Safetensors files in memory.
pub(crate) struct Shards {
    files: Vec<(String, super::safetensors::Buffer)>,
    /// The file of each tensor.
    places: HashMap<String, usize>,
}

impl Shards {
    /// Reads the files, each given with its name in messages.
    ///
    /// # Errors
    ///
    /// Which file is none of safetensors, or whole.
    pub(super) fn read<'a>(
        paths: impl Iterator<Item = (&'a str, &'a Path)>,
    ) -> Result<Self, String> {
        let mut files = Vec::new();
        let mut places = HashMap::new();
        for (name, path) in paths {
            let failed = |why: String| format!("{name}: {why}");
            let content = content::read(path).map_err(failed)?;
            if content.format != Format::Safetensors {
                return Err(failed(
                    "it is an HDF5 file; expected safetensors with the names of transformers"
                        .to_owned(),
                ));
            }
            let buffer = open(content.file).map_err(failed)?;
            let tensors = buffer.tensors().into_iter();
            places.extend(tensors.map(|(tensor, _)| (tensor, files.len())));
            files.push((name.to_owned(), buffer));
        }
        Ok(Self { files, places })
    }

    fn prefix(&self, name: &str) -> Option<String> {
        let prefixes = self
            .places
            .keys()
            .filter_map(|tensor| tensor.strip_suffix(name));
        let whole = |prefix: &&str| prefix.is_empty() || prefix.ends_with('.');
        prefixes
            .filter(whole)
            .min_by_key(|prefix| (prefix.len(), *prefix))
            .map(str::to_owned)
    }

    fn read_tensor(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, String> {
        let place = self
            .places
            .get(name)
            .and_then(|place| self.files.get(*place));
        let Some((file, buffer)) = place else {
            let files: Vec<&str> = self.files.iter().map(|(name, _)| name.as_str()).collect();
            return Err(format!(
                "tensor {name} of shape {shape:?} is missing in {}",
                files.join(", ")
            ));
        };
        let failed = |error: candle_core::Error| format!("{file}: {}", tensor_message(&error));
        let view = buffer.get(name).map_err(failed)?;
        if view.shape() != shape {
            return Err(format!(
                "{file}: tensor {name} has shape {:?}, and config.json asks for {shape:?}",
                view.shape()
            ));
        }
        if let Some(refused) = refused_type(name, view.dtype()) {
            return Err(format!("{file}: {refused}"));
        }
        let tensor = buffer
            .load(name, &Device::Cpu)
            .and_then(|tensor| tensor.to_dtype(DType::F32));
        let tensor = tensor.map_err(failed)?;
        file::check_finite(name, &tensor).map_err(failed)?;
        tensor
            .flatten_all()
            .and_then(|tensor| tensor.to_vec1::<f32>())
            .map_err(failed)
    }
}
