//! Why a server is not reached.

/// Why there is no connection.
#[derive(Debug)]
#[cfg_attr(
    not(unix),
    expect(dead_code, reason = "there are no clients with TLS there")
)]
pub(crate) enum Refusal {
    /// There may be one later.
    NotThere(String),
    /// One of both does not accept the other.
    Tls(String),
}

#[cfg(unix)]
impl Refusal {
    pub(crate) fn reason(&self) -> &str {
        let (Self::NotThere(reason) | Self::Tls(reason)) = self;
        reason
    }
}
