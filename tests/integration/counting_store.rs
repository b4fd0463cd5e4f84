//! A store in memory that counts what is asked of it.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use datafusion::prelude::SessionContext;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use url::Url;

/// An in-memory store that counts its GETs of content, and how many ran at once.
#[derive(Debug, Default)]
pub(crate) struct CountingStore {
    inner: InMemory,
    gets: AtomicUsize,
    running: AtomicUsize,
    most_running: AtomicUsize,
}

impl CountingStore {
    /// Registers a store with `objects` at `s3://counted/` of a session.
    pub(crate) async fn register(
        ctx: &SessionContext,
        objects: impl IntoIterator<Item = (String, Vec<u8>)>,
    ) -> Arc<Self> {
        let store = Arc::new(Self::default());
        for (path, content) in objects {
            let path = Path::parse(path).unwrap();
            store.inner.put(&path, content.into()).await.unwrap();
        }
        let url = Url::parse("s3://counted/").unwrap();
        ctx.register_object_store(&url, Arc::clone(&store) as _);
        store
    }

    /// GETs of content so far.
    pub(crate) fn gets(&self) -> usize {
        self.gets.load(Ordering::SeqCst)
    }

    /// The most GETs that were in flight at once.
    pub(crate) fn most_running(&self) -> usize {
        self.most_running.load(Ordering::SeqCst)
    }

    pub(crate) async fn remove(&self, path: &str) {
        self.inner
            .delete(&Path::parse(path).unwrap())
            .await
            .unwrap();
    }
}

impl fmt::Display for CountingStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CountingStore")
    }
}

#[async_trait]
impl ObjectStore for CountingStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        if options.head {
            return self.inner.get_opts(location, options).await;
        }
        self.gets.fetch_add(1, Ordering::SeqCst);
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_running.fetch_max(running, Ordering::SeqCst);
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        let result = self.inner.get_opts(location, options).await;
        self.running.fetch_sub(1, Ordering::SeqCst);
        result
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.gets.fetch_add(1, Ordering::SeqCst);
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
