//! How the stores that are made here send their requests.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use bytes::Bytes;
use datafusion::common::Result;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
    SpawnedReqwestConnector,
};
use url::form_urlencoded;

use super::answers::{of_other_region, without_details};
use super::made::Answered;
use super::pages::readable;
use super::requests::{count_failed, count_sent, leave_out};
use crate::io_runtime;

/// Connects on the I/O runtime.
#[derive(Debug)]
pub(super) struct Connector {
    inner: SpawnedReqwestConnector,
    answered: Answered,
}

impl Connector {
    pub(super) fn try_new(answered: &Answered) -> Result<Self> {
        Ok(Self {
            inner: SpawnedReqwestConnector::new(io_runtime::handle()?),
            answered: Arc::clone(answered),
        })
    }
}

/// A client that counts what `inner` sends.
#[cfg(feature = "http")]
pub(crate) fn counted(inner: HttpClient) -> HttpClient {
    let answered = Answered::default();
    HttpClient::new(Client { inner, answered })
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let inner = self.inner.connect(options)?;
        let answered = Arc::clone(&self.answered);
        Ok(HttpClient::new(Client { inner, answered }))
    }
}

/// Counts requests, and makes good what `object_store` leaves out: it sends a request again if no
/// answer comes, and the rest of an object if its content breaks off, but gives up if a page of a
/// listing breaks off.
#[derive(Debug)]
struct Client {
    inner: HttpClient,
    answered: Answered,
}

#[async_trait]
impl HttpService for Client {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        count_sent();
        let is_object = is_object(&request);
        let listing = listed_prefix(&request);
        let result = self.inner.execute(request).await;
        let result = match result {
            Ok(response) if is_object && response.status().is_success() => Ok(response),
            Ok(response) => buffered(response, listing.as_ref()).await,
            Err(e) => Err(e),
        };
        if let Ok(response) = &result
            && response.status().is_success()
        {
            self.answered.store(true, Ordering::Relaxed);
        }
        let may_succeed_later = match &result {
            Ok(response) => {
                let status = response.status();
                status.is_server_error() || matches!(status.as_u16(), 408 | 429)
            }
            Err(_) => true,
        };
        if may_succeed_later {
            count_failed();
        }
        result
    }
}

/// Whether the answer is the content of an object, which may be large and is read as it comes.
fn is_object(request: &HttpRequest) -> bool {
    let query = request.uri().query().unwrap_or_default();
    request.method().as_str() == "GET" && !query.contains("list-type=")
}

/// The bucket's address and the prefix of a request for a page of a listing.
fn listed_prefix(request: &HttpRequest) -> Option<(String, String)> {
    let uri = request.uri();
    let query = uri.query().unwrap_or_default();
    let value = |name| {
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        pairs.find_map(|(key, value)| (key == name).then(|| value.into_owned()))
    };
    value("list-type")?;
    let bucket = format!(
        "{}{}",
        uri.authority().map_or("", |a| a.as_str()),
        uri.path()
    );
    Some((bucket, value("prefix").unwrap_or_default()))
}

/// The answer with its whole body, so that a connection that breaks while it is read is the same
/// to `object_store` as one that breaks before: reason to try again. Of a page of a listing, what
/// `object_store` can name.
async fn buffered(
    response: HttpResponse,
    listing: Option<&(String, String)>,
) -> Result<HttpResponse, HttpError> {
    let is_error = !response.status().is_success();
    let (mut parts, body) = response.into_parts();
    let mut body = match body.bytes().await {
        Ok(body) => body,
        Err(e) => return Err(HttpError::new(HttpErrorKind::Interrupted, e)),
    };
    let region = parts.headers.get("x-amz-bucket-region");
    let region = region.and_then(|region| region.to_str().ok());
    let is_elsewhere = matches!(parts.status.as_u16(), 301 | 307)
        && region.is_some()
        && !parts.headers.contains_key("location");
    let changed = match std::str::from_utf8(&body) {
        Ok(text) if is_error => without_details(text, region),
        Ok(text) => listing.and_then(|(bucket, prefix)| {
            let page = readable(text, prefix)?;
            leave_out(bucket, &page.left_out);
            Some(page.text)
        }),
        Err(_) => None,
    };
    let changed = match region {
        Some(region) if is_elsewhere => changed.or_else(|| Some(of_other_region(region))),
        _ => changed,
    };
    // `object_store` keeps nothing of a redirection that does not say where to.
    if is_elsewhere && let Ok(bad_request) = 400_u16.try_into() {
        parts.status = bad_request;
    }
    if let Some(changed) = changed {
        body = Bytes::from(changed);
        parts.headers.remove("content-length");
    }
    Ok(HttpResponse::from_parts(parts, body.into()))
}
