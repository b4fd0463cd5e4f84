//! Web servers beside the machine that follows an address: on it, or on its own link.

use std::net::{IpAddr, Ipv6Addr};

use datafusion::common::{Result, exec_err};
use url::{Host, Url};

use super::allowed::Allowed;
use super::uri::Uri;
use crate::object_stores::address::shown;

impl Allowed {
    /// Whether a web server may send its visitors on to this address.
    pub(super) fn admits_redirect(&self, url: &Url) -> bool {
        let is_literal = url.host().as_ref().and_then(address);
        self.check(&Uri::Web(url.clone())).is_ok()
            && (self.local_hosts || !is_literal.is_some_and(is_local))
    }

    /// Refuses a host of this machine or its link before a request is made, by every address of its
    /// name. That the name then leads nowhere else is seen to where connections are made.
    ///
    /// # Errors
    /// When the host is refused.
    pub(super) async fn check_host(&self, url: &Url) -> Result<()> {
        if self.local_hosts {
            return Ok(());
        }
        let mut found = match url.host() {
            Some(Host::Domain(name)) => {
                // What cannot be found is told by the request.
                let found = tokio::net::lookup_host((name, 0)).await;
                found.into_iter().flatten().map(|a| a.ip()).collect()
            }
            Some(host) => Vec::from_iter(address(&host)),
            None => vec![],
        };
        found.retain(|&address| is_local(address));
        match found.first() {
            None => Ok(()),
            Some(address) => exec_err!(
                "'{}' is on this machine or its own link ({address}), where addresses that come from \
                 data are not followed on a cluster; SET featurize.read_blob_local_hosts = true if it \
                 is meant",
                shown(url.as_str())
            ),
        }
    }
}

fn address<T>(host: &Host<T>) -> Option<IpAddr> {
    match host {
        Host::Ipv4(address) => Some((*address).into()),
        Host::Ipv6(address) => Some((*address).into()),
        Host::Domain(_) => None,
    }
}

/// Where Amazon's machines are told their credentials by IPv6; by IPv4 the address is link-local.
const METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// Whether the address is this machine's or leads no farther than its link.
pub(super) fn is_local(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_link_local() || v4.octets()[0] == 0,
        IpAddr::V6(v6) => {
            v6.is_loopback() || v6.is_unspecified() || v6.is_unicast_link_local() || v6 == METADATA
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn hosts_of_this_machine_and_its_link_are_known_in_every_spelling() {
        let closed = Allowed::parse("*", false).unwrap();
        for host in [
            "127.0.0.1",
            "localhost",
            "2130706433",
            "0x7f.1",
            "0.0.0.0",
            "169.254.169.254",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[fe80::1]",
            "[fd00:ec2::254]",
        ] {
            let url = Url::parse(&format!("http://{host}/x")).unwrap();
            let error = closed.check_host(&url).await.unwrap_err().to_string();
            assert!(error.contains("read_blob_local_hosts"), "{error}");
            let open = Allowed::parse("*", true).unwrap();
            open.check_host(&url).await.unwrap();
        }
        for host in ["10.0.0.1", "192.168.1.1", "[2001:db8::1]"] {
            let url = Url::parse(&format!("http://{host}/x")).unwrap();
            closed.check_host(&url).await.unwrap();
            assert!(closed.admits_redirect(&url));
        }
        let url = Url::parse("http://169.254.169.254/x").unwrap();
        assert!(!closed.admits_redirect(&url));
    }
}
