//! What people write for an object: a URI or a path of the local disk.

use std::fmt;

use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion::execution::object_store::ObjectStoreUrl;
use object_store::path::Path;
use percent_encoding::percent_decode_str;
use url::Url;

use crate::binary_file::location::absolute;
use crate::object_stores::address::{is_web, shown, split_scheme};

/// An object, and how it is reached.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Uri {
    /// On a web server. The address is sent as it is, with its query.
    Web(Url),
    /// In a bucket, or on the local disk.
    Stored {
        store: ObjectStoreUrl,
        /// The name as it is written.
        path: Path,
        /// The name that is meant if the text is percent-encoded and there is none as it is written.
        decoded: Option<Path>,
    },
}

impl Uri {
    /// Reads a URI as the column `path` of a BINARYFILE table has it, an address of the web, or a path of
    /// the local disk.
    ///
    /// # Errors
    /// When the text is none of these.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let Some((scheme, rest)) = split_scheme(text) else {
            if text.is_empty() {
                return exec_err!("expected a URI or a path, found an empty text");
            }
            let path = path(text, &absolute(text)?)?;
            let store = ObjectStoreUrl::local_filesystem();
            return Ok(Self::stored(store, path, None));
        };
        if is_web(&scheme) {
            return web(text);
        }
        let (authority, key) = rest.split_once('/').unwrap_or((rest, ""));
        if authority.is_empty() != (scheme == "file") || key.is_empty() {
            let expected = match &*scheme {
                "file" => "'file:///' and an absolute path".to_owned(),
                _ => format!("'{scheme}://', a bucket and the name of an object"),
            };
            return exec_err!("expected {expected}, found '{}'", shown(text));
        }
        let store = ObjectStoreUrl::parse(format!("{scheme}://{authority}"))
            .map_err(|_| exec_datafusion_err!("'{}' names no bucket", shown(text)))?;
        let decoded = percent_decode_str(key).decode_utf8().ok();
        let decoded = decoded.filter(|decoded| decoded != key);
        let decoded = decoded.and_then(|decoded| Path::parse(decoded.as_ref()).ok());
        Ok(Self::stored(store, path(text, key)?, decoded))
    }

    fn stored(store: ObjectStoreUrl, path: Path, decoded: Option<Path>) -> Self {
        Self::Stored {
            store,
            path,
            decoded,
        }
    }
}

/// One spelling for each object, to be compared; the schemes of a bucket that has several count as one.
impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Web(url) => write!(f, "{url}"),
            Self::Stored { store, path, .. } => {
                let store = store.as_str();
                let (scheme, rest) = store.split_once("://").unwrap_or(("", store));
                let scheme = match scheme {
                    "s3a" => "s3",
                    "gcs" => "gs",
                    scheme => scheme,
                };
                write!(f, "{scheme}://{rest}{path}")
            }
        }
    }
}

fn web(text: &str) -> Result<Uri> {
    let mut url = Url::parse(text).map_err(|e| exec_datafusion_err!("'{}': {e}", shown(text)))?;
    if !url.username().is_empty() || url.password().is_some() {
        return exec_err!(
            "'{}' holds a user or a password, which is not sent; use a signed address",
            shown(text)
        );
    }
    url.set_fragment(None);
    Ok(Uri::Web(url))
}

fn path(text: &str, key: &str) -> Result<Path> {
    let path = Path::parse(key);
    let path = path.map_err(|e| {
        exec_datafusion_err!("'{}' cannot be reached by its name: {e}", shown(text))
    })?;
    if path.as_ref() != key.strip_suffix('/').unwrap_or(key) {
        return exec_err!(
            "'{}' cannot be reached by its name: object_store takes it for '{path}'",
            shown(text)
        );
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_an_object_is_read() {
        for (text, expected) in [
            ("s3://b/a b/50% [x].jpg", "s3://b/a b/50% [x].jpg"),
            ("S3A://b/k", "s3://b/k"),
            ("gcs://b/k", "gs://b/k"),
            ("file:///a/b#c", "file:///a/b#c"),
            ("File:/a/b", "file:///a/b"),
            ("/a/../b/./c.jpg", "file:///b/c.jpg"),
            (
                "HTTPS://Host:443/a/../b c?sig=x%2F#top",
                "https://host/b%20c?sig=x%2F",
            ),
        ] {
            assert_eq!(Uri::parse(text).unwrap().to_string(), expected);
        }
        let relative = Uri::parse("photos/a.jpg").unwrap().to_string();
        let here = std::env::current_dir().unwrap();
        assert_eq!(relative, format!("file://{}/photos/a.jpg", here.display()));
    }

    #[test]
    fn both_spellings_of_an_encoded_name_are_kept() {
        let Uri::Stored { path, decoded, .. } = Uri::parse("s3://b/Apple%20Red").unwrap() else {
            panic!("it lies in a bucket");
        };
        assert_eq!(path.as_ref(), "Apple%20Red");
        assert_eq!(decoded.unwrap().as_ref(), "Apple Red");
    }

    #[test]
    fn what_is_no_object_is_named_without_its_secrets() {
        for (text, expected) in [
            ("", "an empty text"),
            (
                "s3://bucket",
                "'s3://', a bucket and the name of an object, found 's3://bucket'",
            ),
            ("s3:///key", "found 's3:///key'"),
            (
                "file://host/x",
                "'file:///' and an absolute path, found 'file://host/x'",
            ),
            ("s3://b//a", "'s3://b//a' cannot be reached by its name"),
            ("s3://b/a//c", "'s3://b/a//c' cannot be reached by its name"),
            (
                "https://u:hush@h/x?sig=hush",
                "'https://h/x?…' holds a user",
            ),
        ] {
            let error = Uri::parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains("hush"), "{error}");
        }
    }
}
