//! What a session lends to the accumulators of `pca_fit`, which do not see it.

use crate::cancellation::IsCancelled;
use crate::fit::spill::Disk;
use datafusion_common::Result;
use datafusion_execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Makes what a fit asks from what is known on the thread that starts it.
pub type CancellationSource = fn() -> IsCancelled;

/// Handles, not options: two functions that differ in them are the same function, and what a plan carries
/// is its name.
#[derive(Clone, Default)]
pub(crate) struct Session {
    pub(crate) disk: Disk,
    pub(crate) pool: Option<Arc<dyn MemoryPool>>,
    pub(crate) cancellation: Option<CancellationSource>,
}

impl Session {
    /// Takes memory from the pool until the reservation is dropped.
    ///
    /// # Errors
    /// If the pool has not so much left.
    pub(crate) fn reserve(&self, name: &str, bytes: usize) -> Result<Option<MemoryReservation>> {
        let Some(pool) = &self.pool else {
            return Ok(None);
        };
        let reservation = MemoryConsumer::new(name).register(pool);
        reservation.try_grow(bytes)?;
        Ok(Some(reservation))
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Session")
    }
}

impl PartialEq for Session {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Session {}

impl Hash for Session {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}
