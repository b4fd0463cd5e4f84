//! Web servers. Every object has a store of its own, whose root is the whole address, so that encoded
//! names and queries arrive as they were written; all share one client and its connections.

use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use datafusion::common::{Result, exec_datafusion_err};
use object_store::client::{HttpClient, HttpConnector, SpawnService};
use object_store::http::HttpBuilder;
use object_store::{ClientOptions, ObjectStore, RetryConfig};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use url::Url;

use super::allowed::Allowed;
use super::hosts::is_local;
use crate::io_runtime;
use crate::object_stores::transport;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest silence of a server; how long an object takes depends on its length.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

const MOST_REDIRECTS: usize = 10;

/// Inventories of addresses hold many that are dead. One of them must not hold up the others as long as
/// a bucket may, which is there for sure.
const RETRIES: usize = 4;
const RETRY_TIMEOUT: Duration = Duration::from_secs(60);

/// A client that goes nowhere else than [`Allowed`] says.
#[derive(Debug, Clone)]
pub(super) struct Web(HttpClient);

impl Web {
    pub(super) fn try_new(allowed: &Arc<Allowed>) -> Result<Self> {
        let rules = Arc::clone(allowed);
        let redirects = Policy::custom(move |attempt| {
            if attempt.previous().len() > MOST_REDIRECTS {
                attempt.error("too many redirects")
            } else if rules.admits_redirect(attempt.url()) {
                attempt.follow()
            } else {
                attempt.error(Refused(
                    "it leads on to a place that read_blob may not read",
                ))
            }
        });
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("datafusion-featurize/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .redirect(redirects);
        if !allowed.local_hosts {
            builder = builder.dns_resolver(Arc::new(FarHosts));
        }
        let client = builder
            .build()
            .map_err(|e| exec_datafusion_err!("no web client could be made: {e}"))?;
        let client = SpawnService::new(client, io_runtime::handle()?);
        Ok(Self(transport::counted(HttpClient::new(client))))
    }

    /// The store of one object, which is at its root.
    pub(super) fn object(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        let retry = RetryConfig {
            max_retries: RETRIES,
            retry_timeout: RETRY_TIMEOUT,
            ..RetryConfig::default()
        };
        let store = HttpBuilder::new()
            .with_url(url.as_str())
            .with_http_connector(self.clone())
            .with_retry(retry)
            .build()?;
        Ok(Arc::new(store))
    }
}

impl HttpConnector for Web {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(self.0.clone())
    }
}

/// Finds hosts that are neither this machine nor on its link, whatever their names promised before.
#[derive(Debug)]
struct FarHosts;

impl Resolve for FarHosts {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let far: Vec<SocketAddr> = found.filter(|a| !is_local(a.ip())).collect();
            if far.is_empty() {
                return Err(Refused("its host is on this machine or its own link").into());
            }
            Ok(Box::new(far.into_iter()) as Addrs)
        })
    }
}

/// Why a server was not asked, or not any further.
#[derive(Debug)]
pub(super) struct Refused(&'static str);

impl Error for Refused {}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}
