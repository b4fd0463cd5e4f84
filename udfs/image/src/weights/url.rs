//! Addresses of weights files, which may hold secrets.

use std::fmt;

use url::Url;

use super::content;
use super::digest::sha256_hex;
use crate::error::{Error, Result};

/// Environment variable that names another Hugging Face hub, as the hub's own clients have it.
const HUB_VARIABLE: &str = "HF_ENDPOINT";
/// The Hugging Face hub.
const HUB: &str = "https://huggingface.co";
/// Hexadecimal digits of an address's hash in a file name: 64 bits.
const HASH_DIGITS: usize = 16;

/// The address of a weights file: `http(s)://`, `s3://`, `gs://` or `hf://owner/repo/file`.
///
/// User names, passwords and queries, which hold the signature of a presigned address, are used
/// for requests and shown nowhere.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct WeightsUrl {
    url: Url,
    hub: bool,
}

impl WeightsUrl {
    /// Parses an address. `hf://owner/repo[@revision]/path` becomes the address of that file on
    /// the hub, `HF_ENDPOINT` or <https://huggingface.co>.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] that says what is wrong without repeating what may be secret.
    pub fn parse(text: &str) -> Result<Self> {
        let scheme = text.split("://").next().unwrap_or_default();
        let failed = |what: String| Error::Argument(format!("weights at {scheme}://…: {what}"));
        let hub = text.strip_prefix("hf://");
        let expanded = match hub {
            Some(place) => hub_address(place).ok_or_else(|| {
                failed("expected hf://owner/repo/file or hf://owner/repo@revision/file".to_owned())
            })?,
            None => text.to_owned(),
        };
        let mut url = Url::parse(&expanded).map_err(|error| failed(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https" | "s3" | "s3a" | "gs" | "gcs") {
            return Err(failed(
                "expected http(s)://, s3://, gs:// or hf://owner/repo/file".to_owned(),
            ));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(failed("the host or bucket is missing".to_owned()));
        }
        url.set_fragment(None);
        let hub = hub.is_some();
        Ok(Self { url, hub })
    }

    /// Parses the address of a folder: as [`parse`](Self::parse), or `hf://owner/repo[@revision]`.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse).
    pub fn parse_folder(text: &str) -> Result<Self> {
        let is_repo = |place: &str| place.trim_end_matches('/').matches('/').count() == 1;
        if !text.strip_prefix("hf://").is_some_and(is_repo) {
            return Self::parse(text);
        }
        let mut folder = Self::parse(&format!("{}/-", text.trim_end_matches('/')))?;
        // It fails where there is no path, and there is one.
        let _ = folder.url.path_segments_mut().map(|mut path| {
            path.pop();
        });
        Ok(folder)
    }

    /// The address to ask, secrets and all.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Whether it is shown otherwise than it is used.
    pub fn holds_secrets(&self) -> bool {
        let url = &self.url;
        url.query().is_some() || url.password().is_some() || !url.username().is_empty()
    }

    /// Whether this is a file of the Hugging Face hub.
    pub fn is_hub(&self) -> bool {
        self.hub
    }

    /// The address below this one, or `None` if it cannot have one.
    pub(super) fn join(&self, segments: &[&str]) -> Option<Self> {
        let mut joined = self.clone();
        joined
            .url
            .path_segments_mut()
            .ok()?
            .pop_if_empty()
            .extend(segments);
        Some(joined)
    }

    /// The address of another file in the same folder, or `None` if it cannot have one.
    #[cfg(feature = "onnx")]
    pub(super) fn beside(&self, name: &str) -> Option<Self> {
        let mut other = self.clone();
        other
            .url
            .path_segments_mut()
            .ok()?
            .pop_if_empty()
            .pop()
            .push(name);
        Some(other)
    }

    /// Last segment of the path, with nothing but letters, digits, `.`, `-` and `_`.
    pub(super) fn file_name(&self) -> String {
        let segments = self.url.path_segments();
        let last = segments.and_then(|mut segments| segments.next_back());
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let name = last.unwrap_or_default();
        name.replace(|c| !plain(c), "_")
    }

    /// What the file is if its name says that it is not read.
    pub(super) fn foreign_ending(&self) -> Option<&'static str> {
        content::foreign_ending(&self.file_name())
    }

    /// Name of the file's copy in the weights folder: its own name with the hash of its address
    /// before the extension. Credentials and the parameters of a signature, which change from one
    /// presigned address to the next, have no part in it.
    pub(super) fn cache_name(&self) -> String {
        let mut identity = self.url.clone();
        // They fail where there is no host, and then there are none to remove.
        let _ = identity.set_username("");
        let _ = identity.set_password(None);
        let kept: Vec<(String, String)> = identity
            .query_pairs()
            .filter(|(key, _)| !is_signature(key))
            .map(|(key, value)| (key.into_owned(), value.into_owned()))
            .collect();
        identity.set_query(None);
        if !kept.is_empty() {
            identity.query_pairs_mut().extend_pairs(kept);
        }
        let mut hash = sha256_hex(identity.as_str().as_bytes());
        hash.truncate(HASH_DIGITS);
        let name = self.file_name();
        let lower = name.to_ascii_lowercase();
        let extension = [
            ".weights.h5",
            ".h5",
            ".hdf5",
            ".index.json",
            ".json",
            ".keras",
            ".onnx",
            ".safetensors",
        ]
        .into_iter()
        .find(|extension| lower.ends_with(extension))
        .map_or(0, str::len);
        let (stem, extension) = name.split_at(name.len() - extension);
        format!("{stem}-{hash}{extension}")
    }

    /// Removes what is secret in this address from a message.
    pub(super) fn redact(&self, message: &str) -> String {
        let secrets = [
            self.url.query(),
            self.url.password(),
            Some(self.url.username()),
        ];
        let mut message = message.to_owned();
        for secret in secrets.into_iter().flatten().filter(|text| text.len() > 2) {
            message = message.replace(secret, "…");
        }
        message
    }
}

/// Without user, password and query.
impl fmt::Display for WeightsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.url.scheme())?;
        f.write_str(self.url.host_str().unwrap_or_default())?;
        if let Some(port) = self.url.port() {
            write!(f, ":{port}")?;
        }
        f.write_str(self.url.path())?;
        if self.url.query().is_some() {
            f.write_str("?…")?;
        }
        Ok(())
    }
}

impl fmt::Debug for WeightsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WeightsUrl({self})")
    }
}

/// The address of `owner/repo[@revision]/path` on the hub.
fn hub_address(place: &str) -> Option<String> {
    let (owner, rest) = place.split_once('/')?;
    let (repo, path) = rest.split_once('/')?;
    let (repo, revision) = repo.split_once('@').unwrap_or((repo, "main"));
    if [owner, repo, revision, path].contains(&"") {
        return None;
    }
    Some(format!(
        "{}/{owner}/{repo}/resolve/{revision}/{path}",
        hub()
    ))
}

/// The address of the hub, without a slash at its end.
pub(super) fn hub() -> String {
    let hub = std::env::var(HUB_VARIABLE).ok();
    let hub = hub.filter(|hub| !hub.is_empty());
    hub.as_deref()
        .unwrap_or(HUB)
        .trim_end_matches('/')
        .to_owned()
}

/// Parameters by which Amazon, Google, Azure and CloudFront sign an address.
fn is_signature(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    key.starts_with("x-amz-")
        || key.starts_with("x-goog-")
        || matches!(
            key.as_str(),
            "awsaccesskeyid"
                | "googleaccessid"
                | "expires"
                | "signature"
                | "policy"
                | "key-pair-id"
                | "sig"
                | "se"
                | "st"
                | "sp"
                | "sv"
                | "sr"
                | "spr"
                | "token"
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> WeightsUrl {
        WeightsUrl::parse(text).unwrap()
    }

    #[test]
    fn hub_addresses() {
        let url = parse("hf://google/mobilenet/weights/model.safetensors");
        let expected = "/google/mobilenet/resolve/main/weights/model.safetensors";
        assert_eq!(url.url().path(), expected);
        assert!(url.is_hub());
        let url = parse("hf://o/r@v1.0/model.safetensors");
        assert_eq!(url.url().path(), "/o/r/resolve/v1.0/model.safetensors");
        for text in [
            "hf://o",
            "hf://o/r",
            "hf://o/r/",
            "hf://o/r@/x.h5",
            "hf:///r/x.h5",
        ] {
            let error = WeightsUrl::parse(text).unwrap_err().to_string();
            assert!(error.contains("hf://owner/repo/file"), "{error}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let secret = "https://ann:hush@host:8443/a%20b/w.weights.h5?X-Amz-Signature=f00&v=2";
        let url = parse(secret);
        assert_eq!(url.to_string(), "https://host:8443/a%20b/w.weights.h5?…");
        assert_eq!(format!("{url:?}"), format!("WeightsUrl({url})"));
        let error = "GET https://ann:hush@host:8443/w?X-Amz-Signature=f00&v=2 failed";
        let redacted = url.redact(error);
        for secret in ["ann", "hush", "f00"] {
            assert!(!redacted.contains(secret), "{redacted}");
        }
        for text in [
            "https://ann:hush@:80:80/w.h5",
            "ftp://ann:hush@host/w.h5?f00",
        ] {
            let error = WeightsUrl::parse(text).unwrap_err().to_string();
            assert!(!error.contains("hush") && !error.contains("f00"), "{error}");
        }
    }

    #[test]
    fn cache_names_tell_addresses_apart_but_not_signatures() {
        let name = |text| parse(text).cache_name();
        let plain = name("https://host/models/w.weights.h5");
        assert!(
            plain.starts_with("w-") && plain.ends_with(".weights.h5"),
            "{plain}"
        );
        assert_eq!(plain.len(), "w-.weights.h5".len() + HASH_DIGITS);
        assert_eq!(plain, name("https://ann:hush@host/models/w.weights.h5#x"));
        let signed = "https://host/models/w.weights.h5?X-Amz-Signature=f00&X-Amz-Date=1";
        assert_eq!(plain, name(signed));
        assert_ne!(plain, name("https://host/models/w.weights.h5?version=2"));
        assert_ne!(plain, name("https://host/other/w.weights.h5"));
        let odd = name("s3://bucket/a%2F..%2F%C3%A9.safetensors");
        assert!(
            !odd.contains(['/', '%']) && odd.ends_with(".safetensors"),
            "{odd}"
        );
    }
}
