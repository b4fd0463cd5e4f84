//! S3 as servers speak it that leave parts of it out.
//!
//! `object_store` deletes by requests for up to a thousand objects, also a single one, and some
//! servers answer 400, 405 or 501 to those. And it sends what was answered with 501, which means
//! that it will never be done, ten times more. This store sends such requests once, deletes one by
//! one where it has to, and copies by way of this machine.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use datafusion::common::Result as DataFusionResult;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::client::{HttpConnector, HttpRequest, HttpRequestBody};
use object_store::path::Path;
use object_store::signer::Signer;
use object_store::{
    ClientOptions, CopyMode, CopyOptions, Error, GetOptions, GetResult, ListResult,
    MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result, RetryConfig, WriteMultipart,
};

use super::errors::is_unknown_request;
use super::made::Answered;
use super::retry::Retries;
use super::transport::Connector;

/// Objects of one request.
const CHUNK: usize = 1000;
/// Requests in flight, where each deletes one object.
const CONCURRENCY: usize = 10;
/// How long the signature of a deletion holds.
const SIGNED_FOR: Duration = Duration::from_secs(300);

/// Amazon's client, and what it leaves out.
#[derive(Debug, Clone)]
pub(super) struct S3 {
    inner: Arc<AmazonS3>,
    /// The same, which does not try again.
    once: Arc<AmazonS3>,
    /// The server refuses requests that delete several objects.
    deletes_one_by_one: Arc<AtomicBool>,
    answered: Answered,
}

impl S3 {
    pub(super) fn try_new(builder: AmazonS3Builder, answered: &Answered) -> DataFusionResult<Self> {
        let connected = builder.with_http_connector(Connector::try_new(answered)?);
        let once = connected.clone().with_retry(RetryConfig {
            max_retries: 0,
            ..RetryConfig::default()
        });
        Ok(Self {
            inner: Arc::new(connected.build()?),
            once: Arc::new(once.build()?),
            deletes_one_by_one: Arc::default(),
            answered: Arc::clone(answered),
        })
    }

    /// Deletes the objects of one request; a result for each.
    async fn delete_all(&self, paths: Vec<Path>) -> Result<Vec<Result<Path>>> {
        if !self.deletes_one_by_one.load(Ordering::Relaxed) {
            match delete_by(&self.once, &paths).await {
                Err(e) if is_unknown_request(&e) => {}
                Err(_) => return delete_by(&self.inner, &paths).await,
                deleted => return deleted,
            }
        }
        let results: Vec<Result<Path>> = stream::iter(paths)
            .map(|path| async move { self.delete_one(&path).await.map(|()| path) })
            .buffered(CONCURRENCY)
            .collect()
            .await;
        if results.iter().any(Result::is_ok) {
            self.deletes_one_by_one.store(true, Ordering::Relaxed);
        }
        Ok(results)
    }

    async fn delete_one(&self, path: &Path) -> Result<()> {
        let mut retries = Retries::default();
        loop {
            let (status, said) = self.send_delete(path).await?;
            match status {
                200..300 | 404 => return Ok(()),
                429 | 500..600 if status != 501 && retries.again().await => {}
                403 => {
                    return Err(Error::PermissionDenied {
                        path: path.to_string(),
                        source: said.into(),
                    });
                }
                _ => {
                    return Err(generic(format!(
                        "'{path}' could not be deleted: Server returned non-2xx status code: \
                         {status} : {said}"
                    )));
                }
            }
        }
    }

    /// Status and text of the answer. The address holds a signature, so it is never shown.
    async fn send_delete(&self, path: &Path) -> Result<(u16, String)> {
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.method_mut() = "DELETE".parse().map_err(|_| generic("DELETE"))?;
        let method = request.method().clone();
        let url = self.inner.signed_url(method, path, SIGNED_FOR).await?;
        let address = url.as_str().parse();
        *request.uri_mut() = address.map_err(|_| generic(format!("'{path}' makes no address")))?;
        let options = ClientOptions::new().with_allow_http(url.scheme() == "http");
        let connector = Connector::try_new(&self.answered).map_err(|e| generic(e.to_string()))?;
        let answer = connector.connect(&options)?.execute(request).await;
        let answer = answer.map_err(|e| generic(format!("'{path}' could not be deleted: {e}")))?;
        let status = answer.status().as_u16();
        let said = answer.into_body().bytes().await.unwrap_or_default();
        Ok((status, String::from_utf8_lossy(&said).into_owned()))
    }
}

/// Bytes of a part of an object that is copied through this machine.
const PART: usize = 8 * 1024 * 1024;
/// Parts of it on their way at once.
const PARTS: usize = 4;

impl S3 {
    async fn copy_through_here(&self, from: &Path, to: &Path) -> Result<()> {
        let mut content = self.inner.get(from).await?.into_stream();
        let upload = self.inner.put_multipart(to).await?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, PART);
        let written = async {
            while let Some(bytes) = content.try_next().await? {
                upload.wait_for_capacity(PARTS).await?;
                upload.put(bytes);
            }
            Ok(())
        };
        match written.await {
            Ok(()) => upload.finish().await.map(|_| ()),
            Err(e) => {
                // What is wrong is told already.
                let _ = upload.abort().await;
                Err(e)
            }
        }
    }
}

async fn delete_by(store: &AmazonS3, paths: &[Path]) -> Result<Vec<Result<Path>>> {
    let paths: Vec<Result<Path>> = paths.iter().cloned().map(Ok).collect();
    let count = paths.len();
    let results: Vec<Result<Path>> = store
        .delete_stream(stream::iter(paths).boxed())
        .collect()
        .await;
    match <[Result<Path>; 1]>::try_from(results) {
        // One answer for all.
        Ok([Err(e)]) => Err(e),
        Ok([deleted]) => Ok(vec![deleted]),
        Err(results) => {
            debug_assert_eq!(results.len(), count);
            Ok(results)
        }
    }
}

fn generic(text: impl Into<String>) -> Error {
    Error::Generic {
        store: "S3",
        source: text.into().into(),
    }
}

impl fmt::Display for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for S3 {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        if options.mode == PutMode::Create {
            let put = self
                .once
                .put_opts(location, payload.clone(), options.clone());
            match put.await {
                Err(e @ Error::Generic { .. }) if !is_unknown_request(&e) => {}
                answered => return answered,
            }
        }
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
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let this = self.clone();
        locations
            .try_chunks(CHUNK)
            .then(move |paths| {
                let this = this.clone();
                async move { this.delete_all(paths.map_err(|e| e.1)?).await }
            })
            .map_ok(stream::iter)
            .try_flatten()
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        match self.once.copy_opts(from, to, options.clone()).await {
            Err(e) if is_unknown_request(&e) && options.mode == CopyMode::Overwrite => {
                self.copy_through_here(from, to).await
            }
            Err(Error::Generic { .. }) => self.inner.copy_opts(from, to, options).await,
            answered => answered,
        }
    }
}
