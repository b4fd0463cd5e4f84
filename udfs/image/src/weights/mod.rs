//! Where the numbers of a network come from.
//!
//! One interface over every source: [`Weights`] hands out a [`VarBuilder`] and says which
//! conventions go with the numbers and how they are identified. Tensors are asked for by the
//! names of Keras layers (`block1_conv1.kernel`, `block1_conv1.bias`) and in Keras's layout
//! (kernels are height, width, input channel, output channel), whatever the file holds. No format
//! that can run code (pickle) is read.
//!
//! What is not on this machine is downloaded into a [`WeightsFolder`], through the object stores of
//! a [`WeightsAccess`].

mod access;
mod cached;
mod content;
mod digest;
mod download;
mod file;
mod folder;
mod hdf5;
mod imagenet;
mod model_folder;
#[cfg(feature = "onnx")]
mod onnx_file;
#[cfg(feature = "onnx")]
mod onnx_scan;
mod place;
mod safetensors;
mod seeded;
mod shards;
mod slot;
mod strangers;
mod url;
#[cfg(feature = "http")]
mod web;
#[cfg(not(feature = "http"))]
#[path = "web_elsewhere.rs"]
mod web;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use candle_core::{DType, Device};
use candle_nn::VarBuilder;
use candle_nn::var_builder::SimpleBackend;
use datafusion_common::utils::datafusion_strsim::levenshtein;

pub use self::access::{OnProgress, Progress, Stage, WebStores, WeightsAccess, WeightsStores};
use self::cached::RemoteFile;
pub use self::cached::{CachedWeights, FileState, FileStatus, Verdict};
use self::content::{Content, Format};
use self::digest::sha256_hex;
use self::file::{FileTensors, OpenFile, Stoppable, TensorFile};
pub use self::folder::WeightsFolder;
use self::hdf5::KerasFile;
pub use self::imagenet::{BASE_URL_VARIABLE, DEFAULT_BASE_URL};
pub use self::model_folder::FolderAddress;
pub(crate) use self::model_folder::{LoadedFolder, ModelFolder};
#[cfg(feature = "onnx")]
pub(crate) use self::onnx_file::{LoadedOnnx, OnnxFile};
use self::safetensors::SafetensorsFile;
use self::seeded::Seeded;
#[cfg(test)]
pub(crate) use self::shards::NumbersOf;
pub use self::url::WeightsUrl;
#[cfg(feature = "http")]
pub use self::web::hub;
use crate::cancel;
use crate::conventions::{Conventions, Library};
use crate::error::{Error, Result};
use crate::models::{Architecture, ModelSpec};

/// What the `weights` argument may say.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum WeightsSpec {
    /// `'imagenet'`: the file of Keras Applications, from the weights folder or downloaded.
    ImageNet,
    /// `'seeded'`: deterministic He-normal numbers.
    Seeded,
    /// A file of Keras (HDF5, or a `.keras` archive) or of safetensors, whatever its name.
    File(PathBuf),
    /// The address of such a file.
    Url(WeightsUrl),
    /// What `ImageNet` or a `Url` [resolves](Self::resolve) to.
    Cached(CachedWeights),
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
                let url = WeightsUrl::parse(url)?;
                if let Some(what) = url.foreign_ending() {
                    return Err(Error::Argument(format!(
                        "weights at {url}: expected the address of a .h5, .keras or .safetensors \
                         file, and its name is that of {what}"
                    )));
                }
                Ok(Self::Url(url))
            }
            // What it is the bytes tell.
            path if path.contains(['/', '\\', '.']) => Ok(Self::File(PathBuf::from(
                path.strip_prefix("file://").unwrap_or(path),
            ))),
            other => {
                let nearest = ["imagenet", "seeded"]
                    .into_iter()
                    .find(|name| levenshtein(&other.to_lowercase(), name) <= 2)
                    .map(|name| format!("; did you mean '{name}'?"));
                Err(Error::Argument(format!(
                    "unknown weights '{other}'; expected 'imagenet', 'seeded', or the path or URL \
                     of a .h5, .keras or .safetensors file (./{other} for one of this folder){}",
                    nearest.unwrap_or_default()
                )))
            }
        }
    }

    /// Replaces `'imagenet'` and URLs by a verified file of the weights folder, which is `folder`
    /// or, if none is given, the default one. A file that is not there is downloaded; see
    /// [`WeightsFolder`] for what happens when it changes on the server.
    ///
    /// # Errors
    ///
    /// [`Error::Weights`] if the file cannot be had or is damaged.
    pub fn resolve(
        &self,
        architecture: Architecture,
        folder: Option<&Path>,
        access: &WeightsAccess,
    ) -> Result<Self> {
        match self.remote(architecture)? {
            Some(file) => WeightsFolder::locate(folder)?
                .shared(&file, access)
                .map(Self::Cached),
            None => Ok(self.clone()),
        }
    }

    /// What is known of these weights without looking for them.
    pub(crate) fn known(&self, model: &ModelSpec) -> Known {
        let architecture = match model {
            ModelSpec::Convolutional(architecture) => *architecture,
            ModelSpec::Onnx(_) => {
                return Known {
                    sha256: None,
                    md5: None,
                    preprocessing: None,
                };
            }
            ModelSpec::Transformer(spec) => {
                let published = spec.published.filter(|_| *self == Self::Seeded);
                return Known {
                    sha256: published.map(|published| seeded::sha256_of(published.config())),
                    md5: None,
                    preprocessing: None,
                };
            }
        };
        let keras = architecture.preprocessing(Library::Keras).name();
        let keras = Some(keras.to_owned());
        let (sha256, md5, preprocessing) = match self {
            Self::Seeded => (Some(Seeded::sha256(architecture)), None, keras),
            Self::ImageNet => (None, architecture.keras_md5(), keras),
            // Their bytes tell.
            Self::File(_) | Self::Url(_) | Self::Cached(_) => (None, None, None),
        };
        Known {
            sha256,
            md5,
            preprocessing,
        }
    }

    /// The file to download, if this is one.
    fn remote(&self, architecture: Architecture) -> Result<Option<RemoteFile>> {
        match self {
            Self::ImageNet => imagenet::published(architecture).map(Some),
            Self::Url(url) => Ok(Some(RemoteFile::at(url))),
            Self::Seeded | Self::File(_) | Self::Cached(_) => Ok(None),
        }
    }

    /// Resolves in the default folder, over the web.
    fn resolve_by_default(&self, architecture: Architecture) -> Result<Self> {
        self.resolve(architecture, None, &WeightsAccess::default())
    }

    /// Identifies what [`load`](Self::load) would read, cheaply: a file by its path, length and
    /// modification time, or by the hash that it is known to have.
    pub(crate) fn fingerprint(&self, architecture: Architecture) -> Result<Fingerprint> {
        match self {
            Self::Seeded => Ok(Fingerprint::Seeded),
            Self::Cached(cached) => Ok(Fingerprint::Cached {
                sha256: cached.sha256().to_owned(),
            }),
            Self::File(path) => Fingerprint::of_file(path),
            Self::ImageNet | Self::Url(_) => self
                .resolve_by_default(architecture)?
                .fingerprint(architecture),
        }
    }

    /// Reads the weights of `architecture`.
    ///
    /// # Errors
    ///
    /// [`Error::Weights`] if the source cannot be read.
    pub fn load(&self, architecture: Architecture) -> Result<Weights> {
        match self {
            Self::Seeded => Ok(Weights {
                origin: "'seeded'".to_owned(),
                sha256: Seeded::sha256(architecture),
                conventions: Conventions::new(architecture, Library::Keras),
                source: Source::Seeded(Seeded),
            }),
            Self::File(path) => Weights::read(path, path.display().to_string(), architecture),
            Self::Cached(cached) => {
                let path = cached.path();
                let origin = format!("{} ({})", cached.origin(), path.display());
                let weights = Weights::read(path, origin, architecture)?;
                if weights.sha256 == cached.sha256() {
                    return Ok(weights);
                }
                Err(Error::Weights {
                    origin: weights.origin,
                    message: format!(
                        "the file has changed since this process first used it: it has SHA-256 {}, \
                         and had {}; start the program again",
                        weights.sha256,
                        cached.sha256()
                    ),
                })
            }
            Self::ImageNet | Self::Url(_) => {
                self.resolve_by_default(architecture)?.load(architecture)
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
            Self::Url(url) => url.fmt(f),
            Self::Cached(cached) => f.write_str(cached.origin()),
        }
    }
}

/// What is known of weights before they are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    /// SHA-256 of the recipe of seeded weights.
    pub(crate) sha256: Option<String>,
    /// MD5 that the file must have.
    pub(crate) md5: Option<&'static str>,
    pub(crate) preprocessing: Option<String>,
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
    Cached {
        sha256: String,
    },
}

impl Fingerprint {
    fn of_file(path: &Path) -> Result<Self> {
        let metadata = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?;
        Ok(Self::File {
            path: path.to_owned(),
            length: metadata.len(),
            modified: metadata.modified().ok(),
        })
    }
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
    File(OpenFile),
}

impl Weights {
    /// Reads a file, whose bytes tell its format.
    fn read(path: &Path, origin: String, architecture: Architecture) -> Result<Self> {
        let Content {
            format,
            file,
            member,
        } = content::read(path).map_err(|message| Error::Weights {
            origin: origin.clone(),
            message,
        })?;
        let sha256 = sha256_hex(&file);
        let bytes = member.unwrap_or(file);
        let (file, library): (Box<dyn TensorFile>, _) = match format {
            Format::Hdf5 => (
                Box::new(KerasFile::parse(&origin, bytes, architecture)?),
                Library::Keras,
            ),
            Format::Safetensors => {
                let file = SafetensorsFile::parse(&origin, bytes)?;
                let library = file.library();
                (Box::new(file), library)
            }
        };
        Ok(Self {
            origin,
            sha256,
            conventions: Conventions::new(architecture, library),
            source: Source::File(OpenFile::new(file, architecture)),
        })
    }

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
        let backend: Box<dyn SimpleBackend + '_> = match &self.source {
            Source::Seeded(seeded) => Box::new(*seeded),
            Source::File(file) => Box::new(FileTensors(file)),
        };
        let cancel = cancel::current();
        let backend = Box::new(Stoppable { backend, cancel });
        VarBuilder::from_backend(backend, DType::F32, device.clone())
    }

    /// Checks what a network that has read its variables has left in the file.
    ///
    /// # Errors
    ///
    /// [`Error::Weights`] if it is more than a classifier.
    pub(crate) fn check_rest(&self, architecture: Architecture) -> Result<()> {
        let strangers = match &self.source {
            Source::Seeded(_) => None,
            Source::File(file) => strangers::strangers(file),
        };
        match strangers {
            Some(what) => Err(self.misfit(architecture, &what)),
            None => Ok(()),
        }
    }

    /// The error that a network cannot be built.
    pub(crate) fn incomplete(&self, architecture: Architecture, what: &str) -> Error {
        let resemblance = match &self.source {
            Source::Seeded(_) => String::new(),
            Source::File(file) => strangers::resemblance(file),
        };
        self.misfit(architecture, &format!("{what}{resemblance}"))
    }

    fn misfit(&self, architecture: Architecture, what: &str) -> Error {
        Error::Weights {
            origin: self.origin.clone(),
            message: format!("do not fit {architecture}: {what}"),
        }
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::Weights {
        origin: path.display().to_string(),
        message: format!("the file cannot be read: {error}"),
    }
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
        let spec = WeightsSpec::parse("https://ann:hush@example.com/w.h5").unwrap();
        assert_eq!(spec.to_string(), "https://example.com/w.h5");
        assert!(!format!("{spec:?}").contains("hush"));
        let error = WeightsSpec::parse("https://ann:hush@example.com/w.bin").unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("https://example.com/w.bin: expected"),
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
