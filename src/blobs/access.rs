//! What a call of `read_blob` or `try_read_blob` knows: which of the two it is, and whose stores it sees.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::execution::object_store::ObjectStoreRegistry;

use crate::object_stores::Stores;

/// One of the two functions, as an operator or a plan on its way takes it along.
#[derive(Clone)]
pub(crate) struct BlobCall {
    /// An object that cannot be had is NULL.
    pub(crate) tries: bool,
    /// The stores of the session that the function was made for, if it was.
    pub(super) registry: Option<Arc<dyn ObjectStoreRegistry>>,
    /// Options of stores which that session gave and others do not know.
    pub(crate) stores: Stores,
    /// The address to read in place of the argument, which shows it without its secrets.
    pub(crate) hidden: Option<String>,
}

impl BlobCall {
    pub(super) fn new(tries: bool, registry: Option<Arc<dyn ObjectStoreRegistry>>) -> Self {
        Self {
            tries,
            registry,
            stores: Stores::default(),
            hidden: None,
        }
    }

    /// A call that takes the options of stores along.
    #[cfg(feature = "cluster")]
    pub(crate) fn with_stores(tries: bool, stores: Stores) -> Self {
        Self::new(tries, None).and_stores(stores)
    }

    /// The same call, of no session, with these options of stores.
    #[cfg(feature = "cluster")]
    pub(crate) fn and_stores(&self, stores: Stores) -> Self {
        Self {
            stores,
            hidden: self.hidden.clone(),
            ..Self::new(self.tries, None)
        }
    }

    /// The name of the function.
    pub(crate) fn name(&self) -> &'static str {
        match self.tries {
            false => "read_blob",
            true => "try_read_blob",
        }
    }
}

/// Stores are handles, not what a call means.
impl PartialEq for BlobCall {
    fn eq(&self, other: &Self) -> bool {
        self.tries == other.tries && self.stores == other.stores && self.hidden == other.hidden
    }
}

impl Eq for BlobCall {}

impl Hash for BlobCall {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.tries.hash(state);
        self.stores.hash(state);
        self.hidden.hash(state);
    }
}

impl fmt::Debug for BlobCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobCall")
            .field("tries", &self.tries)
            .field("stores", &self.stores)
            .finish_non_exhaustive()
    }
}
