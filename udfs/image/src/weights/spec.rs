//! What the `weights` argument may say, and how it leads to numbers.

use std::fmt;
use std::path::{Path, PathBuf};

use datafusion_common::utils::datafusion_strsim::levenshtein;

use super::access::WeightsAccess;
use super::cached::{CachedWeights, RemoteFile};
use super::fingerprint::Fingerprint;
use super::folder::WeightsFolder;
use super::imagenet;
use super::read::Weights;
use super::seeded::{self, Seeded};
use super::url::WeightsUrl;
use crate::conventions::Library;
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
    pub(super) fn remote(&self, architecture: Architecture) -> Result<Option<RemoteFile>> {
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
            Self::Seeded => Ok(Weights::seeded(architecture)),
            Self::File(path) => Weights::read(path, path.display().to_string(), architecture),
            Self::Cached(cached) => {
                let path = cached.path();
                let origin = format!("{} ({})", cached.origin(), path.display());
                let weights = Weights::read(path, origin, architecture)?;
                if weights.sha256() == cached.sha256() {
                    return Ok(weights);
                }
                Err(Error::Weights {
                    origin: weights.origin().to_owned(),
                    message: format!(
                        "the file has changed since this process first used it: it has SHA-256 {}, \
                         and had {}; start the program again",
                        weights.sha256(),
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
