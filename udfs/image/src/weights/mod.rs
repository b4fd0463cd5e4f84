//! Where the numbers of a network come from.
//!
//! One interface over every source: [`Weights`] hands out a [`VarBuilder`] and says which
//! conventions go with the numbers and how they are identified. Tensors are asked for by the
//! names of Keras layers (`block1_conv1.kernel`, `block1_conv1.bias`) and in Keras's layout
//! (kernels are height, width, input channel, output channel), whatever the file holds. No format
//! that can run code (pickle) is read.

mod file;
mod hdf5;
mod imagenet;
mod safetensors;
mod seeded;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use candle_core::{DType, Device};
use candle_nn::VarBuilder;

use self::file::{FileTensors, TensorFile};
use self::hdf5::KerasFile;
use self::safetensors::SafetensorsFile;
use self::seeded::Seeded;
use crate::conventions::Conventions;
use crate::error::{Error, Result};
use crate::models::Architecture;

/// What the `weights` argument may say.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum WeightsSpec {
    /// `'imagenet'`: the file of Keras Applications, from the weights folder.
    ImageNet,
    /// `'seeded'`: deterministic He-normal numbers.
    Seeded,
    /// A `.h5` or `.safetensors` file.
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
            url if url.contains("://") && !url.starts_with("file://") => {
                Err(Error::Argument(format!(
                    "weights cannot be read from the URL '{url}' yet; download the file and give \
                     its path"
                )))
            }
            path if FileFormat::of(Path::new(path)).is_some() => Ok(Self::File(PathBuf::from(
                path.strip_prefix("file://").unwrap_or(path),
            ))),
            other => Err(Error::Argument(format!(
                "unknown weights '{other}'; expected 'imagenet', 'seeded' or the path of a .h5 or \
                 .safetensors file"
            ))),
        }
    }

    /// Replaces `'imagenet'` by the file it stands for, which is looked for in `folder` or, if
    /// none is given, in the default weights folder.
    ///
    /// # Errors
    ///
    /// [`Error::Weights`] if the file is not there.
    pub fn resolve(self, architecture: Architecture, folder: Option<&Path>) -> Result<Self> {
        match self {
            Self::ImageNet => imagenet::locate(architecture, folder).map(Self::File),
            other => Ok(other),
        }
    }

    /// Identifies what [`load`](Self::load) would read, cheaply: a file by its path, length and
    /// modification time.
    pub(crate) fn fingerprint(&self, architecture: Architecture) -> Result<Fingerprint> {
        match self.clone().resolve(architecture, None)? {
            Self::File(path) => {
                let metadata =
                    std::fs::metadata(&path).map_err(|error| unreadable(&path, &error))?;
                Ok(Fingerprint::File {
                    path,
                    length: metadata.len(),
                    modified: metadata.modified().ok(),
                })
            }
            Self::Seeded | Self::ImageNet => Ok(Fingerprint::Seeded),
        }
    }

    /// Reads the weights of `architecture`.
    ///
    /// # Errors
    ///
    /// [`Error::Weights`] if the source cannot be read.
    pub fn load(&self, architecture: Architecture) -> Result<Weights> {
        let keras = Conventions::keras(architecture.keras_preprocessing());
        match self {
            Self::ImageNet => self.clone().resolve(architecture, None)?.load(architecture),
            Self::Seeded => Ok(Weights {
                origin: "'seeded'".to_owned(),
                sha256: Seeded::sha256(architecture),
                conventions: keras,
                source: Source::Seeded(Seeded),
            }),
            Self::File(path) => {
                let bytes = std::fs::read(path).map_err(|error| unreadable(path, &error))?;
                let sha256 = sha256_hex(&bytes);
                let (file, conventions): (Box<dyn TensorFile>, _) = match FileFormat::of(path) {
                    Some(FileFormat::Hdf5) => (
                        Box::new(KerasFile::parse(path, bytes, architecture)?),
                        keras,
                    ),
                    _ => {
                        let file = SafetensorsFile::parse(path, bytes, architecture)?;
                        let conventions = if file.is_torchvision() {
                            Conventions::torchvision()
                        } else {
                            keras
                        };
                        (Box::new(file), conventions)
                    }
                };
                Ok(Weights {
                    origin: path.display().to_string(),
                    sha256,
                    conventions,
                    source: Source::File(file),
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

/// Formats of weights files, by the end of their names.
enum FileFormat {
    Hdf5,
    Safetensors,
}

impl FileFormat {
    fn of(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        match extension.as_str() {
            "h5" | "hdf5" => Some(Self::Hdf5),
            "safetensors" => Some(Self::Safetensors),
            _ => None,
        }
    }
}

/// What tells one source of weights from another without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fingerprint {
    Seeded,
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
    conventions: Conventions,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Seeded(Seeded),
    File(Box<dyn TensorFile>),
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

    /// What the numbers expect of the network around them.
    pub fn conventions(&self) -> Conventions {
        self.conventions
    }

    /// The tensors, by Keras's names and in Keras's layout, in f32.
    pub fn var_builder(&self, device: &Device) -> VarBuilder<'_> {
        let backend: Box<dyn candle_nn::var_builder::SimpleBackend + '_> = match &self.source {
            Source::Seeded(seeded) => Box::new(*seeded),
            Source::File(file) => Box::new(FileTensors(file.as_ref())),
        };
        VarBuilder::from_backend(backend, DType::F32, device.clone())
    }
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
        for path in ["/data/My Weights.SafeTensors", "w.weights.h5", "./a/b.h5"] {
            assert_eq!(
                WeightsSpec::parse(path).unwrap(),
                WeightsSpec::File(PathBuf::from(path))
            );
        }
        let error = WeightsSpec::parse("image-net").unwrap_err().to_string();
        assert!(
            error.contains("'image-net'; expected 'imagenet', 'seeded'"),
            "{error}"
        );
        let error = WeightsSpec::parse("https://example.com/w.h5").unwrap_err();
        assert!(
            error.to_string().contains("https://example.com/w.h5"),
            "{error}"
        );
    }

    #[test]
    fn absent_file_is_named() {
        let spec = WeightsSpec::parse("/nowhere/w.safetensors").unwrap();
        let error = spec
            .fingerprint(Architecture::Vgg16)
            .unwrap_err()
            .to_string();
        assert!(error.contains("/nowhere/w.safetensors"), "{error}");
    }
}
