//! What both ends of a connection demand of each other: TLS 1.3, a certificate of the cluster's authority, and
//! of whoever was asked for by name, one for that name.

use std::io;
use std::sync::{Arc, LazyLock};

use datafusion::common::{Result, config_datafusion_err, config_err};
use tokio_rustls::rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};
use tokio_rustls::rustls::server::{
    NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier,
};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, Error, RootCertStore, ServerConfig, SupportedProtocolVersion,
};

use super::files::{Reloading, TlsFiles};

/// HTTP/2, which is all that gRPC speaks.
const PROTOCOL: &[u8] = b"h2";

const VERSIONS: &[&SupportedProtocolVersion] = &[&TLS13];

/// Two are compiled in, for the stores of clouds; which one of them rustls takes by itself is undefined.
static PROVIDER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| Arc::new(ring::default_provider()));

/// What a server needs.
pub(super) struct ServerSide {
    pub(super) config: Arc<ServerConfig>,
    roots: Arc<RootCertStore>,
}

impl ServerSide {
    pub(super) fn reloading(files: &TlsFiles) -> Result<Reloading<Self>> {
        let paths = files.paths();
        let files = files.clone();
        Reloading::try_new(paths, move || Self::try_new(&files))
    }

    fn try_new(files: &TlsFiles) -> Result<Self> {
        let identity = files.read()?;
        let provider = Arc::clone(&PROVIDER);
        let verifier = WebPkiClientVerifier::builder_with_provider(
            Arc::clone(&identity.roots),
            Arc::clone(&provider),
        );
        let verifier = verifier.build().map_err(|e| unusable(files, &e))?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(VERSIONS)
            .map_err(|e| unusable(files, &e))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(identity.chain.clone(), identity.key)
            .map_err(|e| unusable(files, &e))?;
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        // A certificate that has expired meanwhile is not let in by what it was given before.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        let side = Self {
            config: Arc::new(config),
            roots: identity.roots,
        };
        // Said now, not to the first client.
        if !side.is_machine(&identity.chain) {
            return config_err!(
                "'{}' is no certificate for a scheduler or an executor: expected one that '{}' has signed, that \
                 has not expired, and that is good for servers (extended key usage serverAuth)",
                files.cert.display(),
                files.ca.display()
            );
        }
        Ok(side)
    }

    /// Whether a certificate that was let in is one of a machine of the cluster: good for a server, too.
    pub(super) fn is_machine(&self, chain: &[CertificateDer<'_>]) -> bool {
        let Some((certificate, between)) = chain.split_first() else {
            return false;
        };
        let Ok(certificate) = ParsedCertificate::try_from(certificate) else {
            return false;
        };
        let algorithms = PROVIDER.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(
            &certificate,
            &self.roots,
            between,
            UnixTime::now(),
            algorithms,
        )
        .is_ok()
    }
}

/// What a client needs.
#[cfg_attr(not(unix), expect(dead_code, reason = "there are no clients there"))]
pub(super) fn client_side(files: &TlsFiles) -> Result<Reloading<Arc<ClientConfig>>> {
    let paths = files.paths();
    let files = files.clone();
    Reloading::try_new(paths, move || {
        let identity = files.read()?;
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&PROVIDER))
            .with_protocol_versions(VERSIONS)
            .map_err(|e| unusable(&files, &e))?
            .with_root_certificates(identity.roots)
            .with_client_auth_cert(identity.chain, identity.key)
            .map_err(|e| unusable(&files, &e))?;
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    })
}

fn unusable(
    files: &TlsFiles,
    error: &dyn std::fmt::Display,
) -> datafusion::common::DataFusionError {
    config_datafusion_err!(
        "'{}' and '{}' are not a certificate and its key: {error}",
        files.cert.display(),
        files.key.display()
    )
}

/// Whether whoever connected does not speak TLS.
pub(super) fn is_plaintext(error: &io::Error) -> bool {
    matches!(tls_error(error), Some(Error::InvalidMessage(_)))
}

fn tls_error(error: &io::Error) -> Option<&Error> {
    error.get_ref().and_then(|e| e.downcast_ref::<Error>())
}

/// Why there is no connection, in words that say what to do about it.
pub(super) fn reason(error: &io::Error) -> String {
    match tls_error(error) {
        Some(Error::NoCertificatesPresented) => "it showed no certificate".to_owned(),
        Some(Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        )) => "its certificate is of another authority than --tls-ca names".to_owned(),
        Some(Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => "its certificate is for another name".to_owned(),
        Some(Error::InvalidCertificate(e)) => format!("its certificate is not accepted: {e}"),
        Some(Error::InvalidMessage(_)) => "it does not speak TLS".to_owned(),
        Some(Error::AlertReceived(alert)) => {
            format!("it does not accept the certificate that it was shown ({alert:?})")
        }
        _ => error.to_string(),
    }
}
