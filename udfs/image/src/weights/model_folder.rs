//! A folder in Hugging Face's layout: `config.json`, `preprocessor_config.json`, and `model.safetensors` or
//! several such files with an index.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use serde_json::Value;

use super::access::WeightsAccess;
use super::address::FolderAddress;
use super::cached::{CachedWeights, RemoteFile};
use super::digest::{Digests, sha256_hex};
use super::fingerprint::Fingerprint;
use super::folder::WeightsFolder;
use super::seeded;
use super::shards::{NumbersOf, Shards};
use super::spec::WeightsSpec;
use super::url::WeightsUrl;
use crate::error::{Error, Result};
use crate::json;
use crate::models::TransformerSpec;
use crate::models::transformer::{Config, Published};

const CONFIG: &str = "config.json";
pub(super) const PREPROCESSOR: &str = "preprocessor_config.json";
const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
/// Longest text that is read of a folder: an index of a million tensors.
const MOST_TEXT: u64 = 64 << 20;
/// Most files that an index may name.
const MOST_SHARDS: usize = 1000;

/// What remote folders were found to have, by the weights folder and their address.
static FOUND: LazyLock<Mutex<HashMap<Remote, Arc<Files>>>> = LazyLock::new(Mutex::default);

type Remote = (PathBuf, WeightsUrl);

/// A file of a folder, which is on this machine.
#[derive(Debug, Clone)]
pub(super) enum Part {
    Local(PathBuf),
    Cached(CachedWeights),
    /// Known to this program.
    Text(&'static str),
}

impl Part {
    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Self::Local(path) => Some(path),
            Self::Cached(cached) => Some(cached.path()),
            Self::Text(_) => None,
        }
    }

    pub(super) fn fingerprint(&self) -> Result<Fingerprint> {
        match self {
            Self::Local(path) => Fingerprint::of_file(path),
            Self::Cached(cached) => Ok(Fingerprint::Cached {
                sha256: cached.sha256().to_owned(),
            }),
            Self::Text(text) => Ok(Fingerprint::Cached {
                sha256: sha256_hex(text.as_bytes()),
            }),
        }
    }

    pub(super) fn text(&self) -> Result<String, String> {
        let Some(path) = self.path() else {
            let Self::Text(text) = self else {
                return Err("the file is nowhere".to_owned());
            };
            return Ok((*text).to_owned());
        };
        let mut text = String::new();
        let file = File::open(path).map_err(|error| format!("the file cannot be read: {error}"))?;
        let taken = file.take(MOST_TEXT + 1).read_to_string(&mut text);
        let length = taken.map_err(|error| format!("the file cannot be read: {error}"))?;
        match length as u64 > MOST_TEXT {
            true => Err(format!("the file is longer than {MOST_TEXT} bytes")),
            false => Ok(text),
        }
    }

    fn sha256(&self) -> Result<String, String> {
        match self {
            Self::Local(path) => Digests::of_file(path, false)
                .map(|digests| digests.sha256)
                .map_err(|error| format!("the file cannot be read: {error}")),
            Self::Cached(cached) => Ok(cached.sha256().to_owned()),
            Self::Text(text) => Ok(sha256_hex(text.as_bytes())),
        }
    }
}

/// The files of a network, each with its name in the folder.
#[derive(Debug, Clone)]
struct Files {
    config: Part,
    preprocessor: Part,
    weights: Vec<(String, Part)>,
}

/// The files of a transformer, found and on this machine.
#[derive(Debug, Clone)]
pub(crate) struct ModelFolder {
    origin: String,
    files: Arc<Files>,
    seeded: bool,
}

/// What a transformer's files hold.
pub(crate) struct LoadedFolder {
    pub(crate) config: Config,
    /// The text of `preprocessor_config.json`.
    pub(crate) preprocessor: String,
    pub(crate) numbers: NumbersOf,
    pub(crate) sha256: String,
}

impl ModelFolder {
    /// Finds the files of a network. `weights` are others than the folder's.
    ///
    /// # Errors
    ///
    /// [`Error::Weights`] that names the file that cannot be had, [`Error::Argument`] for weights that no
    /// transformer has.
    pub(crate) fn resolve(
        spec: &TransformerSpec,
        weights: Option<&WeightsSpec>,
        folder: Option<&Path>,
        access: &WeightsAccess,
    ) -> Result<Self> {
        let own = match weights {
            None => return Ok(Self::new(spec, Files::of(spec, folder, access)?, false)),
            Some(WeightsSpec::ImageNet) => {
                return Err(Error::Argument(format!(
                    "{spec} has no weights 'imagenet'; leave them out for its own, or expected \
                     'seeded', or the path or URL of a .safetensors file"
                )));
            }
            Some(WeightsSpec::Seeded) => Vec::new(),
            Some(WeightsSpec::File(path)) => vec![(WEIGHTS.to_owned(), Part::Local(path.clone()))],
            Some(WeightsSpec::Cached(cached)) => {
                vec![(WEIGHTS.to_owned(), Part::Cached(cached.clone()))]
            }
            Some(WeightsSpec::Url(url)) => {
                let file = RemoteFile::at(url);
                let cached = WeightsFolder::locate(folder)?.shared(&file, access)?;
                vec![(WEIGHTS.to_owned(), Part::Cached(cached))]
            }
        };
        let described = match spec.published {
            Some(published) => Files::known(published),
            None => Files::described(&Place::new(spec, folder, access)?)?,
        };
        let files = Files {
            weights: own,
            ..described
        };
        let seeded = weights == Some(&WeightsSpec::Seeded);
        let mut found = Self::new(spec, Arc::new(files), seeded);
        if let Some(weights) = weights {
            found.origin = format!("{} of {}", weights, found.origin);
        }
        Ok(found)
    }

    fn new(spec: &TransformerSpec, files: Arc<Files>, seeded: bool) -> Self {
        Self {
            origin: spec.to_string(),
            files,
            seeded,
        }
    }

    /// What the weights are called.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// Identifies what [`load`](Self::load) would read, cheaply.
    pub(crate) fn fingerprint(&self) -> Result<Vec<Fingerprint>> {
        let seeded = self.seeded.then_some(Ok(Fingerprint::Seeded));
        let texts = [&self.files.config, &self.files.preprocessor];
        let parts = texts
            .into_iter()
            .chain(self.files.weights.iter().map(|(_, part)| part));
        seeded
            .into_iter()
            .chain(parts.map(Part::fingerprint))
            .collect()
    }

    /// Reads the files.
    ///
    /// # Errors
    ///
    /// [`Error::Weights`] that names the file, and the field or tensor.
    pub(crate) fn load(&self) -> Result<LoadedFolder> {
        let of_file = |name: &str, error: String| self.failed(format!("{name}: {error}"));
        let text = |name: &str, part: &Part| part.text().map_err(|error| of_file(name, error));
        let config = text(CONFIG, &self.files.config)?;
        let preprocessor = text(PREPROCESSOR, &self.files.preprocessor)?;
        let parsed = Config::parse(&config).map_err(|error| self.failed(error))?;
        if self.seeded {
            return Ok(LoadedFolder {
                sha256: seeded::sha256_of(&config),
                config: parsed,
                preprocessor,
                numbers: NumbersOf::Seeded,
            });
        }
        let mut names = vec![
            (CONFIG, &self.files.config),
            (PREPROCESSOR, &self.files.preprocessor),
        ];
        names.extend(
            self.files
                .weights
                .iter()
                .map(|(name, part)| (name.as_str(), part)),
        );
        names.sort_by_key(|(name, _)| *name);
        let mut manifest = String::new();
        for (name, part) in names {
            let sha256 = part.sha256().map_err(|error| of_file(name, error))?;
            manifest += &format!("{sha256}  {name}\n");
        }
        let files = self.files.weights.iter();
        let files = files.filter_map(|(name, part)| Some((name.as_str(), part.path()?)));
        let shards = Shards::read(files).map_err(|error| self.failed(error))?;
        Ok(LoadedFolder {
            config: parsed,
            preprocessor,
            numbers: NumbersOf::Files(shards),
            sha256: sha256_hex(manifest.as_bytes()),
        })
    }

    /// The error of something in the folder.
    pub(crate) fn failed(&self, message: String) -> Error {
        Error::Weights {
            origin: self.origin.clone(),
            message,
        }
    }
}

impl Files {
    /// Everything that a folder has.
    fn of(
        spec: &TransformerSpec,
        folder: Option<&Path>,
        access: &WeightsAccess,
    ) -> Result<Arc<Self>> {
        let place = Place::new(spec, folder, access)?;
        if let Some(found) = place.found() {
            return Ok(found);
        }
        let described = Self::described(&place)?;
        let weights = place.weights()?;
        let files = Arc::new(Self {
            weights,
            ..described
        });
        place.remember(&files);
        Ok(files)
    }

    /// What describes the network, without its weights.
    fn described(place: &Place<'_>) -> Result<Self> {
        Ok(Self {
            config: place.part(CONFIG)?,
            preprocessor: place.part(PREPROCESSOR)?,
            weights: Vec::new(),
        })
    }

    /// What is known of a network with a short name.
    fn known(published: Published) -> Self {
        Self {
            config: Part::Text(published.config()),
            preprocessor: Part::Text(published.preprocessor()),
            weights: Vec::new(),
        }
    }
}

/// A folder, and how its files are had.
struct Place<'a> {
    spec: &'a TransformerSpec,
    cache: WeightsFolder,
    access: &'a WeightsAccess,
}

impl<'a> Place<'a> {
    fn new(
        spec: &'a TransformerSpec,
        folder: Option<&Path>,
        access: &'a WeightsAccess,
    ) -> Result<Self> {
        Ok(Self {
            spec,
            cache: WeightsFolder::locate(folder)?,
            access,
        })
    }

    fn key(&self) -> Option<Remote> {
        match &self.spec.address {
            FolderAddress::Url(url) => Some((self.cache.path().to_owned(), url.clone())),
            FolderAddress::Path(_) => None,
        }
    }

    fn found(&self) -> Option<Arc<Files>> {
        let found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
        found.get(&self.key()?).map(Arc::clone)
    }

    fn remember(&self, files: &Arc<Files>) {
        if let Some(key) = self.key() {
            let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
            found.insert(key, Arc::clone(files));
        }
    }

    /// A file of the folder.
    fn part(&self, name: &str) -> Result<Part> {
        match &self.spec.address {
            FolderAddress::Path(folder) => {
                let path = folder.join(name);
                match std::fs::metadata(&path) {
                    Ok(metadata) if metadata.is_file() => Ok(Part::Local(path)),
                    Ok(_) => Err(self.failed(name, "it is no file")),
                    Err(error) => Err(self.failed(name, &error.to_string())),
                }
            }
            FolderAddress::Url(url) => {
                let Some(url) = url.join(&[name]) else {
                    return Err(self.failed(name, "the address cannot have files below it"));
                };
                self.cache
                    .shared(&RemoteFile::at(&url), self.access)
                    .map(Part::Cached)
            }
        }
    }

    /// The files of weights.
    fn weights(&self) -> Result<Vec<(String, Part)>> {
        let whole = match self.part(WEIGHTS) {
            Ok(part) => return Ok(vec![(WEIGHTS.to_owned(), part)]),
            Err(Error::Cancelled) => return Err(Error::Cancelled),
            Err(error) => error,
        };
        // Why there is no index says nothing where there should be none.
        let Ok(index) = self.part(INDEX) else {
            return Err(whole);
        };
        let shards = index.text().and_then(|text| shards(&text));
        let shards = shards.map_err(|error| self.failed(INDEX, &error))?;
        let parts = shards.into_iter().map(|name| {
            let part = self.part(&name)?;
            Ok((name, part))
        });
        parts.collect()
    }

    fn failed(&self, name: &str, why: &str) -> Error {
        Error::Weights {
            origin: self.spec.to_string(),
            message: format!(
                "{name}: {why}. A model's folder holds {CONFIG}, {PREPROCESSOR} and {WEIGHTS}, or \
                 {INDEX} with the files that it names"
            ),
        }
    }
}

/// The files that an index names.
fn shards(text: &str) -> Result<BTreeSet<String>, String> {
    let index = json::object(INDEX, text)?;
    let Some(Value::Object(map)) = index.get("weight_map") else {
        return Err("field 'weight_map' must be an object".to_owned());
    };
    let mut names = BTreeSet::new();
    for (tensor, name) in map {
        let plain = |name: &&str| {
            name.ends_with(".safetensors") && !name.contains(['/', '\\']) && !name.starts_with('.')
        };
        let Some(name) = name.as_str().filter(plain) else {
            return Err(format!(
                "field 'weight_map.{tensor}' must be the name of a .safetensors file in the folder, \
                 found {name}"
            ));
        };
        names.insert(name.to_owned());
        if names.len() > MOST_SHARDS {
            return Err(format!(
                "field 'weight_map' names more than {MOST_SHARDS} files"
            ));
        }
    }
    Ok(names)
}

/// Addresses of the files that a short name stands for.
pub(super) fn remote_files(published: Published) -> Vec<RemoteFile> {
    let address = FolderAddress::parse(published.address());
    let Ok(FolderAddress::Url(url)) = address else {
        return Vec::new();
    };
    let names = [WEIGHTS, CONFIG, PREPROCESSOR].into_iter();
    names
        .filter_map(|name| Some(RemoteFile::at(&url.join(&[name])?)))
        .collect()
}

/// Downloads what a network needs unless it is there, and gives its files.
///
/// # Errors
///
/// As [`ModelFolder::resolve`].
pub(super) fn fetch(
    spec: &TransformerSpec,
    folder: &Path,
    access: &WeightsAccess,
) -> Result<Vec<CachedWeights>> {
    let files = Files::of(spec, Some(folder), access)?;
    let weights = files.weights.iter().map(|(_, part)| part);
    let parts = [&files.config, &files.preprocessor]
        .into_iter()
        .chain(weights);
    let cached = parts.filter_map(|part| match part {
        Part::Cached(cached) => Some(cached.clone()),
        Part::Local(_) | Part::Text(_) => None,
    });
    Ok(cached.collect())
}
