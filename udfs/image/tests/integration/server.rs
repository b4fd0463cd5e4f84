//! A web server for tests: one file, and whatever can go wrong with it.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What was asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    /// Path and query.
    pub(crate) target: String,
    /// First byte of the range.
    pub(crate) from: Option<usize>,
    pub(crate) if_none_match: Option<String>,
    pub(crate) authorization: Option<String>,
    /// Bytes of the body that were sent.
    pub(crate) sent: usize,
}

/// What the server has.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    pub(crate) body: Vec<u8>,
    pub(crate) etag: Option<&'static str>,
    pub(crate) status: u16,
    /// The connection is closed when this many bytes have been sent.
    pub(crate) cut: Option<usize>,
    /// Whether ranges are honoured.
    pub(crate) ranges: bool,
    /// Pause in the middle of the body.
    pub(crate) pause: Duration,
}

impl Content {
    pub(crate) fn new(body: &[u8], etag: &'static str) -> Self {
        Self {
            body: body.to_vec(),
            etag: Some(etag),
            status: 200,
            cut: None,
            ranges: true,
            pause: Duration::ZERO,
        }
    }
}

/// Gives the content for the request of this number, from 0.
type Script = dyn Fn(usize, &Request) -> Content + Send + Sync;

pub(crate) struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Serves the same content for ever.
    pub(crate) fn of(content: Content) -> Self {
        Self::new(move |_| content.clone())
    }

    /// Serves the files of a folder below `/base/`.
    pub(crate) fn folder(folder: std::path::PathBuf) -> Self {
        Self::scripted(move |_, request| {
            let path = request.target.strip_prefix("/base/").unwrap_or_default();
            match std::fs::read(folder.join(path)) {
                Ok(body) => Content::new(&body, "v1"),
                Err(_) => Content {
                    status: 404,
                    ..Content::new(b"", "v1")
                },
            }
        })
    }

    pub(crate) fn new(script: impl Fn(usize) -> Content + Send + Sync + 'static) -> Self {
        Self::scripted(move |number, _| script(number))
    }

    /// Its thread ends with the process.
    fn scripted(script: impl Fn(usize, &Request) -> Content + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let script: Arc<Script> = Arc::new(script);
        let log = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (script, log) = (Arc::clone(&script), Arc::clone(&log));
                std::thread::spawn(move || answer(&stream.unwrap(), script.as_ref(), &log));
            }
        });
        Self { address, requests }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

fn answer(mut stream: &TcpStream, script: &Script, log: &Mutex<Vec<Request>>) {
    let request = read(stream);
    let number = {
        let mut log = log.lock().unwrap();
        log.push(request.clone());
        log.len() - 1
    };
    let content = script(number, &request);
    let etag = content.etag.map(|etag| format!("\"{etag}\""));
    let from = request.from.filter(|_| content.ranges);
    let total = content.body.len();
    let mut body = content.body.as_slice();
    let mut head = String::from("Connection: close\r\nAccept-Ranges: bytes\r\n");
    let status = match from {
        _ if content.status != 200 => {
            body = b"no such thing";
            content.status
        }
        _ if etag.is_some() && request.if_none_match == etag => {
            body = b"";
            304
        }
        Some(from) if from < total => {
            head += &format!("Content-Range: bytes {from}-{}/{total}\r\n", total - 1);
            body = &body[from..];
            206
        }
        Some(_) => {
            body = b"";
            416
        }
        None => 200,
    };
    if let Some(etag) = etag {
        head += &format!("ETag: {etag}\r\n");
    }
    let length = body.len();
    let head = format!("HTTP/1.1 {status} Some Reason\r\n{head}Content-Length: {length}\r\n\r\n");
    // The client may have gone.
    let _ = stream.write_all(head.as_bytes());
    let body = &body[..content.cut.unwrap_or(length).min(length)];
    let (first, second) = body.split_at(body.len() / 2);
    log.lock().unwrap()[number].sent = body.len();
    let _ = stream.write_all(first);
    std::thread::sleep(content.pause);
    let _ = stream.write_all(second);
    let _ = stream.flush();
}

fn read(stream: &TcpStream) -> Request {
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    let first = lines.next().unwrap_or_default();
    let mut request = Request {
        target: first.split(' ').nth(1).unwrap_or_default().to_owned(),
        ..Request::default()
    };
    for line in lines.take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(": ").unwrap();
        match name.to_ascii_lowercase().as_str() {
            "range" => {
                let from = value.strip_prefix("bytes=").unwrap();
                request.from = Some(from.strip_suffix('-').unwrap().parse().unwrap());
            }
            "if-none-match" => request.if_none_match = Some(value.to_owned()),
            "authorization" => request.authorization = Some(value.to_owned()),
            _ => {}
        }
    }
    request
}
