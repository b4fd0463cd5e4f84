//! An ONNX file and what is asked of it.

use std::fmt;

use crate::error::{Error, Result};
use crate::weights::FolderAddress;

/// A network in an ONNX file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OnnxSpec {
    pub(crate) address: FolderAddress,
    pub(crate) output: Option<String>,
    pub(crate) preprocessing: Option<String>,
    pub(crate) threads: usize,
}

impl OnnxSpec {
    /// Whether a model is meant to be an ONNX file: by the end of its path.
    pub fn is_meant(text: &str) -> bool {
        let path = match text.contains("://") {
            true => text.split(['?', '#']).next().unwrap_or_default(),
            false => text,
        };
        path.to_ascii_lowercase().ends_with(".onnx")
    }

    /// The file at a path or an address.
    pub(in crate::models) fn parse(text: &str) -> Result<Self> {
        let spec = Self {
            address: FolderAddress::parse(text)?,
            output: None,
            preprocessing: None,
            threads: 0,
        };
        match cfg!(feature = "onnx") {
            true => Ok(spec),
            false => Err(spec.lacking()),
        }
    }

    /// The error of a build that runs no such file.
    pub(crate) fn lacking(&self) -> Error {
        Error::Argument(format!(
            "{self}: this program was built without the feature 'onnx', by which ONNX Runtime runs such \
             a file; build it with that feature (cargo build --features onnx) and set ORT_DYLIB_PATH to \
             the library"
        ))
    }

    /// The output of this name; `None` for the only one of two dimensions.
    #[must_use]
    pub fn with_output(mut self, name: Option<String>) -> Self {
        self.output = name;
        self
    }

    /// How pictures become its input, in the words of `preprocessor_config.json`; `None` for what the file
    /// of that name beside it says.
    #[must_use]
    pub fn with_preprocessing(mut self, text: Option<String>) -> Self {
        self.preprocessing = text;
        self
    }

    /// Threads of the session; 0 for one per core.
    #[must_use]
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }
}

/// The address without anything secret.
impl fmt::Display for OnnxSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_by_their_names() {
        for text in [
            "mine.onnx",
            "./a/Mine.ONNX",
            "s3://bucket/mine.onnx",
            "hf://owner/repo/onnx/model.onnx",
            "https://host/mine.onnx?sig=f00",
        ] {
            assert!(OnnxSpec::is_meant(text), "{text}");
        }
        for text in ["onnx", "./mine.onnx/", "https://host/mine?file=x.onnx"] {
            assert!(!OnnxSpec::is_meant(text), "{text}");
        }
    }

    #[cfg(not(feature = "onnx"))]
    #[test]
    fn a_build_without_it_says_so() {
        let error = OnnxSpec::parse("https://ann:hush@host/mine.onnx?sig=f00")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("built without the feature 'onnx'"),
            "{error}"
        );
        assert!(!error.contains("hush") && !error.contains("f00"), "{error}");
    }
}
