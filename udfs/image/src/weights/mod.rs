//! Where the numbers of a network come from.
//!
//! One interface over every source: [`Weights`] hands out a [`VarBuilder`] and says which
//! preprocessing goes with the numbers and how they are identified. Tensors are asked for by the
//! names of Keras layers (`block1_conv1.kernel`, `block1_conv1.bias`) and in Keras's layout
//! (kernels are height, width, input channel, output channel), whatever the file holds.

mod safetensors;
mod seeded;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use candle_core::{DType, Device};
use candle_nn::VarBuilder;

use self::safetensors::SafetensorsFile;
use self::seeded::Seeded;
use crate::error::{Error, Result};
use crate::models::Architecture;
use crate::preprocess::Preprocessing;

/// What the `weights` argument may say.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum WeightsSpec {
    /// `'imagenet'`: the file of Keras Applications.
    ImageNet,
    /// `'seeded'`: deterministic He-normal numbers.
    Seeded,
    /// A `.safetensors` file.
    File(PathBuf),
}

impl WeightsSpec {
    /// Parses the `weights` argument.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] that lists what is accepted.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "imagenet" => Ok(Self::ImageNet),
            "seeded" => Ok(Self::Seeded),
            path if has_extension(path, "safetensors") => Ok(Self::File(PathBuf::from(
                path.strip_prefix("file://").unwrap_or(path),
            ))),
            other => Err(Error::Argument(format!(
                "unknown weights '{other}'; expected 'imagenet', 'seeded' or the path of a \
                 .safetensors file"
            ))),
        }
    }

    /// Identifies what [`load`](Self::load) would read, cheaply: a file by its path, length and
    /// modification time.
    pub(crate) fn fingerprint(&self) -> Result<Fingerprint> {
        Ok(match self {
            Self::ImageNet => Fingerprint::Named("imagenet"),
            Self::Seeded => Fingerprint::Named("seeded"),
            Self::File(path) => {
                let metadata = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?;
                Fingerprint::File {
                    path: path.clone(),
                    length: metadata.len(),
                    modified: metadata.modified().ok(),
                }
            }
        })
    }

    /// Reads the weights of `architecture`.
    ///
    /// # Errors
    ///
    /// [`Error::Weights`] if the source cannot be read.
    pub fn load(&self, architecture: Architecture) -> Result<Weights> {
        match self {
            Self::ImageNet => Err(Error::Weights {
                origin: "'imagenet'".to_owned(),
                message: format!(
                    "the Keras Applications file {} cannot be read yet; give the path of a \
                     .safetensors file, or 'seeded' for deterministic random numbers (offline \
                     trials, tests and benchmarks only)",
                    architecture.keras_file()
                ),
            }),
            Self::Seeded => Ok(Weights {
                origin: "'seeded'".to_owned(),
                sha256: Seeded::sha256(architecture),
                preprocessing: architecture.keras_preprocessing(),
                source: Source::Seeded(Seeded),
            }),
            Self::File(path) => {
                let file = SafetensorsFile::read(path)?;
                Ok(Weights {
                    origin: path.display().to_string(),
                    sha256: file.sha256().to_owned(),
                    preprocessing: architecture.keras_preprocessing(),
                    source: Source::Safetensors(Box::new(file)),
                })
            }
        }
    }
}

impl fmt::Display for WeightsSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ImageNet => f.write_str("imagenet"),
            Self::Seeded => f.write_str("seeded"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// What tells one source of weights from another without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fingerprint {
    Named(&'static str),
    File {
        path: PathBuf,
        length: u64,
        modified: Option<SystemTime>,
    },
}

/// Numbers for one network.
#[derive(Debug)]
pub struct Weights {
    origin: String,
    sha256: String,
    preprocessing: Preprocessing,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Seeded(Seeded),
    Safetensors(Box<SafetensorsFile>),
}

impl Weights {
    /// The file, or the name of the recipe.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// SHA-256 of the file, or of the text that defines the recipe, in hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// What the network was trained to be fed.
    pub fn preprocessing(&self) -> Preprocessing {
        self.preprocessing
    }

    /// The tensors, by Keras's names and in Keras's layout, in f32.
    pub fn var_builder(&self, device: &Device) -> VarBuilder<'_> {
        let backend: Box<dyn candle_nn::var_builder::SimpleBackend + '_> = match &self.source {
            Source::Seeded(seeded) => Box::new(*seeded),
            Source::Safetensors(file) => Box::new(file.as_ref()),
        };
        VarBuilder::from_backend(backend, DType::F32, device.clone())
    }
}

fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path)
        .extension()
        .is_some_and(|found| found.eq_ignore_ascii_case(extension))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::Weights {
        origin: path.display().to_string(),
        message: format!("the file cannot be read: {error}"),
    }
}

/// SHA-256 in hexadecimal.
fn sha256_hex(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    use std::fmt::Write;

    Sha256::digest(bytes)
        .iter()
        .fold(String::with_capacity(64), |mut hex, byte| {
            // Writing to a string cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted_names() {
        assert_eq!(WeightsSpec::parse("seeded").unwrap(), WeightsSpec::Seeded);
        assert_eq!(
            WeightsSpec::parse("/data/My Weights.SafeTensors").unwrap(),
            WeightsSpec::File(PathBuf::from("/data/My Weights.SafeTensors"))
        );
        let error = WeightsSpec::parse("image-net").unwrap_err().to_string();
        assert!(
            error.contains("'image-net'; expected 'imagenet', 'seeded'"),
            "{error}"
        );
    }

    #[test]
    fn imagenet_never_falls_back() {
        let error = WeightsSpec::ImageNet.load(Architecture::Vgg16).unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"),
            "{error}"
        );
        assert!(error.contains("'seeded'"), "{error}");
    }

    #[test]
    fn absent_file_is_named() {
        let spec = WeightsSpec::parse("/nowhere/w.safetensors").unwrap();
        let error = spec.fingerprint().unwrap_err().to_string();
        assert!(error.contains("/nowhere/w.safetensors"), "{error}");
    }
}
