//! The way out: connections of Ballista's clients, wrapped in TLS.
//!
//! Ballista makes its channels itself, from an `Endpoint` that a hook may replace. TLS of tonic's own would be
//! a feature that compiles rustls, and with it DataFusion, anew for everyone; it would keep the certificate
//! that it had when a channel was made; and it sends plaintext without a word to addresses that begin with
//! `http`, as all of Ballista's do. So the hook names a socket in a folder of this process that only its user
//! may enter, one for each address, and what comes in there goes on to that address with TLS, with the
//! certificate that the files hold then. Nothing goes anywhere without.

use std::collections::HashMap;
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use ballista_core::extension::EndpointOverrideFn;
use ballista_core::utils::{GrpcClientConfig, create_grpc_client_endpoint};
use datafusion::common::{Result, config_err};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;
use tonic::transport::Endpoint;

use super::config::{client_side, reason};
use super::files::{Reloading, TlsFiles};
use super::refusal::Refusal;
use crate::cluster::temporary::TemporaryFolder;

/// How long a connection may take to be made, the handshake included.
const CONNECT: Duration = Duration::from_secs(10);

/// Addresses that are known at the same time; each is a file that is open.
const DOORS: usize = 1024;

/// Connections to an address at the same time.
const CONNECTIONS: usize = 256;

/// Of the 104 bytes that the name of a socket has on the strictest of systems, what a number needs is kept free.
const LONGEST_FOLDER: usize = 104 - 12;

/// How long one direction may go on when the other has ended.
const LINGER: Duration = Duration::from_secs(60);

/// What is passed on at once.
const PIECE: usize = 64 * 1024;

/// Threads that encrypt and decrypt.
const THREADS: usize = 4;

/// Of its own: a channel may outlive the runtime in which it was made.
static RUNTIME: LazyLock<io::Result<Runtime>> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.min(THREADS))
        .thread_name("featurize-tls")
        .enable_all()
        .build()
});

type BoxError = Box<dyn Error + Send + Sync>;

/// Makes connections with the certificate of this process.
#[derive(Debug)]
pub(crate) struct Dialer {
    tls: Arc<Reloading<Arc<ClientConfig>>>,
    folder: TemporaryFolder,
    doors: Mutex<Doors>,
}

/// Where the connections to each address come in.
#[derive(Debug, Default)]
struct Doors {
    by_address: HashMap<String, Door>,
    made: u64,
}

#[derive(Debug)]
struct Door {
    number: u64,
    path: PathBuf,
    free: Arc<Semaphore>,
    accepting: AbortHandle,
}

impl Drop for Door {
    fn drop(&mut self) {
        self.accepting.abort();
        // The folder is removed at the end in any case.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Dialer {
    pub(crate) fn try_new(files: &TlsFiles) -> Result<Arc<Self>> {
        let tls = Arc::new(client_side(files)?);
        let folder = TemporaryFolder::try_new("tls")?;
        let length = folder.path().as_os_str().len();
        if length > LONGEST_FOLDER {
            return config_err!(
                "sockets in '{}' would have names of more letters than the system allows: expected a \
                 folder for temporary files (TMPDIR) with a name shorter by {}",
                folder.path().display(),
                length - LONGEST_FOLDER
            );
        }
        Ok(Arc::new(Self {
            tls,
            folder,
            doors: Mutex::default(),
        }))
    }

    /// For Ballista's configurations.
    pub(crate) fn hook(self: &Arc<Self>) -> EndpointOverrideFn {
        let dialer = Arc::clone(self);
        Arc::new(move |endpoint| dialer.endpoint(&endpoint))
    }

    /// The same address, with TLS.
    pub(crate) fn endpoint(&self, plain: &Endpoint) -> Result<Endpoint, BoxError> {
        let uri = plain.uri();
        let (Some(host), Some(port)) = (uri.host(), uri.port_u16()) else {
            return Err(format!("'{uri}' is no address: expected a host and a port").into());
        };
        let path = self.door(host, port)?;
        let path = format!("unix:{}", path.display());
        // What else was set cannot be asked for: it is what Ballista sets, of which its data has the windows only.
        // Small ones would let a stream that nobody reads hold up the others of its connection.
        let mut usual = GrpcClientConfig::default();
        let Some(timeout) = plain.get_connect_timeout() else {
            return Ok(create_grpc_client_endpoint(path, None)?
                .initial_connection_window_size(usual.initial_connection_window_size)
                .initial_stream_window_size(usual.initial_stream_window_size));
        };
        usual.connect_timeout_seconds = timeout.as_secs();
        Ok(create_grpc_client_endpoint(path, Some(&usual))?)
    }

    fn door(&self, host: &str, port: u16) -> Result<PathBuf, BoxError> {
        let address = format!("{host}:{port}");
        let mut doors = self.doors.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(door) = doors.by_address.get(&address) {
            return Ok(door.path.clone());
        }
        doors.make_room();
        let number = doors.made;
        doors.made += 1;
        let path = self.folder.path().join(number.to_string());
        let free = Arc::new(Semaphore::new(CONNECTIONS));
        let accepting = pass_on(&path, self.target(host, port), Arc::clone(&free))?;
        let door = Door {
            number,
            path: path.clone(),
            free,
            accepting,
        };
        doors.by_address.insert(address, door);
        Ok(path)
    }

    fn target(&self, host: &str, port: u16) -> Target {
        Target {
            host: host
                .trim_start_matches('[')
                .trim_end_matches(']')
                .to_owned(),
            port,
            tls: Arc::clone(&self.tls),
        }
    }

    /// Finds out whether `host` accepts this process.
    pub(crate) async fn probe(&self, host: &str, port: u16) -> Result<(), Refusal> {
        let mut stream = self.target(host, port).connect().await?;
        // The server's word on a certificate comes after the handshake; HTTP/2 begins like this.
        let heard = async {
            stream.write_all(PREFACE).await?;
            stream.flush().await?;
            stream.read_u8().await
        };
        match tokio::time::timeout(CONNECT, heard).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(e)) => Err(Refusal::Tls(reason(&e))),
            Err(_) => Err(Refusal::Tls(format!("no answer within {CONNECT:?}"))),
        }
    }
}

/// What a client of HTTP/2 says first, and that it sets nothing.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";

impl Doors {
    /// Closes the oldest that nobody uses, when there are many.
    fn make_room(&mut self) {
        if self.by_address.len() < DOORS {
            return;
        }
        let idle = self.by_address.iter();
        let idle = idle.filter(|(_, door)| door.free.available_permits() == CONNECTIONS);
        let oldest = idle.min_by_key(|(_, door)| door.number);
        if let Some(address) = oldest.map(|(address, _)| address.clone()) {
            self.by_address.remove(&address);
        }
    }
}

struct Target {
    host: String,
    port: u16,
    tls: Arc<Reloading<Arc<ClientConfig>>>,
}

impl Target {
    async fn connect(&self) -> Result<TlsStream<TcpStream>, Refusal> {
        let connected = async {
            let stream = TcpStream::connect((self.host.as_str(), self.port)).await;
            let stream = stream.map_err(|e| Refusal::NotThere(e.to_string()))?;
            let refused = |e: io::Error| Refusal::Tls(reason(&e));
            stream.set_nodelay(true).map_err(refused)?;
            let name = ServerName::try_from(self.host.clone())
                .map_err(|e| Refusal::Tls(format!("'{}' is no name: {e}", self.host)))?;
            let config = Arc::clone(&*self.tls.current());
            let shaken = TlsConnector::from(config).connect(name, stream);
            shaken.await.map_err(refused)
        };
        tokio::time::timeout(CONNECT, connected)
            .await
            .unwrap_or_else(|_| Err(Refusal::NotThere(format!("no answer within {CONNECT:?}"))))
    }

    async fn serve(&self, client: UnixStream) {
        match self.connect().await {
            Ok(server) => both_ways(client, server).await,
            Err(refusal) => log::warn!(
                "no connection to {}:{}: {}",
                self.host,
                self.port,
                refusal.reason()
            ),
        }
    }
}

/// Accepts connections at `path` for `target`.
fn pass_on(path: &Path, target: Target, free: Arc<Semaphore>) -> io::Result<AbortHandle> {
    let runtime = RUNTIME
        .as_ref()
        .map_err(|e| io::Error::new(e.kind(), format!("no threads for TLS: {e}")))?;
    let listener = {
        let _within = runtime.enter();
        UnixListener::bind(path)?
    };
    let target = Arc::new(target);
    let accepting = runtime.spawn(async move {
        while let Ok(permit) = Arc::clone(&free).acquire_owned().await {
            let client = match listener.accept().await {
                Ok((client, _)) => client,
                Err(e) => {
                    log::warn!("no connection to {}: {e}", target.host);
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let target = Arc::clone(&target);
            // It ends with the connection, not with the door.
            runtime.spawn(async move {
                target.serve(client).await;
                drop(permit);
            });
        }
    });
    Ok(accepting.abort_handle())
}

/// Until both ends have said all, or one of them is gone.
async fn both_ways(client: UnixStream, server: TlsStream<TcpStream>) {
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = tokio::io::split(server);
    let mut there = std::pin::pin!(copy(from_client, to_server));
    let mut back = std::pin::pin!(copy(from_server, to_client));
    let result = tokio::select! {
        result = &mut there => match result {
            Ok(()) => tokio::time::timeout(LINGER, back).await.unwrap_or(Ok(())),
            e => e,
        },
        result = &mut back => match result {
            Ok(()) => tokio::time::timeout(LINGER, there).await.unwrap_or(Ok(())),
            e => e,
        },
    };
    if let Err(e) = result {
        // Which end it was, and of what, whoever uses the connection says.
        log::debug!("a connection has ended: {}", reason(&e));
    }
}

async fn copy(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        match from.read(&mut piece).await? {
            0 => return to.shutdown().await,
            read => {
                to.write_all(&piece[..read]).await?;
                to.flush().await?;
            }
        }
    }
}
