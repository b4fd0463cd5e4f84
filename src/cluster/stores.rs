//! Object stores on machines that did not execute `CREATE EXTERNAL TABLE`.
//!
//! A statement's `aws.…` and `gcp.…` options configure the stores of the session that runs it. On a
//! cluster that session is the client's; scheduler and executors make their stores from their own
//! environment. Options therefore travel inside the plan, in nodes whose `Debug` and `Display` do
//! not show them, to every machine that opens the store.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use datafusion::common::{Result, exec_datafusion_err};
use datafusion::execution::object_store::{
    DefaultObjectStoreRegistry, ObjectStoreRegistry, ObjectStoreUrl,
};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use object_store::ObjectStore;
use url::Url;

use super::deferred::DeferredStore;
use super::messages::{StoreMessage, StoresMessage};
use crate::object_stores::address::split_scheme;
use crate::object_stores::{is_store_option, register_object_store};

/// Options of one statement; not shown, because they may be secrets.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct StoreOptions(BTreeMap<String, String>);

impl StoreOptions {
    /// Those of `options` that are for a store and not for a table or format.
    pub(super) fn of(options: &HashMap<String, String>) -> Self {
        let options = options.iter().filter(|(key, _)| is_store_option(key));
        Self(options.map(|(k, v)| (k.clone(), v.clone())).collect())
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreOptions({} not shown)", self.0.len())
    }
}

/// Stores with their options, by URL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stores(BTreeMap<String, StoreOptions>);

impl Stores {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Notes that the store of `location` is reached with `options`, if there are any.
    pub(super) fn insert(&mut self, location: &str, options: StoreOptions) {
        if let Some(url) = store_url(location)
            && !options.is_empty()
        {
            self.0.insert(url, options);
        }
    }

    /// The stores among `urls`.
    pub(super) fn only<'a>(&self, urls: impl Iterator<Item = &'a ObjectStoreUrl>) -> Self {
        let known = urls.filter_map(|url| {
            let url = store_url(url.as_str())?;
            let options = self.0.get(&url)?.clone();
            Some((url, options))
        });
        Self(known.collect())
    }

    /// The store of `location`, if it is here.
    pub(super) fn only_location(&self, location: &str) -> Self {
        let url = store_url(location);
        let store = url.and_then(|url| Some((self.0.get(&url)?.clone(), url)));
        Self(
            store
                .into_iter()
                .map(|(options, url)| (url, options))
                .collect(),
        )
    }

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

    pub(super) fn urls(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
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

/// Scheme and authority of a URL; `None` for the local disk.
fn store_url(location: &str) -> Option<String> {
    let (scheme, rest) = split_scheme(location)?;
    let authority = rest.split('/').next().unwrap_or_default();
    (scheme != "file").then(|| format!("{scheme}://{authority}"))
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
    let runtime = Arc::new(RuntimeEnv::default());
    let map = options.0.clone().into_iter().collect();
    register_object_store(&runtime, url.as_str(), &map).await?;
    let store = runtime.object_store_registry.get_store(url)?;
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
        "http" | "https" => cfg!(feature = "http"),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn options(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        let pairs = pairs.iter().map(|(k, v)| ((*k).into(), (*v).into()));
        pairs.collect()
    }

    #[test]
    fn options_of_stores_are_told_from_others_and_not_shown() {
        let mut stores = Stores::default();
        let given = options(&[("aws.secret_access_key", "hush"), ("format.delimiter", ";")]);
        stores.insert("s3://bucket/folder/", StoreOptions::of(&given));
        stores.insert("/local/folder", StoreOptions::of(&given));
        stores.insert(
            "s3://other/",
            StoreOptions::of(&options(&[("maxLength", "7")])),
        );
        assert_eq!(stores.urls().collect::<Vec<_>>(), ["s3://bucket"]);
        let shown = format!("{stores:?} {:?}", stores.to_message());
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
