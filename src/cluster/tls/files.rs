//! The files of a certificate, and how their changes are noticed.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use datafusion::common::{Result, config_datafusion_err, config_err};
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Where a process of a cluster finds its certificate. They are files of PEM blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificates of the authorities whose certificates are believed.
    pub ca: PathBuf,
    /// The certificate of this process, and those between it and an authority, in this order.
    pub cert: PathBuf,
    /// The private key of this process.
    pub key: PathBuf,
}

impl TlsFiles {
    /// All three of them, or none.
    ///
    /// # Errors
    /// When some are given and some are not; it names them.
    pub fn all_or_none(
        ca: Option<PathBuf>,
        cert: Option<PathBuf>,
        key: Option<PathBuf>,
    ) -> Result<Option<Self>> {
        let flags = [
            ("--tls-ca", ca.is_some()),
            ("--tls-cert", cert.is_some()),
            ("--tls-key", key.is_some()),
        ];
        if let (Some(ca), Some(cert), Some(key)) = (ca, cert, key) {
            return Ok(Some(Self { ca, cert, key }));
        }
        let names = |given| {
            let names = flags.iter().filter(move |flag| flag.1 == given);
            names.map(|flag| flag.0).collect::<Vec<_>>().join(" and ")
        };
        match names(true) {
            given if given.is_empty() => Ok(None),
            given => config_err!(
                "{given} without {}: TLS needs all three (or FEATURIZE_TLS_CA, FEATURIZE_TLS_CERT and \
                 FEATURIZE_TLS_KEY); 'featurize certs' makes such files for trials",
                names(false)
            ),
        }
    }

    pub(super) fn paths(&self) -> Vec<PathBuf> {
        vec![self.ca.clone(), self.cert.clone(), self.key.clone()]
    }

    /// Reads all three.
    pub(super) fn read(&self) -> Result<Identity> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&self.ca)? {
            roots.add(certificate).map_err(|e| {
                config_datafusion_err!(
                    "'{}' is no certificate of an authority: {e}",
                    self.ca.display()
                )
            })?;
        }
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|e| {
            // What was found is a secret, perhaps, and stays out of the message.
            config_datafusion_err!(
                "'{}' is no private key: expected a PEM file with a block BEGIN PRIVATE KEY, without a \
                 password ({e})",
                self.key.display()
            )
        })?;
        Ok(Identity {
            roots: Arc::new(roots),
            chain: certificates(&self.cert)?,
            key,
        })
    }
}

/// What the files hold.
pub(super) struct Identity {
    pub(super) roots: Arc<RootCertStore>,
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let bad = |why: &dyn fmt::Display| {
        config_datafusion_err!(
            "'{}' holds no certificate: expected a PEM file with blocks BEGIN CERTIFICATE ({why})",
            path.display()
        )
    };
    let found = CertificateDer::pem_file_iter(path).map_err(|e| bad(&e))?;
    let found: Vec<_> = found
        .collect::<Result<_, _>>()
        .map_err(|e: tokio_rustls::rustls::pki_types::pem::Error| bad(&e))?;
    match found.is_empty() {
        true => Err(bad(&"none was found")),
        false => Ok(found),
    }
}

/// Something that is made of files, and made again when they have changed.
pub(super) struct Reloading<T> {
    files: Vec<PathBuf>,
    make: Box<dyn Fn() -> Result<T> + Send + Sync>,
    state: Mutex<State<T>>,
}

struct State<T> {
    stamp: Stamp,
    value: Arc<T>,
}

/// When each file was changed, and how long it is.
type Stamp = Vec<Option<(SystemTime, u64)>>;

impl<T> Reloading<T> {
    pub(super) fn try_new(
        files: Vec<PathBuf>,
        make: impl Fn() -> Result<T> + Send + Sync + 'static,
    ) -> Result<Self> {
        // Taken before they are read: what changes meanwhile is read again.
        let stamp = stamp(&files);
        let value = Arc::new(make()?);
        Ok(Self {
            files,
            make: Box::new(make),
            state: Mutex::new(State { stamp, value }),
        })
    }

    /// What the files hold now. While they hold nothing sensible, such as between the change of a certificate
    /// and that of its key, it is what they held before.
    pub(super) fn current(&self) -> Arc<T> {
        let stamp = stamp(&self.files);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.stamp != stamp {
            state.stamp = stamp;
            match (self.make)() {
                Ok(value) => {
                    log::info!("{} have changed and were read again", self.names());
                    state.value = Arc::new(value);
                }
                Err(e) => log::warn!(
                    "{} have changed and are not used, but what they held before: {e}",
                    self.names()
                ),
            }
        }
        Arc::clone(&state.value)
    }

    fn names(&self) -> String {
        let names = self.files.iter().map(|file| file.display().to_string());
        names.collect::<Vec<_>>().join(", ")
    }
}

impl<T> fmt::Debug for Reloading<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloading")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

fn stamp(files: &[PathBuf]) -> Stamp {
    let of = |file: &PathBuf| {
        let found = std::fs::metadata(file).ok()?;
        Some((found.modified().ok()?, found.len()))
    };
    files.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_files_is_an_error_that_names_the_others() {
        let file = || Some(PathBuf::from("x"));
        assert_eq!(TlsFiles::all_or_none(None, None, None).unwrap(), None);
        assert!(
            TlsFiles::all_or_none(file(), file(), file())
                .unwrap()
                .is_some()
        );
        for (ca, cert, key, expected) in [
            (
                file(),
                None,
                None,
                "--tls-ca without --tls-cert and --tls-key",
            ),
            (
                None,
                file(),
                file(),
                "--tls-cert and --tls-key without --tls-ca",
            ),
            (
                file(),
                file(),
                None,
                "--tls-ca and --tls-cert without --tls-key",
            ),
        ] {
            let error = TlsFiles::all_or_none(ca, cert, key)
                .unwrap_err()
                .to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn files_that_are_something_else_are_named_and_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("secret"), "hunter2").unwrap();
        let files = TlsFiles {
            ca: path("none"),
            cert: path("secret"),
            key: path("secret"),
        };
        let error = files.read().err().unwrap().to_string();
        assert!(error.contains("none' holds no certificate"), "{error}");
        let error = certificates(&files.cert).unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
        let made = crate::cluster::make_certificates(&path("made"), &[]).unwrap();
        let error = TlsFiles {
            ca: made.join("ca.pem"),
            ..files
        };
        let error = error.read().err().unwrap().to_string();
        assert!(error.contains("secret' is no private key"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn what_has_changed_is_read_again_and_nonsense_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("number");
        std::fs::write(&file, "1").unwrap();
        let number = {
            let file = file.clone();
            move || {
                let text = std::fs::read_to_string(&file)?;
                text.parse::<u32>()
                    .map_err(|e| config_datafusion_err!("no number: {e}"))
            }
        };
        let value = Reloading::try_new(vec![file.clone()], number).unwrap();
        assert_eq!(*value.current(), 1);
        std::fs::write(&file, "nonsense").unwrap();
        assert_eq!(*value.current(), 1);
        std::fs::remove_file(&file).unwrap();
        assert_eq!(*value.current(), 1);
        std::fs::write(&file, "22").unwrap();
        assert_eq!(*value.current(), 22);
    }
}
