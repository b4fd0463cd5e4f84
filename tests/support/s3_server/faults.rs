//! The layer around the service: latency, failures, and counters.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::future::pending;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::header::{CONTENT_LENGTH, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use s3s::service::S3Service;

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A page of a listing.
    List,
    /// The content of an object.
    Get,
    /// The metadata of an object or bucket.
    Head,
    /// An object, or a part or step of a multipart upload.
    Put,
    /// Deletion of one or many objects.
    Delete,
}

impl Kind {
    const COUNT: usize = 5;

    fn of(method: &Method, uri: &Uri) -> Self {
        let query = uri.query().unwrap_or_default();
        let has_key = uri.path().trim_start_matches('/').contains('/');
        match *method {
            Method::GET if query.contains("list-type") || !has_key => Self::List,
            Method::GET => Self::Get,
            Method::HEAD => Self::Head,
            Method::DELETE => Self::Delete,
            Method::POST if query.starts_with("delete") => Self::Delete,
            _ => Self::Put,
        }
    }
}

/// How a request fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The answer is 500 InternalError.
    InternalError,
    /// The answer is 503 SlowDown.
    SlowDown,
    /// The connection is reset before the request is carried out.
    Reset,
    /// The connection is reset after the request was carried out: only the answer is lost.
    LostAnswer,
    /// The body of the answer ends in the middle.
    Truncated,
    /// The body of the answer comes in small pieces, with pauses; nothing is lost.
    SlowBody,
    /// There is no answer until the client gives up.
    Stall,
    /// The answer has this status and this document, and names the region as S3 does beside a document.
    Answer {
        status: u16,
        region: Option<&'static str>,
        document: &'static str,
    },
}

/// What a server may not know of S3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// `PUT` on the condition that there is no such object.
    ConditionalPut,
    /// Deletion of several objects by one request.
    BulkDelete,
    /// Deletion of any object.
    Delete,
    /// Copies of objects within the server.
    Copy,
}

impl Part {
    fn is_needed_by(self, request: &Request<Incoming>) -> bool {
        match self {
            Self::ConditionalPut => request.headers().contains_key("if-none-match"),
            Self::BulkDelete => {
                let query = request.uri().query().unwrap_or_default();
                *request.method() == Method::POST && query.starts_with("delete")
            }
            Self::Delete => Kind::of(request.method(), request.uri()) == Kind::Delete,
            Self::Copy => request.headers().contains_key("x-amz-copy-source"),
        }
    }
}

/// Ends a connection.
#[derive(Debug)]
pub(super) struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the connection is cut on purpose")
    }
}

impl std::error::Error for Cut {}

type Body = UnsyncBoxBody<Bytes, Cut>;

/// Counts and disturbs requests.
#[derive(Debug, Default)]
pub(super) struct Layer {
    plan: Mutex<Plan>,
    requests: [AtomicUsize; Kind::COUNT],
    failures: AtomicUsize,
    in_flight: Arc<AtomicUsize>,
    most_in_flight: AtomicUsize,
    /// Headers of Amazon's that came, each as `name: value`.
    headers: Mutex<BTreeSet<String>>,
    /// The bytes of each part of each multipart upload, in the order of the parts.
    parts: Mutex<BTreeMap<String, BTreeMap<usize, u64>>>,
}

#[derive(Debug, Default)]
struct Plan {
    latency: Duration,
    share: f64,
    kinds: Vec<Kind>,
    failures: Vec<Failure>,
    seed: u64,
    /// How often each request was made.
    attempts: HashMap<String, u64>,
    next: Vec<Next>,
    /// Parts of S3 that the server does not know, and how it answers.
    unknown: Vec<(Part, StatusCode)>,
}

#[derive(Debug)]
struct Next {
    times: usize,
    kind: Kind,
    url_part: String,
    failure: Failure,
}

impl Plan {
    fn decide(&mut self, kind: Kind, url: &str) -> Option<Failure> {
        let next = self
            .next
            .iter_mut()
            .find(|next| next.times > 0 && next.kind == kind && url.contains(&next.url_part));
        if let Some(next) = next {
            next.times -= 1;
            return Some(next.failure);
        }
        if self.share <= 0.0 || !self.kinds.contains(&kind) {
            return None;
        }
        let attempt = self.attempts.entry(url.to_owned()).or_default();
        *attempt += 1;
        let mut hasher = DefaultHasher::new();
        (self.seed, url, *attempt).hash(&mut hasher);
        let random = hasher.finish();
        let fails = ((random >> 32) as f64) < self.share * f64::from(u32::MAX);
        let which = (random & 0xffff_ffff) as usize % self.failures.len();
        fails.then(|| self.failures[which])
    }
}

/// A request that is being worked on.
struct InFlight(Arc<AtomicUsize>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Layer {
    pub(super) fn set_latency(&self, latency: Duration) {
        self.plan.lock().unwrap().latency = latency;
    }

    pub(super) fn set_failures(&self, share: f64, kinds: &[Kind], failures: &[Failure], seed: u64) {
        let mut plan = self.plan.lock().unwrap();
        plan.share = share;
        plan.kinds = kinds.to_vec();
        plan.failures = failures.to_vec();
        plan.seed = seed;
    }

    pub(super) fn fail_next(&self, times: usize, kind: Kind, url_part: &str, failure: Failure) {
        self.plan.lock().unwrap().next.push(Next {
            times,
            kind,
            url_part: url_part.to_owned(),
            failure,
        });
    }

    pub(super) fn forget(&self, part: Part, status: u16) {
        let status = StatusCode::from_u16(status).unwrap();
        self.plan.lock().unwrap().unknown.push((part, status));
    }

    pub(super) fn requests(&self, kind: Kind) -> usize {
        self.requests[kind as usize].load(Ordering::SeqCst)
    }

    pub(super) fn failures(&self) -> usize {
        self.failures.load(Ordering::SeqCst)
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }

    pub(super) fn most_in_flight(&self) -> usize {
        self.most_in_flight.load(Ordering::SeqCst)
    }

    pub(super) fn has_come(&self, header: &str) -> bool {
        self.headers.lock().unwrap().contains(header)
    }

    pub(super) fn uploads(&self) -> Vec<Vec<u64>> {
        let parts = self.parts.lock().unwrap();
        parts
            .values()
            .map(|parts| parts.values().copied().collect())
            .collect()
    }

    fn note_part(&self, request: &Request<Incoming>) {
        let query = request.uri().query().unwrap_or_default();
        let value = |name| query.split('&').find_map(|pair| pair.strip_prefix(name));
        let length = request.headers().get(CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        if let (Some(number), Some(upload), Some(length)) =
            (value("partNumber="), value("uploadId="), length)
        {
            let mut parts = self.parts.lock().unwrap();
            let upload = parts.entry(upload.to_owned()).or_default();
            upload.insert(number.parse().unwrap(), length);
        }
    }

    fn note_headers(&self, request: &Request<Incoming>) {
        let mut noted = self.headers.lock().unwrap();
        for name in ["x-amz-request-payer", "x-amz-content-sha256"] {
            if let Some(value) = request.headers().get(name) {
                noted.insert(format!("{name}: {}", value.to_str().unwrap_or_default()));
            }
        }
    }

    pub(super) fn reset_counters(&self) {
        let counters = self.requests.iter();
        for counter in counters.chain([&self.failures, &self.most_in_flight]) {
            counter.store(0, Ordering::SeqCst);
        }
    }

    pub(super) async fn call(
        &self,
        service: &S3Service,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Cut> {
        let kind = Kind::of(request.method(), request.uri());
        self.note_headers(&request);
        self.note_part(&request);
        self.requests[kind as usize].fetch_add(1, Ordering::SeqCst);
        let in_flight = InFlight(Arc::clone(&self.in_flight));
        let now = self.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_in_flight.fetch_max(now, Ordering::SeqCst);

        let unknown = {
            let plan = self.plan.lock().unwrap();
            let mut unknown = plan.unknown.iter();
            let unknown = unknown.find(|(part, _)| part.is_needed_by(&request));
            unknown.map(|(_, status)| *status)
        };
        if let Some(status) = unknown {
            let code = match status {
                StatusCode::FORBIDDEN => "AccessDenied",
                _ => "NotImplemented",
            };
            return refuse(request, status, code).await;
        }
        let (failure, latency) = {
            let mut plan = self.plan.lock().unwrap();
            let url = request.uri().to_string();
            (plan.decide(kind, &url), plan.latency)
        };
        if failure.is_some() {
            self.failures.fetch_add(1, Ordering::SeqCst);
        }
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        match failure {
            Some(Failure::InternalError) => {
                return refuse(request, StatusCode::INTERNAL_SERVER_ERROR, "InternalError").await;
            }
            Some(Failure::SlowDown) => {
                return refuse(request, StatusCode::SERVICE_UNAVAILABLE, "SlowDown").await;
            }
            Some(Failure::Answer {
                status,
                region,
                document,
            }) => {
                let status = StatusCode::from_u16(status).unwrap();
                let mut answer = answer(request, status, document.to_owned()).await?;
                if let Some(region) = region {
                    let region = HeaderValue::from_static(region);
                    answer.headers_mut().insert("x-amz-bucket-region", region);
                }
                return Ok(answer);
            }
            Some(Failure::Reset) => return Err(Cut),
            Some(Failure::Stall) => pending::<()>().await,
            Some(Failure::LostAnswer | Failure::Truncated | Failure::SlowBody) | None => {}
        }
        let told = secrets_told(&request);
        let response = hyper::service::Service::call(service, request);
        let (mut parts, mut body) = response.await.map_err(|_| Cut)?.into_parts();
        if parts.status.is_client_error() {
            let text = read(body).await?;
            let text = String::from_utf8_lossy(&text).replace("</Error>", &told);
            parts.headers.insert(CONTENT_LENGTH, text.len().into());
            body = s3s::Body::from(text);
        }
        let body = match failure {
            Some(Failure::LostAnswer) => return Err(Cut),
            Some(Failure::Truncated) => truncated(&read(body).await?)?,
            Some(Failure::SlowBody) => slow(&read(body).await?),
            _ => body.map_err(|_| Cut).boxed_unsync(),
        };
        // The request is in flight until its whole answer is sent or given up.
        let body = BodyExt::map_frame(body, move |frame| {
            let _ = &in_flight;
            frame
        });
        Ok(Response::from_parts(parts, body.boxed_unsync()))
    }
}

/// S3 repeats in an error what was signed and the token that it refused. So does this layer, so
/// that a test can see that nobody prints it.
fn secrets_told(request: &Request<Incoming>) -> String {
    let token = request.headers().get("x-amz-security-token");
    let token = token.map_or("", |token| token.to_str().unwrap_or_default());
    format!(
        "<Token-0>{token}</Token-0>\
         <CanonicalRequest>x-amz-security-token:{token}</CanonicalRequest></Error>"
    )
}

async fn read(body: s3s::Body) -> Result<Bytes, Cut> {
    Ok(BodyExt::collect(body).await.map_err(|_| Cut)?.to_bytes())
}

/// Answers with an error in S3's words.
async fn refuse(
    request: Request<Incoming>,
    status: StatusCode,
    code: &str,
) -> Result<Response<Body>, Cut> {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <Error><Code>{code}</Code><Message>injected by the test</Message></Error>"
    );
    answer(request, status, text).await
}

/// Answers with `text`. The request is read to its end first, so that the client is ready for it.
async fn answer(
    request: Request<Incoming>,
    status: StatusCode,
    text: String,
) -> Result<Response<Body>, Cut> {
    BodyExt::collect(request.into_body())
        .await
        .map_err(|_| Cut)?;
    let body = Full::new(Bytes::from(text)).map_err(|never| match never {});
    Response::builder()
        .status(status)
        .body(body.boxed_unsync())
        .map_err(|_| Cut)
}

fn truncated(content: &Bytes) -> Result<Body, Cut> {
    if content.is_empty() {
        return Err(Cut);
    }
    let half = content.slice(..content.len() / 2);
    let frames = stream::iter([Ok(Frame::data(half)), Err(Cut)]).then(|frame| async {
        // The first half leaves before the connection is reset.
        if frame.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        frame
    });
    Ok(StreamBody::new(frames).boxed_unsync())
}

fn slow(content: &Bytes) -> Body {
    let size = content.len().div_ceil(8).max(1);
    let pieces: Vec<Bytes> = (0..content.len())
        .step_by(size)
        .map(|start| content.slice(start..content.len().min(start + size)))
        .collect();
    let frames = stream::iter(pieces).then(|piece| async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        Ok(Frame::data(piece))
    });
    StreamBody::new(frames).boxed_unsync()
}
