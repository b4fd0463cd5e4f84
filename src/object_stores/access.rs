//! What is asked of a store.

/// What a request wants to do, which is what credentials may not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
    Delete,
}
