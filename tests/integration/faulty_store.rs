//! A store that fails at one of its changes, counted from 1.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    RenameOptions, Result,
};

/// What happens to the change that fails, and to what comes after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is not made.
    Refused,
    /// It is made, but its answer is lost.
    LostAnswer,
    /// It is not made, and the program is killed: nothing of it reaches the store any more.
    Killed,
    /// It is the last one that the program makes.
    KilledAfter,
    /// It is made, as all others are, but answers come late.
    Late,
}

/// Long beside the time that a query of some thousand rows takes between two of its parts.
const LATE: Duration = Duration::from_millis(20);

pub(crate) const FAULTS: [Fault; 4] = [
    Fault::Refused,
    Fault::LostAnswer,
    Fault::Killed,
    Fault::KilledAfter,
];

#[derive(Debug, Clone)]
pub(crate) struct FaultyStore {
    inner: Arc<dyn ObjectStore>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    changes: AtomicUsize,
    fails_at: usize,
    fault: Fault,
    dead: AtomicBool,
}

impl FaultyStore {
    /// Fails at change number `fails_at`.
    pub(crate) fn new(inner: Arc<dyn ObjectStore>, fault: Fault, fails_at: usize) -> Self {
        Self {
            inner,
            shared: Arc::new(Shared {
                changes: AtomicUsize::new(0),
                fails_at,
                fault,
                dead: AtomicBool::new(false),
            }),
        }
    }

    /// Whether the fault has happened.
    pub(crate) fn has_failed(&self) -> bool {
        self.shared.changes.load(Ordering::SeqCst) >= self.shared.fails_at
    }

    fn read(&self) -> Result<()> {
        self.shared.check()
    }
}

fn failed(what: &str) -> Error {
    Error::Generic {
        store: "FaultyStore",
        source: what.into(),
    }
}

impl Shared {
    fn check(&self) -> Result<()> {
        if self.dead.load(Ordering::SeqCst) {
            return Err(failed("killed"));
        }
        Ok(())
    }

    async fn change<T>(&self, change: impl Future<Output = Result<T>>) -> Result<T> {
        self.check()?;
        if self.fault == Fault::Late {
            let made = change.await;
            tokio::time::sleep(LATE).await;
            return made;
        }
        let is_it = self.changes.fetch_add(1, Ordering::SeqCst) + 1 == self.fails_at;
        if !is_it {
            return change.await;
        }
        if matches!(self.fault, Fault::LostAnswer | Fault::KilledAfter) {
            change.await?;
        }
        if matches!(self.fault, Fault::Killed | Fault::KilledAfter) {
            self.dead.store(true, Ordering::SeqCst);
        }
        Err(failed("injected fault"))
    }
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultyStore")
    }
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let put = self.inner.put_opts(location, payload, options);
        self.shared.change(put).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let put = self.inner.put_multipart_opts(location, options);
        self.shared.change(put).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.read()?;
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.read()?;
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let this = self.clone();
        locations
            .then(move |location| {
                let this = this.clone();
                async move {
                    let location = location?;
                    this.shared.change(this.inner.delete(&location)).await?;
                    Ok(location)
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        if let Err(e) = self.read() {
            return futures::stream::once(async { Err(e) }).boxed();
        }
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.read()?;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let copy = self.inner.copy_opts(from, to, options);
        self.shared.change(copy).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        let rename = self.inner.rename_opts(from, to, options);
        self.shared.change(rename).await
    }
}
