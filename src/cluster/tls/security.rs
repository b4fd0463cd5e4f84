//! What a process is told about security.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use datafusion::common::{Result, config_err};

use super::files::{Reloading, TlsFiles};
use super::token::Token;
use crate::cluster::loopback::check_address;

/// How a process of a cluster protects what it sends, and knows who asks. By default, it does not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Security {
    /// The certificate that it shows, and whose others it believes.
    pub tls: Option<TlsFiles>,
    /// The token of clients: a scheduler demands it, a client shows it.
    pub token_file: Option<PathBuf>,
}

impl Security {
    /// From what the arguments `--tls-ca`, `--tls-cert`, `--tls-key` and `--token-file` say.
    ///
    /// # Errors
    /// When something is missing that another argument needs; it names it.
    pub fn new(
        ca: Option<PathBuf>,
        cert: Option<PathBuf>,
        key: Option<PathBuf>,
        token_file: Option<PathBuf>,
    ) -> Result<Self> {
        let tls = TlsFiles::all_or_none(ca, cert, key)?;
        if tls.is_none() && token_file.is_some() {
            return config_err!(
                "--token-file without --tls-ca, --tls-cert and --tls-key: whoever listens would read the token"
            );
        }
        Ok(Self { tls, token_file })
    }

    /// As `FEATURIZE_TLS_CA`, `FEATURIZE_TLS_CERT`, `FEATURIZE_TLS_KEY` and `FEATURIZE_TOKEN_FILE` say.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn of_the_environment() -> Result<Self> {
        // An empty variable is one that was not set, as for other programs.
        let path = |name| {
            let value = std::env::var_os(name).filter(|value: &OsString| !value.is_empty());
            value.map(PathBuf::from)
        };
        Self::new(
            path("FEATURIZE_TLS_CA"),
            path("FEATURIZE_TLS_CERT"),
            path("FEATURIZE_TLS_KEY"),
            path("FEATURIZE_TOKEN_FILE"),
        )
    }

    /// Lets `host`, which the argument `name` gives, be another machine, or reached from one, if there is TLS or
    /// it is said to be `insecure`; in the second case, it warns.
    ///
    /// # Errors
    /// When there is neither.
    pub fn check_address(&self, name: &str, host: &str, insecure: bool) -> Result<()> {
        match self.tls {
            Some(_) => Ok(()),
            None => check_address(name, host, insecure),
        }
    }

    /// As [`check_address`](Self::check_address) for the URL of a scheduler; what is no URL, whoever connects
    /// tells.
    ///
    /// # Errors
    /// When it is on another machine, without TLS, and not said to be `insecure`.
    pub fn check_scheduler(&self, name: &str, url: &str, insecure: bool) -> Result<()> {
        let url = url::Url::parse(url).ok();
        let host = url.as_ref().and_then(url::Url::host_str);
        host.map_or(Ok(()), |host| self.check_address(name, host, insecure))
    }

    pub(crate) fn token(&self) -> Result<Option<Token>> {
        let token = self.token_file.as_ref();
        token.map(|file| Token::read(file)).transpose()
    }

    pub(super) fn reloading_token(&self) -> Result<Option<Arc<Reloading<Token>>>> {
        let Some(file) = self.token_file.clone() else {
            return Ok(None);
        };
        let token = Reloading::try_new(vec![file.clone()], move || Token::read(&file))?;
        Ok(Some(Arc::new(token)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_needs_tls() {
        let file = || Some(PathBuf::from("x"));
        let error = Security::new(None, None, None, file()).unwrap_err();
        assert!(
            error.to_string().contains("--token-file without"),
            "{error}"
        );
        Security::new(file(), file(), file(), file()).unwrap();
    }

    #[test]
    fn other_machines_need_tls_or_a_word() {
        let none = Security::default();
        let file = || Some(PathBuf::from("x"));
        let tls = Security::new(file(), file(), file(), None).unwrap();
        for host in ["10.0.0.9", "0.0.0.0", "worker.example"] {
            let error = none.check_address("--bind-host", host, false).unwrap_err();
            assert!(error.to_string().contains("--tls-ca"), "{error}");
            none.check_address("--bind-host", host, true).unwrap();
            tls.check_address("--bind-host", host, false).unwrap();
        }
        none.check_scheduler("--remote", "df://localhost:50050", false)
            .unwrap();
        none.check_scheduler("--remote", "nonsense", false).unwrap();
        none.check_scheduler("--remote", "df://[2001:db8::1]:50050", false)
            .unwrap_err();
        tls.check_scheduler("--remote", "df://[2001:db8::1]:50050", false)
            .unwrap();
    }
}
