//! What can go wrong in this crate.

/// Shorthand for results of this crate.
pub type Result<T, E = KernelError> = std::result::Result<T, E>;

/// An error of this crate.
///
/// Shapes are checked once, at the edge: behind it no kernel can fail except by cancellation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KernelError {
    /// A slice does not have the number of elements its shape asks for.
    #[error("{what} must hold {expected} elements, found {found}")]
    Length {
        /// Which slice.
        what: &'static str,
        /// Elements that the shape asks for.
        expected: usize,
        /// Elements found.
        found: usize,
    },
    /// A shape or a sequence of layers that cannot be computed.
    #[error("{layer}: {reason}")]
    Shape {
        /// The layer or operation, such as `conv2d` or `layer 3 (conv3x3)`.
        layer: String,
        /// What is wrong with it, with the numbers.
        reason: String,
    },
    /// A setting that has no meaning on this machine.
    #[error("{setting}: {reason}")]
    Setting {
        /// Name of the setting, such as `FEATURIZE_KERNELS_ISA`.
        setting: &'static str,
        /// What is wrong with its value, and what to do.
        reason: String,
    },
    /// The caller's cancel token was triggered before the work was finished; the output slice
    /// holds no meaningful values.
    #[error("computation was cancelled")]
    Cancelled,
}

impl KernelError {
    pub(crate) fn shape(layer: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Shape {
            layer: layer.into(),
            reason: reason.into(),
        }
    }
}

/// Fails unless `found == expected`.
pub(crate) fn check_len(what: &'static str, expected: usize, found: usize) -> Result<()> {
    if expected == found {
        Ok(())
    } else {
        Err(KernelError::Length {
            what,
            expected,
            found,
        })
    }
}
