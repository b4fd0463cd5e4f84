//! One execution of a write: the lock, the parts, and giving up.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::{DataFusionError, Result, exec_err};
use datafusion::execution::TaskContext;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::runtime::Handle;
use tokio::sync::{OnceCell, RwLock};
use uuid::Uuid;

use super::capabilities::check_delete;
use super::clear::{delete, remove_empty_temporary, remove_run};
use super::closed::Closed;
use super::encode::{Buffers, PartEncoder};
use super::journal::publish;
use super::links::{refuse_linked_folders, refuse_linked_temporary};
use super::lock::{Heartbeat, Lock, RENEWAL};
use super::manifest::{Manifest, Part};
use super::options::WriteMode;
use super::recover::recover;
use super::spec::WriteSpec;
use super::target::Target;
use crate::{NOTICE, io_runtime};

/// The runs of this program that go on. All partitions of a write share one.
static RUNS: LazyLock<Mutex<HashMap<Uuid, Weak<Run>>>> = LazyLock::new(Mutex::default);

/// Runs of this program that were interrupted and are being cleared away.
static CLEARING: AtomicUsize = AtomicUsize::new(0);

/// Waits until nothing writes any more, and what was interrupted has been cleared away: for programs that
/// end after an interrupt.
pub async fn settled() {
    let goes_on = || {
        let runs = RUNS.lock().unwrap_or_else(PoisonError::into_inner);
        runs.values().any(|run| run.strong_count() > 0) || CLEARING.load(Ordering::Relaxed) > 0
    };
    while goes_on() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// An execution of a write in this program.
pub(super) struct Run {
    pub(super) spec: Arc<WriteSpec>,
    pub(super) store: Arc<dyn ObjectStore>,
    publishes_at_once: bool,
    /// All tasks of the run are this program's.
    pub(super) one_process: bool,
    upload_buffer: usize,
    started: OnceCell<Option<Started>>,
    /// Files that were there, if the statement does not say what becomes of them.
    pub(super) had_files: AtomicUsize,
    /// Set before the first part becomes visible: the folder is not complete any more. How it was.
    pub(super) opened: OnceCell<Found>,
    /// Rows of an append that readers see already.
    shown_rows: AtomicU64,
    /// Nothing is left to be cleared away.
    has_ended: AtomicBool,
    /// Set when the run is given up: parts that tasks are still closing must not appear any more.
    given_up: RwLock<bool>,
}

/// What a run finds in its folder.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) manifest: Option<Manifest>,
    /// There was a `_SUCCESS` that is the run's to remove.
    pub(super) had_success: bool,
}

/// The lock of a folder, renewed until the run is dropped.
struct Started {
    lock: Arc<Lock>,
    _heartbeat: Heartbeat,
}

impl Run {
    /// The run of `spec` in this program.
    ///
    /// # Errors
    /// When the session has no store for the target.
    pub(super) fn join(spec: &Arc<WriteSpec>, context: &TaskContext) -> Result<Arc<Self>> {
        let store = context.runtime_env().object_store(spec.target.store())?;
        let settings = &context.session_config().options().execution;
        let mut runs = RUNS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(run) = runs.get(&spec.run).and_then(Weak::upgrade) {
            return Ok(run);
        }
        runs.retain(|_, run| run.strong_count() > 0);
        let run = Arc::new(Self {
            publishes_at_once: spec.publishes_at_once(context),
            one_process: context.task_id().is_none(),
            upload_buffer: settings.objectstore_writer_buffer_size,
            spec: Arc::clone(spec),
            store,
            started: OnceCell::new(),
            had_files: AtomicUsize::new(0),
            shown_rows: AtomicU64::new(0),
            has_ended: AtomicBool::new(false),
            opened: OnceCell::new(),
            given_up: RwLock::new(false),
        });
        runs.insert(spec.run, Arc::downgrade(&run));
        Ok(run)
    }

    /// Parts become visible as soon as they are closed, rather than at the commit.
    pub(super) fn publishes_at_once(&self) -> bool {
        self.publishes_at_once
    }

    /// All tasks of the run are this program's. Otherwise a task that fails may be repeated.
    pub(super) fn is_one_process(&self) -> bool {
        self.one_process
    }

    fn is_live(run: Uuid) -> bool {
        let runs = RUNS.lock().unwrap_or_else(PoisonError::into_inner);
        runs.get(&run).is_some_and(|run| run.strong_count() > 0)
    }

    /// Takes the lock, clears away what dead runs have left, and sees whether the target may be
    /// written to. Done once, however many partitions ask.
    ///
    /// # Errors
    /// When another run writes to the target, or `write_mode` forbids it.
    pub(super) async fn start(&self) -> Result<()> {
        let start = self.started.get_or_try_init(|| async {
            if self.spec.target.is_file() {
                self.check_file().await?;
                return Ok(None);
            }
            self.start_folder().await.map(Some)
        });
        start.await.map(|_| ())
    }

    async fn start_folder(&self) -> Result<Started> {
        let (store, target, run) = (&self.store, &self.spec.target, self.spec.run);
        check_delete(store, target, run).await?;
        // Before anything is touched: a manifest that another program has written is not replaced.
        Manifest::read(store.as_ref(), &target.manifest()).await?;
        self.refuse_links().await?;
        let lock = Lock::acquire(store, target, run, self.one_process, Self::is_live).await?;
        if let Err(e) = self.prepare_folder(lock.is_first()).await {
            release(store, target, &lock).await;
            return Err(e);
        }
        let lock = Arc::new(lock);
        Ok(Started {
            _heartbeat: heartbeat(&lock, &self.store, target)?,
            lock,
        })
    }

    /// On the local disk, what is cleared away or replaced must lie in the folder, and not behind
    /// a link in it.
    async fn refuse_links(&self) -> Result<()> {
        let target = &self.spec.target;
        if !target.is_local() {
            return Ok(());
        }
        refuse_linked_temporary(target)?;
        if self.spec.write_mode != WriteMode::Overwrite {
            return Ok(());
        }
        let files = target.data_files(self.store.as_ref()).await?;
        refuse_linked_folders(target, files.iter().map(|file| file.name.as_str()))
    }

    /// What is there when a later task of the run starts may be the run's own.
    async fn prepare_folder(&self, is_first: bool) -> Result<()> {
        let (store, target) = (self.store.as_ref(), &self.spec.target);
        recover(store, target, self.spec.run).await?;
        if !is_first || self.spec.write_mode == WriteMode::Overwrite {
            return Ok(());
        }
        if self.spec.write_mode == WriteMode::Append && self.spec.mode_is_explicit {
            return Ok(());
        }
        if self.spec.write_mode == WriteMode::ErrorIfExists
            && let files = target.visible_files(store).await?
            && let Some(file) = files.first()
        {
            return exec_err!(
                "'{target}' holds data already ('{}' and {} more files); choose another target, or \
                 say OPTIONS ('write_mode' 'overwrite') or ('write_mode' 'append')",
                file.name,
                files.len() - 1
            );
        }
        let files = target.data_files(store).await?;
        self.had_files.store(files.len(), Ordering::Relaxed);
        Ok(())
    }

    /// A single file is replaced as a whole when it is closed; there is nothing to append to.
    async fn check_file(&self) -> Result<()> {
        let target = &self.spec.target;
        if self.spec.write_mode == WriteMode::Overwrite {
            return Ok(());
        }
        let found = self.store.head(target.path()).await;
        if !self.spec.mode_is_explicit {
            let had_files = usize::from(found.is_ok());
            self.had_files.store(had_files, Ordering::Relaxed);
            return Ok(());
        }
        match found {
            Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(e) => Err(e.into()),
            Ok(_) if self.spec.write_mode == WriteMode::Append => exec_err!(
                "'{target}' is a file that exists, and a file cannot be appended to; name a \
                 folder ('{target}/'), or say OPTIONS ('write_mode' 'overwrite')"
            ),
            Ok(_) => exec_err!(
                "'{target}' exists already; choose another target, or say OPTIONS ('write_mode' \
                 'overwrite')"
            ),
        }
    }

    /// Opens a part with these columns; `open_at_once` parts share the memory.
    pub(super) fn open(
        &self,
        name: &str,
        schema: &SchemaRef,
        open_at_once: usize,
    ) -> Result<PartEncoder> {
        let buffers = Buffers::new(open_at_once, self.upload_buffer);
        let (format, path) = (&self.spec.format, self.writes_to(name)?);
        PartEncoder::try_new(format, schema, &self.store, &path, buffers)
    }

    /// Where the bytes of a part go before it is visible. An object that is being uploaded to an
    /// object store cannot be seen; a file that is being written can.
    fn writes_to(&self, name: &str) -> Result<Path> {
        let target = &self.spec.target;
        if target.is_file() {
            return Ok(target.path().clone());
        }
        if self.publishes_at_once && !target.is_local() {
            return target.object(name);
        }
        Ok(target.staged(self.spec.run, name))
    }

    /// Closes a part, and makes it visible if that is not for the commit to do.
    pub(super) async fn close(
        self: &Arc<Self>,
        name: String,
        rows: u64,
        encoder: PartEncoder,
    ) -> Result<Closed> {
        if !self.publishes_at_once || self.spec.target.is_file() {
            return self.close_now(name, rows, encoder).await;
        }
        // A partition is dropped when another one fails. A request of its own may have reached the store by
        // then, and rows that readers see must be in the count of those that stay.
        let run = Arc::clone(self);
        let task = Handle::current().spawn(async move { run.close_now(name, rows, encoder).await });
        task.await
            .map_err(|e| DataFusionError::ExecutionJoin(Box::new(e)))?
    }

    /// The same for whoever is not dropped while another part fails.
    pub(super) async fn close_now(
        &self,
        name: String,
        rows: u64,
        encoder: PartEncoder,
    ) -> Result<Closed> {
        let given_up = self.given_up.read().await;
        if *given_up {
            encoder.abort().await;
            return exec_err!("another part of the query has failed");
        }
        let (store, target) = (self.store.as_ref(), &self.spec.target);
        let written = self.writes_to(&name)?;
        if self.publishes_at_once && !target.is_file() {
            self.open_folder().await?;
        }
        encoder.finish().await?;
        let bytes = store.head(&written).await?.size;
        let visible = self.publishes_at_once || target.is_file();
        if visible && !target.is_file() {
            let path = target.object(&name)?;
            if path != written {
                publish(store, target, &written, &path, bytes).await?;
            }
            self.shown_rows.fetch_add(rows, Ordering::Relaxed);
        }
        let part = Part {
            path: name,
            rows: Some(rows),
            bytes,
        };
        Ok(Closed { part, visible })
    }

    /// Before the first part becomes visible, `_SUCCESS` must not, and a manifest names what is
    /// complete.
    async fn open_folder(&self) -> Result<()> {
        let open = self.opened.get_or_try_init(|| async {
            self.verify_lock().await?;
            let (store, target) = (self.store.as_ref(), &self.spec.target);
            let mut found = self.look().await?;
            if found.had_success {
                if found.manifest.is_none() {
                    let files = target.data_files(store).await?;
                    found.manifest = Some(self.describe(&files, None).await?);
                }
                delete(store, [target.success()]).await?;
            }
            Ok::<_, DataFusionError>(found)
        });
        open.await?;
        Ok(())
    }

    pub(super) async fn verify_lock(&self) -> Result<()> {
        if let Some(Some(started)) = self.started.get() {
            let lock = &started.lock;
            lock.verify(self.store.as_ref(), &self.spec.target).await?;
        }
        Ok(())
    }

    /// What is said before the reason for which it has failed.
    pub(super) fn failure(&self) -> String {
        let target = &self.spec.target;
        match self.shown_rows.load(Ordering::Relaxed) {
            0 => format!("writing to '{target}'"),
            rows => format!(
                "writing to '{target}', where {rows} rows of this statement have been appended and stay"
            ),
        }
    }

    /// Clears away what a failed run has left, as far as the store lets it: what remains is
    /// recognised by the next run.
    pub(super) async fn abort(&self) {
        *self.given_up.write().await = true;
        if let Some(Some(started)) = self.started.get() {
            clear_away(&self.store, &self.spec.target, &started.lock).await;
        }
        self.has_ended.store(true, Ordering::Relaxed);
    }

    /// Gives the lock up, for the run may be over; if it is not, its next task takes it again.
    pub(super) async fn end(&self) {
        if let Some(Some(started)) = self.started.get() {
            release(&self.store, &self.spec.target, &started.lock).await;
        }
        self.has_ended.store(true, Ordering::Relaxed);
    }
}

impl Drop for Run {
    /// What was interrupted is cleared away as what has failed is. Tasks of other programs may go on.
    fn drop(&mut self) {
        if self.has_ended.load(Ordering::Relaxed) || !self.one_process {
            return;
        }
        let (Some(Some(started)), Ok(runtime)) = (self.started.take(), io_runtime::handle()) else {
            return;
        };
        let (store, target) = (Arc::clone(&self.store), self.spec.target.clone());
        let shown_rows = self.shown_rows.load(Ordering::Relaxed);
        if shown_rows > 0 {
            log::warn!(
                target: NOTICE,
                "'{target}' has {shown_rows} rows of the statement, which was interrupted; they stay"
            );
        }
        CLEARING.fetch_add(1, Ordering::Relaxed);
        runtime.spawn(async move {
            clear_away(&store, &target, &started.lock).await;
            CLEARING.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

/// Removes what a run has staged, and its lock.
async fn clear_away(store: &Arc<dyn ObjectStore>, target: &Target, lock: &Lock) {
    // A commit that could neither be finished nor taken back needs what is there.
    let is_in_doubt = exists(store.as_ref(), &target.journal(lock.run())).await;
    if matches!(is_in_doubt, Ok(false))
        && let Err(e) = remove_run(store.as_ref(), target, lock.run()).await
    {
        log::warn!("{target}: could not clear away after a write that was given up: {e}");
    }
    release(store, target, lock).await;
}

async fn release(store: &Arc<dyn ObjectStore>, target: &Target, lock: &Lock) {
    if let Err(e) = lock.release(store.as_ref(), target).await {
        log::warn!("{target}: could not remove the lock: {e}");
    }
    remove_empty_temporary(target);
}

async fn exists(store: &dyn ObjectStore, path: &Path) -> Result<bool> {
    match store.head(path).await {
        Ok(_) => Ok(true),
        Err(object_store::Error::NotFound { .. }) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// Renews the lock while the query keeps its own threads busy.
fn heartbeat(lock: &Arc<Lock>, store: &Arc<dyn ObjectStore>, target: &Target) -> Result<Heartbeat> {
    let (lock, store, target) = (Arc::clone(lock), Arc::clone(store), target.clone());
    let runtime = io_runtime::handle()?;
    let _guard = runtime.enter();
    Ok(SpawnedTask::spawn(async move {
        loop {
            tokio::time::sleep(RENEWAL).await;
            if let Err(e) = lock.renew(store.as_ref(), &target).await {
                log::warn!("{e}");
            }
        }
    }))
}
