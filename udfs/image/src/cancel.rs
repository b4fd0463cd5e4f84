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

pub use featurize_kernels::CancelToken;

thread_local! {
    static CURRENT: RefCell<Option<CancelToken>> = const { RefCell::new(None) };
}

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

/// The current token of this thread, or one that nobody will trigger.
pub fn current() -> CancelToken {
    CURRENT.with_borrow(|current| current.clone().unwrap_or_default())
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
