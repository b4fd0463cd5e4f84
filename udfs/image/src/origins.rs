//! How a function learns where the images of a batch come from, to name one that it refuses.
//!
//! A scalar function sees bytes and nothing else of its rows. Whoever evaluates it and knows more can
//! lay that under the calling thread ([`scope`]), as [`cancel`](crate::cancel) does with its token.

use std::cell::RefCell;
use std::rc::Rc;

/// The name of the image in a row of the batch, if it is known.
pub type Names = Rc<dyn Fn(usize) -> Option<String>>;

thread_local! {
    static CURRENT: RefCell<Option<Names>> = const { RefCell::new(None) };
}

/// Runs `work`, which evaluates a function over one batch, with the names of that batch's images.
pub fn scope<T>(names: Names, work: impl FnOnce() -> T) -> T {
    /// Restores the outer names, after a panic too.
    struct Outer(Option<Names>);

    impl Drop for Outer {
        fn drop(&mut self) {
            let outer = self.0.take();
            CURRENT.with_borrow_mut(|current| *current = outer);
        }
    }

    let _outer = Outer(CURRENT.replace(Some(names)));
    work()
}

/// The name of the image in this row.
pub(crate) fn of_row(row: usize) -> Option<String> {
    let names = CURRENT.with_borrow(Clone::clone)?;
    names(row)
}
