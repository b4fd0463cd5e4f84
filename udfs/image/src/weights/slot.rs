//! A file that several callers want at once, of whom one looks for it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::cached::CachedWeights;
use crate::cancel;
use crate::error::{Error, Result};

/// What is known of a file in this process.
#[derive(Default)]
pub(super) struct Slot {
    outcome: Mutex<Outcome>,
    /// How often it could not be had.
    failures: AtomicU64,
}

#[derive(Default)]
struct Outcome {
    cached: Option<CachedWeights>,
    /// Why the last caller who failed did, for those who waited for it.
    failure: Option<Error>,
}

/// When a caller came: how many had failed by then.
#[derive(Clone, Copy)]
pub(super) struct Arrived(u64);

impl Slot {
    /// Before the caller waits.
    pub(super) fn arrive(&self) -> Arrived {
        Arrived(self.failures.load(Ordering::Acquire))
    }

    /// The file as it was found before, or as `obtain` finds it. Callers who come meanwhile wait, and fail
    /// with the first; later ones try again.
    pub(super) fn once(
        &self,
        arrived: Arrived,
        obtain: impl FnOnce() -> Result<CachedWeights>,
    ) -> Result<CachedWeights> {
        let mut outcome = cancel::lock(&self.outcome)?;
        if let Some(cached) = &outcome.cached {
            return Ok(cached.clone());
        }
        if self.arrive().0 > arrived.0
            && let Some(failure) = outcome.failure.as_ref().and_then(Error::again)
        {
            return Err(failure);
        }
        match obtain() {
            Ok(cached) => Ok(outcome.cached.insert(cached).clone()),
            Err(failure) => {
                // Who was told to stop has found out nothing.
                if let Some(failure) = failure.again() {
                    outcome.failure = Some(failure);
                    self.failures.fetch_add(1, Ordering::Release);
                }
                Err(failure)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn damaged() -> Result<CachedWeights> {
        Err(Error::Weights {
            origin: "'imagenet'".to_owned(),
            message: "what came has another MD5".to_owned(),
        })
    }

    #[test]
    fn those_who_wait_fail_with_the_first() {
        let slot = Slot::default();
        let (first, second, third) = (slot.arrive(), slot.arrive(), slot.arrive());
        // Of the first, nobody learns anything.
        assert!(slot.once(first, || Err(Error::Cancelled)).is_err());
        let failure = slot.once(second, damaged).unwrap_err().to_string();
        let same = slot
            .once(third, || panic!("a second download"))
            .unwrap_err();
        assert_eq!(same.to_string(), failure);
        let mut tried = false;
        let later = slot.once(slot.arrive(), || {
            tried = true;
            damaged()
        });
        assert!(later.is_err() && tried);
    }

    #[test]
    fn waiting_can_be_cancelled() {
        let (slot, token) = (Slot::default(), cancel::CancelToken::new());
        token.cancel();
        let outcome = slot.once(slot.arrive(), || {
            let waiting = || cancel::scope(&token, || slot.once(slot.arrive(), damaged));
            std::thread::scope(|scope| scope.spawn(waiting).join().unwrap())
        });
        assert!(matches!(outcome, Err(Error::Cancelled)), "{outcome:?}");
    }
}
