//! Reads one object by its URI, from wherever it lies.

use std::collections::HashMap;
#[cfg(feature = "http")]
use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use datafusion::common::config::ConfigOptions;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::{DataFusionError, Result, exec_datafusion_err, exec_err};
use datafusion::common::{internal_datafusion_err, plan_datafusion_err};
use datafusion::execution::object_store::{DefaultObjectStoreRegistry, ObjectStoreRegistry};
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStore};
use tokio::sync::{Mutex, Semaphore};
use url::Url;

use super::access::BlobCall;
use super::allowed::Allowed;
use super::uri::Uri;
use crate::NOTICE;
use crate::binary_file::content::MAX_VIEW_LENGTH;
use crate::config::FeaturizeOptions;
use crate::object_stores::address::shown;
use crate::object_stores::errors::{is_missing_object, told};
use crate::object_stores::reading::{Effort, Read, read};
use crate::object_stores::{StoreOptions, local, register};

/// What is remembered of buckets and hosts, at most; a table of links may name any number of them.
const MOST_REMEMBERED: usize = 1000;

/// What a URI came to.
#[derive(Debug)]
pub(super) enum Blob {
    Bytes(Bytes),
    /// It cannot be had, which is no error of this call.
    Null,
    /// It has this many bytes and is longer than there is room for now.
    Larger(u64),
}

/// Reads objects for one call of a query, or one operator of it.
pub(super) struct BlobReader {
    call: BlobCall,
    registry: Arc<dyn ObjectStoreRegistry>,
    allowed: Arc<Allowed>,
    max_length: u64,
    /// One permit a request in flight.
    requests: Semaphore,
    buckets: Mutex<HashMap<String, Arc<dyn ObjectStore>>>,
    #[cfg(feature = "http")]
    hosts: Mutex<HashSet<String>>,
    #[cfg(feature = "http")]
    web: OnceLock<super::web::Web>,
    failed: AtomicUsize,
    first_failure: OnceLock<String>,
}

impl BlobReader {
    /// # Errors
    /// When a setting is wrong.
    pub(super) fn try_new(
        call: &BlobCall,
        registry: Arc<dyn ObjectStoreRegistry>,
        config: &ConfigOptions,
        concurrency: usize,
    ) -> Result<Self> {
        let settings = FeaturizeOptions::from_config(config);
        let local_hosts = settings.read_blob_local_hosts;
        let local_hosts = local_hosts.unwrap_or_else(|| !is_on_cluster(config));
        let max_length = settings.read_blob_max_length.unwrap_or(MAX_VIEW_LENGTH);
        Ok(Self {
            call: call.clone(),
            registry,
            allowed: Arc::new(Allowed::parse(&settings.read_blob_from, local_hosts)?),
            max_length: max_length.min(MAX_VIEW_LENGTH),
            requests: Semaphore::new(concurrency.clamp(1, Semaphore::MAX_PERMITS)),
            buckets: Mutex::default(),
            #[cfg(feature = "http")]
            hosts: Mutex::default(),
            #[cfg(feature = "http")]
            web: OnceLock::new(),
            failed: AtomicUsize::new(0),
            first_failure: OnceLock::new(),
        })
    }

    /// Reads the object at `uri` if there is room for its length.
    ///
    /// # Errors
    /// When it cannot be had and the call says that this is an error; the object is named.
    pub(super) async fn read(
        &self,
        uri: &str,
        room: impl FnMut(u64) -> bool + Send,
    ) -> Result<(Blob, Effort)> {
        match self.read_or_fail(uri, room).await {
            Err(e @ DataFusionError::Internal(_)) => Err(e),
            Err(e) if self.call.tries => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                self.first_failure.get_or_init(|| e.message().into_owned());
                Ok((Blob::Null, Effort::default()))
            }
            Err(e) => exec_err!("{}: {}", self.call.name(), e.message()),
            read => read,
        }
    }

    async fn read_or_fail(
        &self,
        text: &str,
        mut room: impl FnMut(u64) -> bool + Send,
    ) -> Result<(Blob, Effort)> {
        let uri = Uri::parse(text)?;
        self.allowed.check(&uri)?;
        let _permit = self
            .requests
            .acquire()
            .await
            .map_err(|e| internal_datafusion_err!("{e}"))?;
        let (store, bucket, path, decoded) = self.locate(uri).await?;
        let mut wanted = |length| length <= self.max_length && room(length);
        let (mut result, mut effort) = read(&store, &path, &mut wanted).await;
        if let (Err(StoreError::NotFound { .. }), Some(decoded)) = (&result, decoded) {
            let (second, more) = read(&store, &decoded, &mut wanted).await;
            effort.retries += more.retries;
            effort.time += more.time;
            if !matches!(second, Err(StoreError::NotFound { .. })) {
                result = second;
            }
        }
        let blob = match result {
            Ok(Read::Whole(bytes)) => Blob::Bytes(bytes),
            Ok(Read::Declined(length)) if length <= self.max_length => Blob::Larger(length),
            Ok(Read::Declined(length)) => {
                return exec_err!(
                    "'{}' has {length} bytes, more than the {} that may be read; raise \
                     featurize.read_blob_max_length (to 2 GiB at most)",
                    shown(text),
                    self.max_length
                );
            }
            Ok(Read::BrokenOff(sent, announced)) => {
                return exec_err!(
                    "the store sent {sent} bytes of '{}', which has {announced}, even when asked again; \
                     look for a proxy that cuts answers off, or run the query again",
                    shown(text)
                );
            }
            Err(e) => return Err(unreadable(text, &bucket, &e, self.call.tries)),
        };
        Ok((blob, effort))
    }

    /// The store of an object, the URL of the store, and the object's name there.
    async fn locate(&self, uri: Uri) -> Result<(Arc<dyn ObjectStore>, String, Path, Option<Path>)> {
        let (bucket, path, decoded) = match uri {
            Uri::Web(url) => return self.locate_on_web(&url).await,
            Uri::Stored {
                store,
                path,
                decoded,
            } => (store.as_str().to_owned(), path, decoded),
        };
        if bucket.starts_with("file:") {
            check_file(&path).await?;
        }
        Ok((self.bucket(&bucket).await?, bucket, path, decoded))
    }

    async fn bucket(&self, bucket: &str) -> Result<Arc<dyn ObjectStore>> {
        // Held until the store is made, so that it is made once.
        let mut buckets = self.buckets.lock().await;
        if let Some(store) = buckets.get(bucket) {
            return Ok(Arc::clone(store));
        }
        let url = Url::parse(bucket).map_err(|e| plan_datafusion_err!("'{bucket}': {e}"))?;
        let options = self.call.stores.options(bucket);
        let store = match options {
            Some(options) => {
                let made: Arc<dyn ObjectStoreRegistry> =
                    Arc::<DefaultObjectStoreRegistry>::default();
                register(&made, bucket, options).await?;
                made.get_store(&url)?
            }
            None => {
                register(&self.registry, bucket, &StoreOptions::default()).await?;
                self.registry.get_store(&url)?
            }
        };
        if buckets.len() >= MOST_REMEMBERED {
            buckets.clear();
        }
        buckets.insert(bucket.to_owned(), Arc::clone(&store));
        Ok(store)
    }

    #[cfg(feature = "http")]
    async fn locate_on_web(
        &self,
        url: &Url,
    ) -> Result<(Arc<dyn ObjectStore>, String, Path, Option<Path>)> {
        // A program may have a store of its own for a server; that of a cluster keeps to no rules.
        if self.allowed.local_hosts
            && url.query().is_none()
            && let Ok(store) = self.registry.get_store(url)
        {
            let path = Path::from_url_path(url.path())
                .map_err(|e| exec_datafusion_err!("'{}': {e}", shown(url.as_str())))?;
            return Ok((store, url.to_string(), path, None));
        }
        let host = url.host_str().unwrap_or_default();
        if !self.hosts.lock().await.contains(host) {
            self.allowed.check_host(url).await?;
            let mut hosts = self.hosts.lock().await;
            if hosts.len() >= MOST_REMEMBERED {
                hosts.clear();
            }
            hosts.insert(host.to_owned());
        }
        let web = match self.web.get() {
            Some(web) => web.clone(),
            None => {
                let web = super::web::Web::try_new(&self.allowed)?;
                self.web.get_or_init(|| web).clone()
            }
        };
        Ok((web.object(url)?, url.to_string(), Path::default(), None))
    }

    #[cfg(not(feature = "http"))]
    async fn locate_on_web(
        &self,
        url: &Url,
    ) -> Result<(Arc<dyn ObjectStore>, String, Path, Option<Path>)> {
        exec_err!(
            "'{}': this program was built without the feature 'http'; build it with that feature",
            shown(url.as_str())
        )
    }
}

/// Tells of what was NULL because it could not be had.
impl Drop for BlobReader {
    fn drop(&mut self) {
        if let Some(first) = self.first_failure.get() {
            let failed = self.failed.load(Ordering::Relaxed);
            let name = self.call.name();
            log::warn!(target: NOTICE, "{name}: {failed} NULL; the first: {first}");
        }
    }
}

impl std::fmt::Debug for BlobReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlobReader").finish_non_exhaustive()
    }
}

/// A pipe would be waited for, and a device may have no end.
async fn check_file(path: &Path) -> Result<()> {
    let name = path.clone();
    let refused = SpawnedTask::spawn_blocking(move || local::refuses(&name)).await;
    match refused.map_err(|e| internal_datafusion_err!("{e}"))? {
        Some(why) => exec_err!("'file:///{path}': {why}"),
        None => Ok(()),
    }
}

fn unreadable(uri: &str, bucket: &str, error: &StoreError, tries: bool) -> DataFusionError {
    let advice = match is_missing_object(error) && !tries {
        true => "; try_read_blob gives NULL for objects that cannot be had",
        false => "",
    };
    let why = refusal(error).unwrap_or_else(|| told(error, bucket));
    exec_datafusion_err!("could not read '{}': {why}{advice}", shown(uri))
}

/// What the text of the client around it does not say.
#[cfg(feature = "http")]
fn refusal(error: &StoreError) -> Option<String> {
    let first: &(dyn std::error::Error + 'static) = error;
    let mut causes = std::iter::successors(Some(first), |cause| cause.source());
    causes.find_map(|cause| {
        let refused = cause.downcast_ref::<super::web::Refused>()?;
        Some(refused.to_string())
    })
}

#[cfg(not(feature = "http"))]
fn refusal(_: &StoreError) -> Option<String> {
    None
}

#[cfg(feature = "cluster")]
fn is_on_cluster(config: &ConfigOptions) -> bool {
    let settings = config
        .extensions
        .get::<ballista_core::config::BallistaConfig>();
    settings.is_some()
}

#[cfg(not(feature = "cluster"))]
fn is_on_cluster(_: &ConfigOptions) -> bool {
    false
}
