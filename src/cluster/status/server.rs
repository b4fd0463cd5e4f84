//! The port for probes and numbers.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use datafusion::common::runtime::{JoinSet, SpawnedTask};
use datafusion::common::{Result, exec_datafusion_err};
use futures::future::BoxFuture;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// Questions at the same time, and how long one may take.
const CONNECTIONS: usize = 32;
const PATIENCE: Duration = Duration::from_secs(10);

/// How Prometheus wants to be told what it reads.
const NUMBERS: &str = "text/plain; version=0.0.4";
const WORDS: &str = "text/plain; charset=utf-8";

/// What is answered.
pub(in crate::cluster) struct Status {
    /// Whether the process can work; if not, why.
    pub(super) ready: Box<dyn Fn() -> Result<(), String> + Send + Sync>,
    pub(super) numbers: Box<dyn Fn() -> BoxFuture<'static, String> + Send + Sync>,
}

/// The port on which a process answers probes and gives its numbers.
#[derive(Debug)]
pub struct StatusPort(TcpListener);

impl StatusPort {
    /// # Errors
    /// When the address cannot be bound.
    pub async fn bind(address: SocketAddr) -> Result<Self> {
        let bound = TcpListener::bind(address).await;
        let listener = bound.map_err(|e| {
            exec_datafusion_err!("cannot listen on {address} for probes and metrics: {e}")
        })?;
        Ok(Self(listener))
    }

    /// Port 0 has become another by now.
    ///
    /// # Errors
    /// When the system does not know.
    pub fn address(&self) -> Result<SocketAddr> {
        Ok(self.0.local_addr()?)
    }

    /// Answers until what is returned is dropped.
    pub(in crate::cluster) fn serve(self, status: Status) -> SpawnedTask<()> {
        SpawnedTask::spawn(accept(self.0, Arc::new(status)))
    }
}

async fn accept(listener: TcpListener, status: Arc<Status>) {
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    let mut tasks = JoinSet::new();
    while let Ok(permit) = Arc::clone(&free).acquire_owned().await {
        while tasks.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                let status = Arc::clone(&status);
                tasks.spawn(async move {
                    // Who has gone, or is too slow, asks again.
                    let _ = tokio::time::timeout(PATIENCE, answer(stream, status)).await;
                    drop(permit);
                });
            }
            Err(e) => {
                log::warn!("the port for probes could not accept a connection: {e}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn answer(stream: TcpStream, status: Arc<Status>) -> hyper::Result<()> {
    let service = service_fn(move |request: Request<Incoming>| {
        let status = Arc::clone(&status);
        async move {
            let (code, kind, text) = respond(&status, request.method(), request.uri().path()).await;
            let mut response = Response::new(text);
            *response.status_mut() = code;
            let kind = header::HeaderValue::from_static(kind);
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            Ok::<_, Infallible>(response)
        }
    });
    http1::Builder::new()
        .keep_alive(false)
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

async fn respond(
    status: &Status,
    method: &Method,
    path: &str,
) -> (StatusCode, &'static str, String) {
    let words = |code, text: &str| (code, WORDS, format!("{text}\n"));
    if method != Method::GET && method != Method::HEAD {
        return words(StatusCode::METHOD_NOT_ALLOWED, "expected GET");
    }
    match path {
        "/healthz" => words(StatusCode::OK, "ok"),
        "/readyz" => match (status.ready)() {
            Ok(()) => words(StatusCode::OK, "ready"),
            Err(why) => words(StatusCode::SERVICE_UNAVAILABLE, &why),
        },
        "/metrics" => (StatusCode::OK, NUMBERS, (status.numbers)().await),
        _ => words(
            StatusCode::NOT_FOUND,
            "expected /healthz, /readyz or /metrics",
        ),
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use hyper::client::conn::http1;

    use super::*;

    #[tokio::test]
    async fn questions_are_answered() {
        let port = StatusPort::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = port.address().unwrap();
        let _serving = port.serve(Status {
            ready: Box::new(|| Err("not yet".to_owned())),
            numbers: Box::new(|| Box::pin(async { "x 1\n".to_owned() })),
        });
        for (request, expected) in [
            ("GET /healthz", "200 OK"),
            ("GET /readyz", "not yet"),
            ("GET /metrics", "x 1"),
            ("GET /secrets", "404"),
            ("POST /metrics", "405"),
        ] {
            let (method, path) = request.split_once(' ').unwrap();
            let stream = TcpStream::connect(address).await.unwrap();
            let (mut client, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
            let question = Request::builder().method(method).uri(path);
            let question = question.header("host", "x").body(String::new()).unwrap();
            let (answer, _) = tokio::join!(client.send_request(question), connection);
            let answer = answer.unwrap();
            let status = answer.status();
            let text = answer.into_body().collect().await.unwrap().to_bytes();
            let answer = format!("{status} {}", String::from_utf8_lossy(&text));
            assert!(answer.contains(expected), "{request}: {answer}");
        }
    }
}
