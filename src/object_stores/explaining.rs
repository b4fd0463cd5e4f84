//! A store whose errors say what is wrong and what to do, to everybody who shows them.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{FutureExt, Stream, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    UploadPart,
};

use super::access::Access;
use super::errors::explained;
use crate::progress::Running;

/// A store, and its URL to name it by.
#[derive(Debug, Clone)]
pub(super) struct Explaining<T> {
    inner: T,
    bucket: Arc<str>,
}

impl<T> Explaining<T> {
    pub(super) fn new(inner: T, bucket: &url::Url) -> Self {
        let bucket = bucket.as_str().into();
        Self { inner, bucket }
    }

    fn on(&self, access: Access) -> impl Fn(Error) -> Error + Send + Sync + 'static {
        let bucket = Arc::clone(&self.bucket);
        move |error| explained(error, &bucket, access)
    }
}

impl<T: fmt::Display> fmt::Display for Explaining<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl<T: ObjectStore> ObjectStore for Explaining<T> {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let put = self.inner.put_opts(location, payload, options).await;
        put.map_err(self.on(Access::Write))
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let upload = self.inner.put_multipart_opts(location, options).await;
        Ok(Box::new(Explaining {
            inner: upload.map_err(self.on(Access::Write))?,
            bucket: Arc::clone(&self.bucket),
        }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let found = self.inner.get_opts(location, options).await;
        let mut found = found.map_err(self.on(Access::Read))?;
        found.payload = match found.payload {
            GetResultPayload::Stream(stream) => {
                GetResultPayload::Stream(stream.map_err(self.on(Access::Read)).boxed())
            }
            file @ GetResultPayload::File(..) => file,
        };
        Ok(found)
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let found = self.inner.get_ranges(location, ranges).await;
        found.map_err(self.on(Access::Read))
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let deleted = self.inner.delete_stream(locations);
        deleted.map_err(self.on(Access::Delete)).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (listed, listing) = (self.inner.list(prefix), Running::listing());
        shown(listed.map_err(self.on(Access::Read)), listing)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let (listed, listing) = (
            self.inner.list_with_offset(prefix, offset),
            Running::listing(),
        );
        shown(listed.map_err(self.on(Access::Read)), listing)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let _listing = Running::listing();
        let listed = self.inner.list_with_delimiter(prefix).await;
        listed.map_err(self.on(Access::Read))
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let copied = self.inner.copy_opts(from, to, options).await;
        copied.map_err(self.on(Access::Write))
    }
}

/// What is listed is a stage of the statement until the last of it is there.
fn shown<T: Send + 'static>(
    listed: impl Stream<Item = T> + Send + 'static,
    listing: Running,
) -> BoxStream<'static, T> {
    let listed = listed.inspect(move |_| {
        let _ = &listing;
    });
    listed.boxed()
}

#[async_trait]
impl MultipartUpload for Explaining<Box<dyn MultipartUpload>> {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let explain = self.on(Access::Write);
        let part = self.inner.put_part(data);
        async move { part.await.map_err(explain) }.boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let completed = self.inner.complete().await;
        completed.map_err(self.on(Access::Write))
    }

    async fn abort(&mut self) -> Result<()> {
        let aborted = self.inner.abort().await;
        aborted.map_err(self.on(Access::Write))
    }
}
