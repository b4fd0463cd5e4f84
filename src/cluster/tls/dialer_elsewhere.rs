//! The way out where there are no sockets in folders: none.

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;

use ballista_core::extension::EndpointOverrideFn;
use datafusion::common::{Result, not_impl_err};
use tonic::transport::Endpoint;

use super::files::TlsFiles;
use super::refusal::Refusal;

/// There is none.
#[derive(Debug)]
pub(crate) struct Dialer(Infallible);

impl Dialer {
    pub(crate) fn try_new(_: &TlsFiles) -> Result<Arc<Self>> {
        not_impl_err!(
            "TLS between the processes of a cluster needs Unix sockets, which this system does not have; \
             put WireGuard or a mesh with mutual TLS around them and say --insecure"
        )
    }

    pub(crate) fn hook(self: &Arc<Self>) -> EndpointOverrideFn {
        match self.0 {}
    }

    pub(crate) fn endpoint(&self, _: &Endpoint) -> Result<Endpoint, Box<dyn Error + Send + Sync>> {
        match self.0 {}
    }

    pub(crate) async fn probe(&self, _: &str, _: u16) -> Result<(), Refusal> {
        match self.0 {}
    }
}
