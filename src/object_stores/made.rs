//! Which stores of a session were made here, and from what.
//!
//! A registry knows a bucket by its name alone, and a name may stand for a bucket of Amazon's and for
//! one of another server. What a statement says about a store that tables live in already is therefore
//! compared with what was said before: credentials may be renewed, but neither a later statement nor
//! the environment moves a table to another server or to other people's keys unseen.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use datafusion::common::{Result, plan_err};
use datafusion::execution::object_store::ObjectStoreRegistry;
use datafusion::execution::runtime_env::RuntimeEnv;
use object_store::ObjectStore;
use url::Url;

use super::store_options::StoreOptions;

/// Whether a store has ever answered a request well. One that never has, because its address or its
/// keys are wrong, is no place that a table lives in, and may be replaced by any other.
pub(super) type Answered = Arc<AtomicBool>;

/// How a store was made.
struct Made {
    registry: Weak<dyn ObjectStoreRegistry>,
    url: Url,
    /// Gone when a program has registered another store for the bucket.
    store: Weak<dyn ObjectStore>,
    options: StoreOptions,
    endpoint: Option<String>,
    answered: Answered,
}

static MADE: Mutex<Vec<Made>> = Mutex::new(vec![]);

/// Notes how the store of `url` was made.
pub(super) fn note(
    registry: &Arc<dyn ObjectStoreRegistry>,
    url: &Url,
    store: &Arc<dyn ObjectStore>,
    options: &StoreOptions,
    answered: Answered,
) {
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    made.retain(|made| {
        made.registry.strong_count() > 0
            && made.store.strong_count() > 0
            && !(made.is_in(registry) && made.url == *url)
    });
    made.push(Made {
        registry: Arc::downgrade(registry),
        url: url.clone(),
        store: Arc::downgrade(store),
        options: options.clone(),
        endpoint: endpoint(options),
        answered,
    });
}

/// Whether `options` describe the store of `url` as it is.
///
/// # Errors
/// When they describe another place, or leave out the credentials that the store has. Values are not
/// shown.
pub(super) fn is_same(
    registry: &Arc<dyn ObjectStoreRegistry>,
    url: &Url,
    options: &StoreOptions,
) -> Result<bool> {
    let made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let earlier = made
        .iter()
        .find(|made| made.is_in(registry) && made.url == *url);
    let Some(earlier) = earlier else {
        return Ok(false);
    };
    if earlier.options == *options {
        return Ok(true);
    }
    if !earlier.answered.load(Ordering::Relaxed) {
        return Ok(false);
    }
    let account = |options: &StoreOptions| options.get("azure.account_name").cloned();
    let differs = if earlier.endpoint != endpoint(options) {
        match url.scheme() {
            "az" | "azure" | "abfs" | "abfss" => "name another 'azure.endpoint' than",
            _ => "name another 'aws.endpoint' than",
        }
    } else if account(&earlier.options) != account(options) {
        "name another 'azure.account_name' than"
    } else if earlier.options.name_credentials() && !options.name_credentials() {
        "lack the credentials that"
    } else {
        return Ok(false);
    };
    plan_err!(
        "'{}' is in use by this session, and these options {differs} it was opened with: \
         earlier tables would be read from elsewhere or by somebody else; leave all options of the \
         store out to go on with it, repeat its endpoint and credentials, or use another session",
        super::address::shown(url.as_str())
    )
}

/// Another container that the session has under the host of `url`: a registry knows `abfss://` by the
/// host alone, which is the account's, and would read one container for the other.
pub(super) fn other_container(
    registry: &Arc<dyn ObjectStoreRegistry>,
    url: &Url,
) -> Option<String> {
    let made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let other = made.iter().find(|made| {
        made.is_in(registry)
            && made.url.host() == url.host()
            && made.url.scheme() == url.scheme()
            && made.url.username() != url.username()
    });
    other.map(|made| made.url.username().to_owned())
}

/// The stores that statements of a session have opened, such as `s3://bucket`.
pub fn opened_stores(runtime: &RuntimeEnv) -> Vec<Url> {
    let made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let opened = made
        .iter()
        .filter(|made| made.is_in(&runtime.object_store_registry));
    opened.map(|made| made.url.clone()).collect()
}

/// Whether a store was made here, and not by the program.
pub(crate) fn is_made_here(store: &Arc<dyn ObjectStore>) -> bool {
    let made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    made.iter()
        .any(|made| std::ptr::addr_eq(made.store.as_ptr(), Arc::as_ptr(store)))
}

impl Made {
    /// Whether this registry has the store, and it was not replaced.
    fn is_in(&self, registry: &Arc<dyn ObjectStoreRegistry>) -> bool {
        let is_same = std::ptr::addr_eq(self.registry.as_ptr(), Arc::as_ptr(registry));
        is_same && self.store.strong_count() > 0
    }
}

/// The server that `options` or else the environment names; `None` is Amazon's or Google's.
fn endpoint(options: &StoreOptions) -> Option<String> {
    let named = ["aws.endpoint", "aws.oss", "aws.cos", "azure.endpoint"];
    let named = named.iter().find_map(|key| options.get(key).cloned());
    let endpoint = named.or_else(endpoint_of_environment)?;
    Some(endpoint.trim_end_matches('/').to_ascii_lowercase())
}

#[cfg(feature = "aws")]
fn endpoint_of_environment() -> Option<String> {
    use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};

    let environment = AmazonS3Builder::from_env();
    environment
        .get_config_value(&AmazonS3ConfigKey::S3Endpoint)
        .or_else(|| environment.get_config_value(&AmazonS3ConfigKey::Endpoint))
}

#[cfg(not(feature = "aws"))]
fn endpoint_of_environment() -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use datafusion::execution::object_store::DefaultObjectStoreRegistry;
    use object_store::memory::InMemory;

    use super::*;

    fn options(pairs: &[(&str, &str)]) -> StoreOptions {
        let pairs = pairs.iter();
        StoreOptions(
            pairs
                .map(|(k, v)| (format!("aws.{k}"), (*v).to_owned()))
                .collect(),
        )
    }

    #[test]
    fn a_store_in_use_stays_where_it_is_and_its_keys_may_be_renewed() {
        let registry: Arc<dyn ObjectStoreRegistry> = Arc::<DefaultObjectStoreRegistry>::default();
        let url = Url::parse("s3://b").unwrap();
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let here = options(&[("endpoint", "http://a"), ("access_key_id", "hush")]);
        let answered = Answered::default();
        note(&registry, &url, &store, &here, Arc::clone(&answered));

        let same = |options: &StoreOptions| is_same(&registry, &url, options);
        let elsewhere = options(&[("endpoint", "http://b"), ("access_key_id", "hush")]);
        let nobody = options(&[("endpoint", "http://a"), ("region", "x")]);
        assert!(same(&here).unwrap());
        // Nothing has come from it yet: the address may have been mistyped.
        assert!(!same(&elsewhere).unwrap());
        answered.store(true, Ordering::Relaxed);
        assert!(same(&here).unwrap());
        for (options, what) in [
            (&elsewhere, "another 'aws.endpoint'"),
            (&nobody, "lack the credentials"),
        ] {
            let error = same(options).unwrap_err().to_string();
            assert!(
                error.contains(what) && error.contains("'s3://b'"),
                "{error}"
            );
            assert!(
                !error.contains("http:") && !error.contains("hush"),
                "{error}"
            );
        }
        let renewed = options(&[("endpoint", "HTTP://A/"), ("access_key_id", "new")]);
        assert!(!same(&renewed).unwrap());

        // Another session, another bucket, a store that is gone.
        let other: Arc<dyn ObjectStoreRegistry> = Arc::<DefaultObjectStoreRegistry>::default();
        assert!(!is_same(&other, &url, &elsewhere).unwrap());
        let bucket = Url::parse("s3://c").unwrap();
        assert!(!is_same(&registry, &bucket, &elsewhere).unwrap());
        drop(store);
        assert!(!same(&elsewhere).unwrap());
    }
}
