//! `--tls-…`, `--token-file` and `featurize certs`.

use std::path::PathBuf;

use clap::Args;
use datafusion::common::Result;
use datafusion_featurize::cluster::{CERTIFICATE_DAYS, Security, make_certificates};

/// The certificate of a process.
#[derive(Debug, Default, Args)]
pub(crate) struct TlsArgs {
    /// Certificates (PEM) of the authorities whose certificates are believed; TLS needs all three files
    #[arg(long, value_name = "FILE", env = "FEATURIZE_TLS_CA")]
    tls_ca: Option<PathBuf>,

    /// The certificate (PEM) that this process shows
    #[arg(long, value_name = "FILE", env = "FEATURIZE_TLS_CERT")]
    tls_cert: Option<PathBuf>,

    /// The private key (PEM) of that certificate
    #[arg(long, value_name = "FILE", env = "FEATURIZE_TLS_KEY")]
    tls_key: Option<PathBuf>,
}

/// What clients show besides.
#[derive(Debug, Default, Args)]
pub(crate) struct TokenArgs {
    /// The file with the token that a client shows and the scheduler demands; needs TLS
    #[arg(long, value_name = "FILE", env = "FEATURIZE_TOKEN_FILE")]
    token_file: Option<PathBuf>,
}

impl TlsArgs {
    pub(crate) fn security(&self, token: &TokenArgs) -> Result<Security> {
        // An empty variable is one that was not set.
        let given =
            |file: &Option<PathBuf>| file.clone().filter(|file| !file.as_os_str().is_empty());
        Security::new(
            given(&self.tls_ca),
            given(&self.tls_cert),
            given(&self.tls_key),
            given(&token.token_file),
        )
    }
}

/// Makes an authority and certificates for a trial of TLS
///
/// Writes ca, scheduler, executor and client, each as .pem with its private key in .key, readable by its owner
/// only. They are for trials, not for a cluster that others depend on: the authority's key lies next to what it
/// has signed, without a password; all executors share one key; nothing takes a certificate back; they end
/// after 90 days.
#[derive(Debug, Args)]
pub(crate) struct CertsArgs {
    /// The folder to write to; nothing in it is overwritten
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,

    /// Names and addresses of the hosts of scheduler and executors, as --external-host and --remote have
    /// them; this machine (localhost) is always among them
    #[arg(value_name = "HOST")]
    hosts: Vec<String>,
}

impl CertsArgs {
    pub(crate) fn run(&self) -> Result<()> {
        make_certificates(&self.folder, &self.hosts)?;
        let folder = self.folder.display();
        println!(
            "{folder}: ca.pem, and scheduler, executor and client as .pem (certificate) and .key (private key)"
        );
        println!(
            "featurize scheduler --tls-ca {folder}/ca.pem --tls-cert {folder}/scheduler.pem --tls-key \
             {folder}/scheduler.key"
        );
        println!(
            "For trials only: whoever reads ca.key makes certificates of this cluster, and no machine needs it; \
             all executors share one key; nothing takes a certificate back. They end after \
             {CERTIFICATE_DAYS} days."
        );
        Ok(())
    }
}
