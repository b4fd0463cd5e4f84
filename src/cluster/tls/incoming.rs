//! Connections that have shown a certificate.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use datafusion::common::runtime::{JoinSet, SpawnedTask};
use futures::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use super::config::{ServerSide, is_plaintext, reason};
use super::files::Reloading;
use super::handshakes::Handshakes;

/// How long whoever connects may take to show a certificate.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Connections at the same time.
const CONNECTIONS: usize = 8192;

/// How long to wait when the system has no more sockets, for example.
const PAUSE: Duration = Duration::from_millis(100);

/// Who is at the other end of a connection. It is among the extensions of a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    pub(super) is_machine: bool,
}

/// The connections to a port whose other end has a certificate of the cluster. No more come when this is
/// dropped; those there are stay.
pub(super) struct Incoming {
    connections: mpsc::Receiver<Connection>,
    _accepting: SpawnedTask<()>,
}

impl Incoming {
    /// `name` is the port's, for the log, and `remark` what is to be known of whoever speaks no TLS.
    pub(super) fn new(
        listener: TcpListener,
        tls: Arc<Reloading<ServerSide>>,
        name: &'static str,
        remark: &'static str,
    ) -> Self {
        let (sender, connections) = mpsc::channel(1);
        Self {
            connections,
            _accepting: SpawnedTask::spawn(accept(listener, tls, name, remark, sender)),
        }
    }
}

impl Stream for Incoming {
    type Item = io::Result<Connection>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.connections
            .poll_recv(cx)
            .map(|connection| connection.map(Ok))
    }
}

async fn accept(
    listener: TcpListener,
    tls: Arc<Reloading<ServerSide>>,
    name: &'static str,
    remark: &'static str,
    sender: mpsc::Sender<Connection>,
) {
    let mut handshakes = Handshakes::new();
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    let mut tasks = JoinSet::new();
    loop {
        while tasks.try_join_next().is_some() {}
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(e) => {
                log::warn!("{name} could not accept a connection: {e}");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&connections).try_acquire_owned() else {
            log::warn!("{name} refused {address}: it has {CONNECTIONS} connections already");
            continue;
        };
        let Some(place) = handshakes.place(address.ip()) else {
            log::warn!("{name} refused {address}: too many of its connections show no certificate");
            continue;
        };
        // What the files hold now counts for this connection.
        let tls = tls.current();
        let sender = sender.clone();
        tasks.spawn(async move {
            let turn = place.turn(HANDSHAKE).await;
            let connection = match &turn {
                Some(_) => shake_hands(stream, address, &tls, permit).await,
                None => Err(io::Error::other(format!("no turn within {HANDSHAKE:?}"))),
            };
            drop((turn, place));
            match connection {
                Ok(connection) => {
                    // Nobody serves any more.
                    let _ = sender.send(connection).await;
                }
                // Whoever only looks whether something listens says nothing.
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                    log::debug!("{name}: {address} went away without a word");
                }
                Err(e) if is_plaintext(&e) => {
                    log::warn!("{name} refused {address}: {}{remark}", reason(&e));
                }
                Err(e) => log::warn!("{name} refused {address}: {}", reason(&e)),
            }
        });
    }
}

async fn shake_hands(
    stream: TcpStream,
    address: SocketAddr,
    tls: &ServerSide,
    permit: OwnedSemaphorePermit,
) -> io::Result<Connection> {
    stream.set_nodelay(true)?;
    let accepted = TlsAcceptor::from(Arc::clone(&tls.config)).accept(stream);
    let stream = tokio::time::timeout(HANDSHAKE, accepted)
        .await
        .map_err(|_| io::Error::other(format!("no certificate within {HANDSHAKE:?}")))??;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let peer = Peer {
        address,
        is_machine: tls.is_machine(chain),
    };
    Ok(Connection {
        stream,
        peer,
        _permit: permit,
    })
}

/// A connection whose other end is known.
pub(super) struct Connection {
    stream: TlsStream<TcpStream>,
    peer: Peer,
    _permit: OwnedSemaphorePermit,
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
