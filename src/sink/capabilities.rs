//! What a store can do, found out at the first need and remembered as long as the store lives.
//!
//! Servers that speak S3 need not speak all of it. Some refuse the header that makes a `PUT`
//! conditional, some the deletion of several objects by one request, which is the only one that
//! `object_store` sends. The stores that this crate makes
//! ([`object_stores`](crate::object_stores)) delete one by one then; those that a program has
//! registered itself may not be able to delete at all.

use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use datafusion::common::{Result, exec_err};
use object_store::{Error, ObjectStore, ObjectStoreExt};
use uuid::Uuid;

use super::target::Target;
use crate::object_stores::errors::{describe, is_unknown_request};
use crate::object_stores::is_made_here;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Capability {
    /// It deletes objects.
    Delete,
    /// It does not create an object on the condition that there is none.
    NoConditionalPut,
}

type Known = Vec<(Weak<dyn ObjectStore>, Capability)>;

static KNOWN: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);

pub(super) fn is_known(store: &Arc<dyn ObjectStore>, capability: Capability) -> bool {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.retain(|(store, _)| store.strong_count() > 0);
    known
        .iter()
        .any(|(other, what)| *what == capability && is_same(other, store))
}

pub(super) fn remember(store: &Arc<dyn ObjectStore>, capability: Capability) {
    if !is_known(store, capability) {
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        known.push((Arc::downgrade(store), capability));
    }
}

/// As long as there is a weak reference, no other store has the same address.
fn is_same(other: &Weak<dyn ObjectStore>, store: &Arc<dyn ObjectStore>) -> bool {
    std::ptr::addr_eq(other.as_ptr(), Arc::as_ptr(store))
}

/// # Errors
/// When the store cannot delete objects: a run could neither give its lock up nor clear away.
pub(super) async fn check_delete(
    store: &Arc<dyn ObjectStore>,
    target: &Target,
    run: Uuid,
) -> Result<()> {
    if target.is_local() || is_known(store, Capability::Delete) {
        return Ok(());
    }
    // An object that there is not.
    let probe = target.run_folder(run).join("probe");
    match store.delete(&probe).await {
        Ok(()) | Err(Error::NotFound { .. }) => {
            remember(store, Capability::Delete);
            Ok(())
        }
        Err(e) if is_unknown_request(&e) => exec_err!(
            "'{target}': its store cannot delete objects ({}), so that what a run leaves could \
             never be cleared away; nothing has been written. {}",
            describe(&e),
            match is_made_here(store) {
                true => "Write to another store",
                // Ours deletes one by one what it cannot delete together.
                false =>
                    "Let this crate make the store (OPTIONS ('aws.endpoint' …)), which then \
                          deletes objects one by one, or write to another store",
            }
        ),
        Err(e) => Err(e.into()),
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    #[test]
    fn what_is_known_of_a_store_is_not_known_of_another() {
        let one: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let other: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        remember(&one, Capability::Delete);
        assert!(is_known(&one, Capability::Delete));
        assert!(is_known(&Arc::clone(&one), Capability::Delete));
        assert!(!is_known(&one, Capability::NoConditionalPut));
        assert!(!is_known(&other, Capability::Delete));
    }
}
