//! A store that is opened when it is used.
//!
//! Readers of files take their store while a plan is decoded, before the operator that brings the
//! store's options along is. What they take is therefore not yet a store. And decoding cannot wait
//! for one: finding credentials may take a request.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use datafusion::execution::object_store::{DefaultObjectStoreRegistry, ObjectStoreRegistry};
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryFutureExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};
use url::Url;

use super::stores::{StoreOptions, open};

/// A store by its URL (scheme and authority).
#[derive(Debug, Clone)]
pub(super) struct DeferredStore {
    url: Url,
    choice: Choice,
}

#[derive(Debug, Clone)]
enum Choice {
    /// The store that is registered by the time of a request, else the one that the environment
    /// describes.
    Registered(Arc<DefaultObjectStoreRegistry>),
    /// The store that these options and the environment describe.
    Options(StoreOptions),
}

impl DeferredStore {
    pub(super) fn registered(url: Url, registered: Arc<DefaultObjectStoreRegistry>) -> Self {
        let choice = Choice::Registered(registered);
        Self { url, choice }
    }

    pub(super) fn with_options(url: Url, options: StoreOptions) -> Self {
        let choice = Choice::Options(options);
        Self { url, choice }
    }

    async fn store(&self) -> Result<Arc<dyn ObjectStore>> {
        let none = StoreOptions::default();
        let options = match &self.choice {
            Choice::Registered(registered) => match registered.get_store(&self.url) {
                Ok(store) => return Ok(store),
                Err(_) => &none,
            },
            Choice::Options(options) => options,
        };
        let opened = open(&self.url, options).await;
        opened.map_err(|e| object_store::Error::Generic {
            store: "object store",
            source: Box::new(e),
        })
    }

    /// A stream of the store that is found first.
    fn stream<T: Send + 'static>(
        &self,
        open: impl FnOnce(&dyn ObjectStore) -> BoxStream<'static, Result<T>> + Send + 'static,
    ) -> BoxStream<'static, Result<T>> {
        let this = self.clone();
        let opened = async move { this.store().await }.map_ok(move |store| open(store.as_ref()));
        opened.into_stream().try_flatten().boxed()
    }
}

impl fmt::Display for DeferredStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.url)
    }
}

#[async_trait]
impl ObjectStore for DeferredStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let store = self.store().await?;
        store.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let store = self.store().await?;
        store.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.store().await?.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.store().await?.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.stream(|store| store.delete_stream(locations))
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let prefix = prefix.cloned();
        self.stream(move |store| store.list(prefix.as_ref()))
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let (prefix, offset) = (prefix.cloned(), offset.clone());
        self.stream(move |store| store.list_with_offset(prefix.as_ref(), &offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.store().await?.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.store().await?.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.store().await?.rename_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt;
    use object_store::memory::InMemory;

    use super::*;

    #[tokio::test]
    async fn what_is_registered_later_is_used() {
        let registered = Arc::new(DefaultObjectStoreRegistry::new());
        let url = Url::parse("s3://bucket").unwrap();
        let deferred = DeferredStore::registered(url.clone(), Arc::clone(&registered));
        let path = Path::from("folder/x");
        for content in ["first", "second"] {
            let store = InMemory::new();
            store.put(&path, content.into()).await.unwrap();
            registered.register_store(&url, Arc::new(store));
            let found = deferred.get(&path).await.unwrap().bytes().await.unwrap();
            assert_eq!(found, content);
        }
        let folder = Path::from("folder");
        let listed: Vec<_> = deferred.list(Some(&folder)).try_collect().await.unwrap();
        assert_eq!(listed.len(), 1);
        deferred.delete(&path).await.unwrap();
        assert!(deferred.head(&path).await.is_err());
    }
}
