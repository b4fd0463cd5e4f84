//! What `read_blob` may reach: the setting `featurize.read_blob_from`, and hosts beside this one.
//!
//! The addresses are data, often somebody else's. They must not open a door into the network of the
//! machine that follows them.

use std::net::{IpAddr, Ipv6Addr};

use datafusion::common::{Result, exec_err};
use url::{Host, Url};

use super::uri::Uri;
use crate::object_stores::address::shown;

/// Where objects may be read from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Allowed {
    /// The beginnings of addresses, as [`Uri`] spells them; `None` is every address.
    from: Option<Vec<String>>,
    /// Whether web servers on this machine and on its own link count too.
    pub(super) local_hosts: bool,
}

impl Allowed {
    /// Reads the setting: `*`, or beginnings of addresses between commas.
    ///
    /// # Errors
    /// When one of them is none; it is named.
    pub(crate) fn parse(from: &str, local_hosts: bool) -> Result<Self> {
        if from.trim() == "*" {
            let from = None;
            return Ok(Self { from, local_hosts });
        }
        let parts = from.split(',').map(str::trim).filter(|p| !p.is_empty());
        let from = Some(parts.map(beginning).collect::<Result<_>>()?);
        Ok(Self { from, local_hosts })
    }

    /// # Errors
    /// When the object lies elsewhere.
    pub(super) fn check(&self, uri: &Uri) -> Result<()> {
        let Some(from) = &self.from else {
            return Ok(());
        };
        let uri = uri.to_string();
        if from.iter().any(|beginning| begins_with(&uri, beginning)) {
            return Ok(());
        }
        exec_err!(
            "'{}' lies in no place that this session may read: featurize.read_blob_from is '{}'; add \
             its place there if it can be trusted",
            shown(&uri),
            from.join(", ")
        )
    }

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
    #[cfg(feature = "http")]
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

/// An entry of the setting in the spelling of [`Uri`].
fn beginning(text: &str) -> Result<String> {
    let whole = text.split_once("://").map(|(_, rest)| rest);
    if whole == Some("") {
        return Ok(text.to_ascii_lowercase()); // All of a scheme.
    }
    let folder = text.strip_suffix('/').unwrap_or(text);
    if let Some((scheme, authority)) = folder.split_once("://")
        && !authority.contains('/')
        && scheme != "file"
    {
        let object = Uri::parse(&format!("{folder}/x"))?.to_string();
        return Ok(object.strip_suffix('x').unwrap_or(&object).to_owned());
    }
    Ok(Uri::parse(folder)?.to_string())
}

/// Whether `uri` is `beginning`, or lies below it.
fn begins_with(uri: &str, beginning: &str) -> bool {
    uri.strip_prefix(beginning).is_some_and(|rest| {
        rest.is_empty() || beginning.ends_with('/') || rest.starts_with(['/', '?'])
    })
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

    fn admits(from: &str, uri: &str) -> bool {
        let allowed = Allowed::parse(from, true).unwrap();
        allowed.check(&Uri::parse(uri).unwrap()).is_ok()
    }

    #[test]
    fn only_what_lies_below_a_named_place_is_read() {
        for (from, uri, expected) in [
            ("*", "ftp://h/x", true),
            ("s3://", "s3a://b/x", true),
            ("s3://", "gs://b/x", false),
            ("s3a://b", "s3://b/x", true),
            ("s3://b/", "s3://bb/x", false),
            ("s3://b/in", "s3://b/in/x", true),
            ("s3://b/in/", "s3://b/inner/x", false),
            ("https://h", "https://H:443/x?y", true),
            ("https://h/a", "https://h/a/../b", false),
            ("https://h/a", "https://h/a/%2e%2e/b", false),
            ("https://h", "http://h/x", false),
            ("https://h", "https://h.evil/x", false),
            ("/data", "file:///data/x", true),
            ("/data", "/data/../etc/passwd", false),
            (" s3://b , /data/ ", "/data/x", true),
            ("", "s3://b/x", false),
        ] {
            assert_eq!(admits(from, uri), expected, "{from} {uri}");
        }
        let error = Allowed::parse("s3://b/a//b", true).unwrap_err();
        assert!(error.to_string().contains("s3://b/a//b"), "{error}");
    }

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
