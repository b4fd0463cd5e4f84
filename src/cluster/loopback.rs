//! What is not encrypted stays on this machine, unless it is said that it need not.

use std::net::IpAddr;

use datafusion::common::{Result, config_err};

use crate::NOTICE;

/// Lets `host`, which the argument `name` gives, be another machine, or reached from one, only if that is
/// said to be `insecure`; then it warns.
pub(super) fn check_address(name: &str, host: &str, insecure: bool) -> Result<()> {
    if is_loopback(host) {
        return Ok(());
    }
    if !insecure {
        return config_err!(
            "{name} {host}: without --tls-ca, --tls-cert and --tls-key (or FEATURIZE_TLS_CA, …), nothing \
             between the processes of a cluster is encrypted, and whoever reaches a port runs queries with \
             the rights of its machine; on a private network, or behind WireGuard or a mesh with mutual \
             TLS, say --insecure (in Python, insecure=True)"
        );
    }
    log::warn!(
        target: NOTICE,
        "{name} {host}, insecure: nothing is encrypted, and whoever reaches a port runs queries"
    );
    Ok(())
}

/// Whether only this machine is meant; a name is not looked up, because it may change its meaning.
fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    address.parse::<IpAddr>().map_or_else(
        |_| host.eq_ignore_ascii_case("localhost"),
        |address| address.is_loopback(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_machines_need_a_word() {
        for (host, is_near) in [
            ("localhost", true),
            ("LocalHost", true),
            ("127.0.0.1", true),
            ("127.8.8.8", true),
            ("[::1]", true),
            ("::1", true),
            ("0.0.0.0", false),
            ("::", false),
            ("10.0.0.9", false),
            ("localhost.example", false),
            ("", false),
        ] {
            assert_eq!(
                check_address("--bind-host", host, false).is_ok(),
                is_near,
                "{host}"
            );
            check_address("--bind-host", host, true).unwrap();
        }
    }
}
