//! How weights are reached: the object stores that serve them, and who is told of the progress.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use futures::future::BoxFuture;
use object_store::ObjectStore;
use object_store::path::Path;

use super::url::WeightsUrl;
use super::web;
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
