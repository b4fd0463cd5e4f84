//! How a function that is computing learns that nobody wants its result any more.
//!
//! A scalar function is a synchronous call: it sees neither the query it belongs to nor that the
//! query's stream was dropped. Whoever polls the operators of a query can therefore lay a
//! [`CancelToken`] under the thread that does so ([`scope`]); the functions of this crate look for
//! one there and stop within milliseconds of its being triggered. Without one they compute to the
//! end.
//!
//! ```
//! use datafusion_functions_image::cancel::{self, CancelToken};
//!
//! let token = CancelToken::new();
//! token.cancel();
//! assert!(!cancel::current().is_cancelled());
//! assert!(cancel::scope(&token, || cancel::current().is_cancelled()));
//! assert!(!cancel::current().is_cancelled());
//! ```

use std::cell::RefCell;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, TryLockError};
use std::time::Duration;

pub use featurize_kernels::CancelToken;

use crate::error::{Error, Result};

/// How often whoever waits looks at its token.
pub(crate) const POLL: Duration = Duration::from_millis(20);

thread_local! {
    static CURRENT: RefCell<Option<CancelToken>> = const { RefCell::new(None) };
}

static ELSEWHERE: RwLock<Option<CancelToken>> = RwLock::new(None);

/// Runs `work` with `token` as the current one of this thread. Scopes nest: the innermost counts.
pub fn scope<T>(token: &CancelToken, work: impl FnOnce() -> T) -> T {
    /// Restores the outer scope, after a panic too.
    struct Outer(Option<CancelToken>);

    impl Drop for Outer {
        fn drop(&mut self) {
            let outer = self.0.take();
            CURRENT.with_borrow_mut(|current| *current = outer);
        }
    }

    let _outer = Outer(CURRENT.replace(Some(token.clone())));
    work()
}

/// Sets the token of all threads that are in no scope, or takes it back: for a program that does one thing
/// after the other. Calls with constants are evaluated while a query is planned, before there is an operator
/// that could lay a token under its thread.
pub fn set_elsewhere(token: Option<CancelToken>) {
    *ELSEWHERE.write().unwrap_or_else(PoisonError::into_inner) = token;
}

/// The current token of this thread, or else that of the process, or else one that nobody will trigger.
pub fn current() -> CancelToken {
    let elsewhere = || {
        ELSEWHERE
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    };
    let current = CURRENT.with_borrow(Option::clone).or_else(elsewhere);
    current.unwrap_or_default()
}

/// Waits for a lock until the current token is triggered.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> Result<MutexGuard<'_, T>> {
    let token = current();
    loop {
        match mutex.try_lock() {
            Ok(guard) => return Ok(guard),
            Err(TryLockError::Poisoned(error)) => return Ok(error.into_inner()),
            Err(TryLockError::WouldBlock) if token.is_cancelled() => return Err(Error::Cancelled),
            Err(TryLockError::WouldBlock) => std::thread::sleep(POLL),
        }
    }
}

/// Whether the current thread runs inside a [`scope`].
pub fn in_scope() -> bool {
    CURRENT.with_borrow(Option::is_some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_nest_and_end_with_a_panic_too() {
        let (outer, inner) = (CancelToken::new(), CancelToken::new());
        inner.cancel();
        assert!(!in_scope());
        scope(&outer, || {
            let panicked = std::panic::catch_unwind(|| {
                scope(&inner, || {
                    assert!(current().is_cancelled());
                    panic!("as a function might");
                })
            });
            assert!(panicked.is_err());
            assert!(in_scope() && !current().is_cancelled());
        });
    }
}
