//! Connections as nobody's program makes them: with other certificates, or none, and listened to.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use datafusion_featurize::cluster::{Security, TlsFiles, make_certificates};
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tonic::transport::{Channel, Endpoint};

use crate::processes::Setting;

/// Where this machine is reached by way of a [`Recorder`].
pub(crate) const ELSEWHERE: &str = "127.0.0.2";

const TOKEN: &str = "0123456789abcdef-the-token";

/// Certificates that are made on the spot.
pub(crate) struct Certificates(pub(crate) TempDir);

impl Certificates {
    pub(crate) fn new() -> Self {
        Self::of(&[ELSEWHERE.to_owned()])
    }

    /// For this machine, which is not called [`ELSEWHERE`] then, and these hosts.
    pub(crate) fn of(hosts: &[String]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        make_certificates(folder.path(), hosts).unwrap();
        std::fs::write(folder.path().join("token"), TOKEN).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn files(&self, name: &str) -> TlsFiles {
        TlsFiles {
            ca: self.path("ca.pem"),
            cert: self.path(&format!("{name}.pem")),
            key: self.path(&format!("{name}.key")),
        }
    }

    pub(crate) fn flags(&self, name: &str) -> String {
        let files = self.files(name);
        format!(
            "--tls-ca {} --tls-cert {} --tls-key {}",
            files.ca.display(),
            files.cert.display(),
            files.key.display()
        )
    }

    pub(crate) fn client(&self) -> Security {
        Security {
            tls: Some(self.files("client")),
            token_file: Some(self.path("token")),
        }
    }

    /// Of a cluster with TLS that demands the token.
    pub(crate) fn setting(&self) -> Setting {
        Setting {
            scheduler: format!(
                "{} --token-file {}",
                self.flags("scheduler"),
                self.path("token").display()
            ),
            executor: self.flags("executor"),
            client: self.client(),
            host: None,
        }
    }
}

/// A channel to a port of this machine that shows these files, or speaks no TLS. Whether it is accepted, the
/// first request says.
pub(crate) async fn channel(
    port: u16,
    files: Option<&TlsFiles>,
) -> Result<Channel, Box<dyn Error + Send + Sync>> {
    let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{port}"))?;
    let Some(files) = files else {
        return Ok(endpoint.connect().await?);
    };
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&files.ca)?)?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let mut config = match files.cert.exists() {
        true => config.with_client_auth_cert(
            vec![CertificateDer::from_pem_file(&files.cert)?],
            PrivateKeyDer::from_pem_file(&files.key)?,
        )?,
        false => config.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    let config = Arc::new(config);
    let connector = tower::service_fn(move |_| {
        let config = Arc::clone(&config);
        async move {
            let stream = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
            let name = ServerName::try_from("localhost").unwrap();
            let stream = TlsConnector::from(config).connect(name, stream).await?;
            Ok::<_, std::io::Error>(TokioIo::new(stream))
        }
    });
    Ok(endpoint.connect_with_connector(connector).await?)
}

/// Sits between processes, passes everything on, and keeps it.
pub(crate) struct Recorder {
    pub(crate) port: u16,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Recorder {
    /// At a port of [`ELSEWHERE`], 0 is any free one; what comes in goes to the same port of 127.0.0.1.
    pub(crate) fn start(port: u16) -> Self {
        let listener = TcpListener::bind((ELSEWHERE, port)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::<Mutex<Vec<u8>>>::default();
        let recorder = Self {
            port,
            heard: Arc::clone(&heard),
        };
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else {
                    continue;
                };
                for (mut from, mut to) in [
                    (client.try_clone().unwrap(), server.try_clone().unwrap()),
                    (server, client),
                ] {
                    let heard = Arc::clone(&heard);
                    std::thread::spawn(move || {
                        let mut piece = vec![0; 64 * 1024];
                        while let Ok(read @ 1..) = from.read(&mut piece) {
                            heard.lock().unwrap().extend_from_slice(&piece[..read]);
                            if to.write_all(&piece[..read]).is_err() {
                                break;
                            }
                        }
                        let _ = to.shutdown(Shutdown::Write);
                    });
                }
            }
        });
        recorder
    }

    pub(crate) fn bytes(&self) -> usize {
        self.heard.lock().unwrap().len()
    }

    pub(crate) fn has_heard(&self, text: &str) -> bool {
        let heard = self.heard.lock().unwrap();
        let text = text.as_bytes();
        heard.windows(text.len()).any(|window| window == text)
    }
}
