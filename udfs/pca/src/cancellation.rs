//! Learning, in the middle of a fit, that nobody wants its model any more.

use crate::error::{PcaError, Result};
use std::fmt;
use std::sync::Arc;

/// Tells whether a fit is to stop. It is asked every few milliseconds to seconds, from any thread.
pub type IsCancelled = Arc<dyn Fn() -> bool + Send + Sync>;

/// What a fit asks; never, if it has been given nothing.
#[derive(Clone, Default)]
pub(crate) struct Cancellation(Option<IsCancelled>);

impl Cancellation {
    pub(crate) fn new(is_cancelled: IsCancelled) -> Self {
        Self(Some(is_cancelled))
    }

    /// An error if the fit is to stop.
    pub(crate) fn check(&self) -> Result<()> {
        match &self.0 {
            Some(is_cancelled) if is_cancelled() => Err(PcaError::Cancelled),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Cancellation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cancellation")
    }
}
