//! The files of the weights folder: which there could be, which are there, and whether they are whole.

use std::path::{Path, PathBuf};

use super::content::Expected;
use super::url::WeightsUrl;

/// A file that can be downloaded.
#[derive(Debug, Clone)]
pub(super) struct RemoteFile {
    /// What the weights are called in messages.
    pub(super) origin: String,
    /// Its name in the weights folder.
    pub(super) name: String,
    pub(super) url: WeightsUrl,
    /// In hexadecimal, if it was published.
    pub(super) md5: Option<&'static str>,
    /// Whether the server may have another file one day.
    pub(super) may_change: bool,
    /// What it must be to be kept.
    pub(super) expected: Expected,
}

impl RemoteFile {
    /// The file at an address.
    pub(super) fn at(url: &WeightsUrl) -> Self {
        Self {
            origin: url.to_string(),
            name: url.cache_name(),
            url: url.clone(),
            md5: None,
            may_change: true,
            expected: Expected::of_name(&url.file_name()),
        }
    }
}

/// A verified file of the weights folder.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CachedWeights {
    pub(super) origin: String,
    pub(super) path: PathBuf,
    pub(super) sha256: String,
}

impl CachedWeights {
    /// What the weights are called: `'imagenet'`, or their address without anything secret.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// SHA-256 of the file, in hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }
}

/// A file that the weights folder has or could have.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileStatus {
    /// The network whose file this is.
    pub model: Option<&'static str>,
    /// Name in the folder.
    pub name: String,
    /// How much of it is there.
    pub state: FileState,
    /// Bytes that are there.
    pub length: u64,
    /// The recorded SHA-256, in hexadecimal.
    pub sha256: Option<String>,
}

/// How much of a file is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileState {
    /// All of it.
    Cached,
    /// A part, from which a download goes on.
    Partial,
    /// Nothing.
    Absent,
}

/// What [`WeightsFolder::verify`](super::WeightsFolder::verify) has found out about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It has the digests it should have.
    Intact,
    /// It was put there by hand, and there is nothing to compare it with.
    Unrecorded,
    /// It does not: what was expected and what was found.
    Damaged(String),
}
