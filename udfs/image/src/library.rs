//! Where networks are trained.

/// A library in which networks are trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Library {
    /// Keras Applications.
    Keras,
    /// torchvision.
    Torchvision,
}
