//! How weights are reached: the object stores that serve them, and who is told of the progress.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use futures::future::BoxFuture;
use object_store::ObjectStore;
use object_store::path::Path;

use super::url::WeightsUrl;
use crate::error::{Error, Result};

/// Object stores that serve weights files.
pub trait WeightsStores: Send + Sync {
    /// The store that serves `url`, and the file's path in it. Called on a runtime that lives
    /// until the download ends.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] if there is no store for this address: what is missing, without
    /// anything secret.
    fn locate<'a>(
        &'a self,
        url: &'a WeightsUrl,
    ) -> BoxFuture<'a, Result<(Arc<dyn ObjectStore>, Path)>>;
}

/// What a download has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress<'a> {
    /// Name of the file in the weights folder.
    pub file: &'a str,
    /// Bytes that are here, those of an earlier, interrupted download included.
    pub received: u64,
    /// Bytes of the whole file; 0 before the server has said so.
    pub size: u64,
    /// What is happening.
    pub stage: Stage,
}

impl<'a> Progress<'a> {
    /// The beginning of a stage, of which nothing is counted yet.
    pub fn new(file: &'a str, stage: Stage) -> Self {
        Self {
            file,
            received: 0,
            size: 0,
            stage,
        }
    }
}

/// One line: `downloading vgg16.h5 · 12.0 of 58.9 MB`.
impl fmt::Display for Progress<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file;
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        match self.stage {
            Stage::Waiting => write!(f, "{file}: another process downloads it"),
            Stage::Receiving => write!(
                f,
                "downloading {file} · {:.1} of {:.1} MB",
                megabytes(self.received),
                megabytes(self.size)
            ),
            Stage::Verifying | Stage::Ended => write!(f, "{file}: verifying"),
        }
    }
}

/// Stages of a download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// Another process downloads the same file.
    Waiting,
    /// Bytes arrive.
    Receiving,
    /// The file is whole; its digests are computed.
    Verifying,
    /// The file is in its place, or the download has failed.
    Ended,
}

/// Told of the progress of downloads, on the download's thread.
pub type OnProgress = Arc<dyn Fn(&Progress<'_>) + Send + Sync>;

/// How the functions reach weights that are not on this machine.
///
/// It is no part of what a function is: two instances that differ in nothing else are equal.
#[derive(Clone)]
pub struct WeightsAccess {
    stores: Arc<dyn WeightsStores>,
    on_progress: Option<OnProgress>,
}

impl WeightsAccess {
    /// Access through these stores.
    pub fn new(stores: Arc<dyn WeightsStores>) -> Self {
        Self {
            stores,
            on_progress: None,
        }
    }

    /// The same with someone who is told of the progress of downloads.
    #[must_use]
    pub fn with_progress(mut self, on_progress: OnProgress) -> Self {
        self.on_progress = Some(on_progress);
        self
    }

    pub(super) fn stores(&self) -> &dyn WeightsStores {
        self.stores.as_ref()
    }

    pub(super) fn report(&self, progress: &Progress<'_>) {
        if let Some(on_progress) = &self.on_progress {
            on_progress(progress);
        }
    }
}

impl Default for WeightsAccess {
    fn default() -> Self {
        Self::new(Arc::new(WebStores))
    }
}

impl fmt::Debug for WeightsAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeightsAccess").finish_non_exhaustive()
    }
}

impl PartialEq for WeightsAccess {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for WeightsAccess {}

impl Hash for WeightsAccess {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// Web servers and the Hugging Face hub, with the crate feature `http`; nothing else.
///
/// A user and password in the address are sent as basic authentication. Files of the hub are asked
/// for with the token in the environment variable `HF_TOKEN`, if there is one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WebStores;

impl WeightsStores for WebStores {
    fn locate<'a>(
        &'a self,
        url: &'a WeightsUrl,
    ) -> BoxFuture<'a, Result<(Arc<dyn ObjectStore>, Path)>> {
        Box::pin(async move {
            match url.url().scheme() {
                "http" | "https" => web::open(url),
                scheme => Err(Error::Configuration(format!(
                    "there is no object store for {scheme}:// here; install the functions in the \
                     session by with_featurize or enable_featurize, so that its stores serve \
                     weights too"
                ))),
            }
        })
    }
}

#[cfg(feature = "http")]
mod web {
    use std::sync::Arc;
    use std::time::Duration;

    use base64::Engine;
    use http::header::AUTHORIZATION;
    use http::{HeaderMap, HeaderValue};
    use object_store::http::HttpBuilder;
    use object_store::path::Path;
    use object_store::{ClientOptions, ObjectStore, RetryConfig};
    use percent_encoding::percent_decode_str;

    use super::WeightsUrl;
    use crate::error::{Error, Result};

    const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
    const TOKEN_VARIABLE: &str = "HF_TOKEN";

    /// A store of this one file. Its root is the whole address, so that an encoded path and a
    /// query arrive as they were written.
    pub(super) fn open(url: &WeightsUrl) -> Result<(Arc<dyn ObjectStore>, Path)> {
        // How long a request takes depends on the file; the download looks after stalls and
        // retries by itself.
        let mut options = ClientOptions::new()
            .with_allow_http(true)
            .with_timeout_disabled()
            .with_connect_timeout(CONNECT_TIMEOUT);
        if let Some(value) = authorization(url) {
            let mut value = HeaderValue::try_from(value).map_err(|_| {
                let what = "the credentials hold characters that no header can";
                Error::Configuration(format!("weights at {url}: {what}"))
            })?;
            value.set_sensitive(true);
            options = options.with_default_headers(HeaderMap::from_iter([(AUTHORIZATION, value)]));
        }
        let mut address = url.url().clone();
        // They fail where there is no host, and then there are none to remove.
        let _ = address.set_username("");
        let _ = address.set_password(None);
        let retries = RetryConfig {
            max_retries: 0,
            ..RetryConfig::default()
        };
        let store = HttpBuilder::new()
            .with_url(address)
            .with_client_options(options)
            .with_retry(retries)
            .build();
        match store {
            Ok(store) => Ok((Arc::new(store), Path::default())),
            Err(error) => Err(Error::Configuration(format!(
                "no web client could be made for {url}: {}",
                url.redact(&error.to_string())
            ))),
        }
    }

    fn authorization(url: &WeightsUrl) -> Option<String> {
        let (user, password) = (url.url().username(), url.url().password());
        if !user.is_empty() || password.is_some() {
            let mut plain: Vec<u8> = percent_decode_str(user).collect();
            plain.push(b':');
            plain.extend(percent_decode_str(password.unwrap_or_default()));
            let encoded = base64::engine::general_purpose::STANDARD.encode(plain);
            return Some(format!("Basic {encoded}"));
        }
        let token = std::env::var(TOKEN_VARIABLE).ok();
        token
            .filter(|token| url.is_hub() && !token.is_empty())
            .map(|token| format!("Bearer {token}"))
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn basic_authentication() {
            let url = WeightsUrl::parse("https://Aladdin:open%20sesame@h/w.h5").unwrap();
            // The example of RFC 7617.
            let expected = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==";
            assert_eq!(authorization(&url).as_deref(), Some(expected));
            let url = WeightsUrl::parse("https://h/w.h5").unwrap();
            assert_eq!(authorization(&url), None);
        }
    }
}

#[cfg(not(feature = "http"))]
mod web {
    use std::sync::Arc;

    use object_store::ObjectStore;
    use object_store::path::Path;

    use super::WeightsUrl;
    use crate::error::{Error, Result};

    pub(super) fn open(_: &WeightsUrl) -> Result<(Arc<dyn ObjectStore>, Path)> {
        Err(Error::Configuration(
            "this program was built without the feature 'http'; build it with that feature, or \
             download the file and give its path"
                .to_owned(),
        ))
    }
}
