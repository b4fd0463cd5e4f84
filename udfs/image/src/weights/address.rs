//! Where a model is: on this machine or behind a URL.

use std::fmt;
use std::path::PathBuf;

use super::url::WeightsUrl;
use crate::error::Result;

/// Where a folder is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FolderAddress {
    /// On this machine.
    Path(PathBuf),
    /// `hf://owner/repo[@revision]`, or a folder at `s3://`, `gs://` or `http(s)://`.
    Url(WeightsUrl),
}

impl FolderAddress {
    /// Parses a path or an address.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`](crate::error::Error::Argument) that says what is wrong without repeating what may be secret.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            url if url.contains("://") && !url.starts_with("file://") => {
                WeightsUrl::parse_folder(url).map(Self::Url)
            }
            path => Ok(Self::Path(PathBuf::from(
                path.strip_prefix("file://").unwrap_or(path),
            ))),
        }
    }
}

impl fmt::Display for FolderAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::Url(url) => url.fmt(f),
        }
    }
}
