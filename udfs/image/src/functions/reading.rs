//! The argument `pooling`.

use crate::error::Result;
use crate::models::{ModelSpec, Pooling, parse_pooling};

/// What the argument `pooling` says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reading {
    Pooling(Pooling),
    /// The name of an output, if the model that the settings name is an ONNX file.
    Output(String),
}

impl Reading {
    pub(super) fn parse(text: &str, model: Option<&ModelSpec>) -> Result<Self> {
        match (model, parse_pooling(text)) {
            (Some(ModelSpec::Onnx(_)), _) => Ok(Self::Output(text.to_owned())),
            (_, Ok(pooling)) => Ok(Self::Pooling(pooling)),
            (None, Err(_)) if cfg!(feature = "onnx") => Ok(Self::Output(text.to_owned())),
            (_, Err(error)) => Err(error),
        }
    }

    pub(super) fn name(&self) -> &str {
        match self {
            Self::Pooling(pooling) => pooling.name(),
            Self::Output(name) => name,
        }
    }

    /// The pooling, if it is one whatever the model is.
    pub(super) fn known(&self) -> Option<Pooling> {
        match self {
            Self::Pooling(pooling) => Some(*pooling),
            Self::Output(_) => None,
        }
    }

    /// The pooling of a model that has some.
    ///
    /// # Errors
    ///
    /// If there is none of this name.
    pub(super) fn pooling(&self) -> Result<Pooling> {
        match self {
            Self::Pooling(pooling) => Ok(*pooling),
            Self::Output(name) => parse_pooling(name),
        }
    }
}
