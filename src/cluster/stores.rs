//! Object stores on machines that did not execute `CREATE EXTERNAL TABLE`.
//!
//! A statement's `aws.…` and `gcp.…` options configure the stores of the session that runs it. On a
//! cluster that session is the client's; scheduler and executors make their stores from their own
//! environment. Options therefore travel inside the plan, in nodes whose `Debug` and `Display` do
//! not show them, to every machine that opens the store.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use datafusion::common::{Result, exec_datafusion_err};
use datafusion::execution::object_store::{DefaultObjectStoreRegistry, ObjectStoreRegistry};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion_functions_image::weights::WeightsAccess;
use object_store::ObjectStore;
use url::Url;

use super::deferred::DeferredStore;
use super::messages::{StoreMessage, StoresMessage};
pub(super) use crate::object_stores::{StoreOptions, Stores};
use crate::object_stores::{register, store_url};
use crate::weights::SessionStores;

impl Stores {
    /// Puts the stores into `runtime`. They are opened when they are used.
    ///
    /// # Errors
    /// When a URL is none.
    pub(super) fn register(&self, runtime: &RuntimeEnv) -> Result<()> {
        for (url, options) in &self.0 {
            let url = parse(url)?;
            let store = DeferredStore::with_options(url.clone(), options.clone());
            runtime.register_object_store(&url, Arc::new(store));
        }
        Ok(())
    }

    pub(super) fn to_message(&self) -> StoresMessage {
        let stores = self.0.iter().map(|(url, options)| StoreMessage {
            url: url.clone(),
            options: options.0.clone(),
        });
        StoresMessage {
            stores: stores.collect(),
        }
    }

    pub(super) fn from_message(message: StoresMessage) -> Self {
        let stores = message.stores.into_iter();
        Self(stores.map(|s| (s.url, StoreOptions(s.options))).collect())
    }
}

fn parse(url: &str) -> Result<Url> {
    Url::parse(url).map_err(|e| exec_datafusion_err!("'{url}': {e}"))
}

type Made = HashMap<(String, StoreOptions), Arc<dyn ObjectStore>>;

/// Stores made so far by this process: tasks of the same query share connections.
static MADE: LazyLock<Mutex<Made>> = LazyLock::new(Mutex::default);

/// The most stores that are kept.
const MAX_MADE: usize = 64;

/// The store of `url` (scheme and authority) as `options` and the environment describe it.
///
/// # Errors
/// When an option is unknown or the store cannot be made.
pub(super) async fn open(url: &Url, options: &StoreOptions) -> Result<Arc<dyn ObjectStore>> {
    let key = (url.to_string(), options.clone());
    if let Some(store) = made().get(&key) {
        return Ok(Arc::clone(store));
    }
    let registry: Arc<dyn ObjectStoreRegistry> = Arc::<DefaultObjectStoreRegistry>::default();
    register(&registry, url.as_str(), options).await?;
    let store = registry.get_store(url)?;
    let mut made = made();
    if made.len() >= MAX_MADE {
        made.clear();
    }
    made.insert(key, Arc::clone(&store));
    Ok(store)
}

fn made() -> std::sync::MutexGuard<'static, Made> {
    MADE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The stores of a scheduler or executor: what is registered, else one that decides when it is used
/// whether it is one that has been registered since, or one from the environment.
#[derive(Debug, Default)]
struct EnvironmentStores {
    registered: Arc<DefaultObjectStoreRegistry>,
}

impl ObjectStoreRegistry for EnvironmentStores {
    fn register_store(
        &self,
        url: &Url,
        store: Arc<dyn ObjectStore>,
    ) -> Option<Arc<dyn ObjectStore>> {
        self.registered.register_store(url, store)
    }

    fn deregister_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        self.registered.deregister_store(url)
    }

    fn get_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        let registered = self.registered.get_store(url);
        if registered.is_ok() || !is_in_environment(url) {
            return registered;
        }
        let base = store_url(url.as_str())
            .ok_or_else(|| exec_datafusion_err!("there is no object store for '{url}'"))?;
        let store = DeferredStore::registered(parse(&base)?, Arc::clone(&self.registered));
        Ok(Arc::new(store))
    }
}

/// Whether an environment may describe the store of a URL.
fn is_in_environment(url: &Url) -> bool {
    match url.scheme() {
        "s3" | "s3a" | "gs" | "gcs" => true,
        // Without the feature, weights from the web have their own way, which is taken when there
        // is no store.
        "hf" | "http" | "https" => cfg!(feature = "http"),
        _ => false,
    }
}

/// A runtime whose stores are made from the environment. It remembers no listing: it would not
/// notice what other machines write.
pub(super) fn runtime_env() -> RuntimeEnvBuilder {
    RuntimeEnvBuilder::new()
        .with_object_store_registry(Arc::<EnvironmentStores>::default())
        .with_object_list_cache_limit(0)
}

/// Weights for functions that come with a plan: from the stores of this machine's environment.
pub(super) fn weights_access() -> WeightsAccess {
    static STORES: LazyLock<Arc<EnvironmentStores>> = LazyLock::new(Arc::default);
    let stores: Arc<dyn ObjectStoreRegistry> = Arc::clone(&STORES) as _;
    WeightsAccess::new(Arc::new(SessionStores::from(stores)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_show_nothing_and_lose_nothing() {
        let given = HashMap::from([("aws.secret_access_key".to_owned(), "hush".to_owned())]);
        let mut stores = Stores::default();
        stores.insert("s3://bucket/folder/", StoreOptions::of(&given));
        let shown = format!("{:?}", stores.to_message());
        assert!(!shown.contains("hush"), "{shown}");
        assert_eq!(Stores::from_message(stores.to_message()), stores);
    }

    #[test]
    fn registering_a_store_does_not_panic() {
        // Ballista's own registry does: ballista_core::object_store::CustomObjectStoreRegistry.
        let runtime = runtime_env().build_arc().unwrap();
        let store: Arc<dyn ObjectStore> = Arc::new(object_store::memory::InMemory::new());
        let url = parse("s3://bucket").unwrap();
        runtime.register_object_store(&url, Arc::clone(&store));
        let found = runtime.object_store_registry.get_store(&url).unwrap();
        assert!(Arc::ptr_eq(&found, &store));
        let local = parse("file:///tmp").unwrap();
        assert!(runtime.object_store_registry.get_store(&local).is_ok());
        let unknown = parse("ftp://host").unwrap();
        let error = runtime.object_store_registry.get_store(&unknown);
        assert!(error.unwrap_err().to_string().contains("ftp://host"));
        let later = parse("s3://another").unwrap();
        assert!(runtime.object_store_registry.get_store(&later).is_ok());
    }
}
