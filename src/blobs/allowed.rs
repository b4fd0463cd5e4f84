//! What `read_blob` may reach: the setting `featurize.read_blob_from`, and hosts beside this one.
//!
//! The addresses are data, often somebody else's. They must not open a door into the network of the
//! machine that follows them.

use super::uri::Uri;
use crate::object_stores::address::shown;
use datafusion::common::{Result, exec_err};

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
}
