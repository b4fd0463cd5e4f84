//! What else a set of weights expects of the network around it.
//!
//! The same architecture exists in several libraries with small differences that change every
//! feature: how pixels become numbers, where a convolution of stride 2 pads, what batch
//! normalisation adds to the variance. They belong to the weights, not to the architecture.

pub use crate::library::Library;
use crate::models::Architecture;
use crate::preprocess::Preprocessing;

/// Conventions of the library in which weights were trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Conventions {
    /// From pixels to network input.
    pub preprocessing: Preprocessing,
    /// Decides the rest: paddings, strides, and what batch normalisation adds to the variance.
    pub library: Library,
}

impl Conventions {
    /// Those of a library for a network.
    pub fn new(architecture: Architecture, library: Library) -> Self {
        Self {
            preprocessing: architecture.preprocessing(library),
            library,
        }
    }
}
