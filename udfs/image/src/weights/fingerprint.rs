//! What tells one source of weights from another without reading it.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::error::{Error, Result};

/// Two that are equal have the same numbers.
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
    pub(super) fn of_file(path: &Path) -> Result<Self> {
        let metadata = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?;
        Ok(Self::File {
            path: path.to_owned(),
            length: metadata.len(),
            modified: metadata.modified().ok(),
        })
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::Weights {
        origin: path.display().to_string(),
        message: format!("the file cannot be read: {error}"),
    }
}
