//! Weights in a safetensors file of our own naming.
//!
//! The file holds `<layer>.<variable>` for every variable of the Keras network without its top,
//! for example `block1_conv1.kernel` (3, 3, 3, 64) and `block1_conv1.bias` (64), in f32, f16, bf16
//! or f64. Further tensors are ignored.

use std::path::{Path, PathBuf};

use candle_core::safetensors::BufferedSafetensors;
use candle_core::{DType, Device, Shape, Tensor};
use candle_nn::Init;
use candle_nn::var_builder::SimpleBackend;

use super::{sha256_hex, unreadable};
use crate::error::{Error, Result, tensor_message};

/// A safetensors file in memory.
pub(super) struct SafetensorsFile {
    path: PathBuf,
    sha256: String,
    tensors: BufferedSafetensors,
}

impl std::fmt::Debug for SafetensorsFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SafetensorsFile")
            .field("path", &self.path)
            .field("sha256", &self.sha256)
            .finish_non_exhaustive()
    }
}

impl SafetensorsFile {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|error| unreadable(path, &error))?;
        let length = bytes.len();
        let sha256 = sha256_hex(&bytes);
        let tensors = BufferedSafetensors::new(bytes).map_err(|error| Error::Weights {
            origin: path.display().to_string(),
            message: format!(
                "{length} bytes are not a whole safetensors file: {}",
                tensor_message(&error)
            ),
        })?;
        Ok(Self {
            path: path.to_owned(),
            sha256,
            tensors,
        })
    }

    pub(super) fn sha256(&self) -> &str {
        &self.sha256
    }
}

impl SimpleBackend for &SafetensorsFile {
    fn get(
        &self,
        s: Shape,
        name: &str,
        _: Init,
        dtype: DType,
        dev: &Device,
    ) -> candle_core::Result<Tensor> {
        let tensor = self.get_unchecked(name, dtype, dev)?;
        if tensor.shape() == &s {
            Ok(tensor)
        } else {
            candle_core::bail!(
                "tensor {name} has shape {:?}, expected {:?}",
                tensor.dims(),
                s.dims()
            )
        }
    }

    fn get_unchecked(&self, name: &str, dtype: DType, dev: &Device) -> candle_core::Result<Tensor> {
        if !self.contains_tensor(name) {
            candle_core::bail!(
                "tensor {name} is missing; the file holds {} tensors, expected the names of \
                 Keras layers",
                self.tensors.tensors().len()
            )
        }
        self.tensors.load(name, dev)?.to_dtype(dtype)
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.tensors.get(name).is_ok()
    }
}
