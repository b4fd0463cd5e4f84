//! The folder in which downloaded weights are kept, and what is in it.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use super::access::{Progress, Stage, WeightsAccess};
use super::cached::{CachedWeights, RemoteFile, Verdict};
use super::content::{self, Expected};
use super::digest::Digests;
use super::download::{self, Failure, Partial, Patience, Version};
use super::place::{Place, State, lock};
use super::slot::Slot;
use crate::cancel;
use crate::error::{Error, Result};

/// Environment variable that names the folder.
const FOLDER_VARIABLE: &str = "FEATURIZE_WEIGHTS_DIR";

/// What else there is where weights cannot be had.
const SEEDED: &str = "'seeded' for deterministic random numbers (offline trials, tests and \
                      benchmarks only)";

/// What this process has found or fetched, by its place.
static FOUND: LazyLock<Mutex<HashMap<PathBuf, Arc<Slot>>>> = LazyLock::new(Mutex::default);

/// The folder in which downloaded weights are kept.
///
/// | file | what it is |
/// |---|---|
/// | `<name>` | a whole, verified file; it appears by renaming and is never written in place |
/// | `<name>.sha256` | its SHA-256, as `sha256sum -c` reads it |
/// | `<name>.version` | size and `ETag` (or time of change) by which the server knows it |
/// | `<name>.partial`, `<name>.partial.version` | an interrupted download, which goes on later |
/// | `<name>.lock` | locked by the process that downloads; empty, and left behind |
///
/// The files of `'imagenet'` keep the names they were published under, never change, and may be put
/// there by hand. A file from a URL has its own name and the hash of its address, and **a process
/// that first uses it asks the server whether it is still the same**: if the server has another,
/// that one is downloaded and takes its place, with a warning in the log; if the server cannot be
/// asked, the copy that is there is used, with a warning too. A server that tells neither `ETag` nor
/// time of change cannot say, and is asked for the file again. Within a process the answer holds, so
/// that no query mixes two versions.
///
/// Every file is hashed when a process first uses it. One that differs from its recorded SHA-256,
/// or from the MD5 that Keras publishes, is an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightsFolder {
    path: PathBuf,
}

impl WeightsFolder {
    /// The folder `setting` if it is given (`featurize.weights_dir`), else `FEATURIZE_WEIGHTS_DIR`,
    /// else the platform's cache folder. It need not exist.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] if the platform has none.
    pub fn locate(setting: Option<&Path>) -> Result<Self> {
        let path = setting
            .map(Path::to_owned)
            .or_else(|| variable(FOLDER_VARIABLE))
            .or_else(cache_folder);
        match path {
            Some(path) => Ok(Self { path }),
            None => Err(Error::Configuration(format!(
                "there is no folder for weights; SET featurize.weights_dir, or set the environment \
                 variable {FOLDER_VARIABLE}"
            ))),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn place(&self, name: &str) -> Place {
        let path = |suffix: &str| self.path.join(format!("{name}{suffix}"));
        Place {
            file: path(""),
            record: path(".sha256"),
            version: path(".version"),
            lock: path(".lock"),
            partial: Partial {
                bytes: path(".partial"),
                version: path(".partial.version"),
            },
        }
    }

    /// The file, looked for, downloaded and verified when a process first asks for it. Callers
    /// that arrive meanwhile wait, and fail with the first. Later ones try again.
    pub(super) fn shared(
        &self,
        file: &RemoteFile,
        access: &WeightsAccess,
    ) -> Result<CachedWeights> {
        let slot = {
            let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(found.entry(self.path.join(&file.name)).or_default())
        };
        let arrived = slot.arrive();
        slot.once(arrived, || self.obtain(file, access, Patience::default()))
    }

    /// Looks for the file, downloads and verifies it, until the current token of [`cancel`] is triggered.
    pub(super) fn obtain(
        &self,
        file: &RemoteFile,
        access: &WeightsAccess,
        patience: Patience,
    ) -> Result<CachedWeights> {
        let cancel = cancel::current();
        cancel.check().map_err(|_| Error::Cancelled)?;
        let obtained = self.obtain_unless_cancelled(file, access, patience);
        obtained.map_err(|error| match cancel.is_cancelled() {
            true => Error::Cancelled,
            false => error,
        })
    }

    fn obtain_unless_cancelled(
        &self,
        file: &RemoteFile,
        access: &WeightsAccess,
        patience: Patience,
    ) -> Result<CachedWeights> {
        let place = self.place(&file.name);
        let before = place.state();
        if !place.file.is_file() || self.is_outdated(file, &place, access, patience) {
            let reported = self.download(file, &place, &before, access, patience);
            access.report(&Progress::new(&file.name, Stage::Ended));
            reported?;
        }
        let (verdict, sha256) = place.check(file.md5)?;
        if let Verdict::Damaged(why) = verdict {
            return Err(Error::Weights {
                origin: file.origin.clone(),
                message: format!(
                    "{} is damaged, or another file: {why}. Delete it, or run featurize weights \
                     fetch, and it is downloaded again",
                    place.file.display()
                ),
            });
        }
        Ok(CachedWeights {
            origin: file.origin.clone(),
            path: place.file,
            sha256,
        })
    }

    /// Whether the server has another version than the one that is here.
    fn is_outdated(
        &self,
        file: &RemoteFile,
        place: &Place,
        access: &WeightsAccess,
        patience: Patience,
    ) -> bool {
        if !file.may_change {
            return false;
        }
        let Some(known) = Version::read(&place.version) else {
            return true;
        };
        let why = match download::is_current(&file.url, &known, access, patience) {
            Ok(true) => return false,
            Ok(false) => {
                log::warn!("weights {}: the server has another version", file.origin);
                return true;
            }
            Err(Failure::Remote(why)) => why,
            Err(Failure::Local(error)) => error.to_string(),
            Err(Failure::Access(error)) => error.to_string(),
        };
        if cancel::current().is_cancelled() {
            return false;
        }
        log::warn!(
            "weights {}: using {}, as the server cannot be asked whether they have changed: {why}",
            file.origin,
            place.file.display()
        );
        false
    }

    /// Puts a new version of the file in its place, or finds that another process has.
    fn download(
        &self,
        file: &RemoteFile,
        place: &Place,
        before: &State,
        access: &WeightsAccess,
        patience: Patience,
    ) -> Result<()> {
        let unwritable = |error: io::Error| self.unwritable(file, &error);
        fs::create_dir_all(&self.path).map_err(unwritable)?;
        let report = |stage| access.report(&Progress::new(&file.name, stage));
        let _lock = lock(&place.lock, || report(Stage::Waiting)).map_err(unwritable)?;
        if place.file.is_file() && place.state() != *before {
            return Ok(());
        }
        let version = download::fetch(&file.url, &file.name, &place.partial, access, patience)
            .map_err(|failure| match failure {
                Failure::Remote(why) => self.unreachable(file, &why),
                Failure::Local(error) => unwritable(error),
                Failure::Access(error) => self.unreachable(file, &error.to_string()),
            })?;
        report(Stage::Verifying);
        let digests = Digests::of_file(&place.partial.bytes, file.md5.is_some());
        let digests = digests.map_err(unwritable)?;
        // What is no weights says more than a hash that differs.
        let junk = content::junk(&place.partial.bytes, file.expected, &file.url.file_name());
        let md5 = &digests.md5;
        let expected = file.md5.filter(|expected| expected != md5);
        let other =
            expected.map(|expected| format!("what came has MD5 {md5}, expected {expected}"));
        if let Some(why) = junk.or(other) {
            place.partial.discard().map_err(unwritable)?;
            return Err(self.unreachable(file, &format!("{why}; it was thrown away")));
        }
        place.install(&version, &digests).map_err(unwritable)?;
        log::info!(
            "weights {}: downloaded {} ({} bytes, SHA-256 {})",
            file.origin,
            place.file.display(),
            version.size,
            digests.sha256
        );
        Ok(())
    }

    fn unreachable(&self, file: &RemoteFile, why: &str) -> Error {
        let RemoteFile {
            origin,
            name,
            url,
            expected,
            ..
        } = file;
        let seeded = match expected {
            Expected::Onnx | Expected::Numbers => String::new(),
            Expected::Weights | Expected::Json => format!(", or use {SEEDED}"),
        };
        let instead = if file.may_change {
            "Download it by other means and give its path".to_owned()
        } else {
            let folder = self.path.display();
            format!(
                "Download it by other means and put it into {folder}, or give the path of another \
                 weights file"
            )
        };
        Error::Weights {
            origin: origin.clone(),
            message: format!(
                "{name} is not in {} and could not be downloaded from {url}: {why}. {instead}{seeded}",
                self.path.display()
            ),
        }
    }

    pub(super) fn unwritable(&self, file: &RemoteFile, error: &io::Error) -> Error {
        Error::Weights {
            origin: file.origin.clone(),
            message: format!(
                "{} cannot be kept in {}: {error}. SET featurize.weights_dir (or \
                 {FOLDER_VARIABLE}) to a folder that can be written, give the path of a weights \
                 file, or use {SEEDED}",
                file.name,
                self.path.display()
            ),
        }
    }
}

/// The platform's folder for files that can be had again.
fn cache_folder() -> Option<PathBuf> {
    let base = if cfg!(windows) {
        variable("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        variable("HOME").map(|home| home.join("Library/Caches"))
    } else {
        variable("XDG_CACHE_HOME").or_else(|| variable("HOME").map(|home| home.join(".cache")))
    };
    base.map(|base| base.join("datafusion-featurize"))
}

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}
