//! One execution of a write, from the lock to the commit.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use arrow::datatypes::SchemaRef;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::{DataFusionError, Result, exec_err};
use datafusion::execution::TaskContext;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::sync::{OnceCell, RwLock};
use uuid::Uuid;

use super::capabilities::check_delete;
use super::closed::Closed;
use super::encode::{Buffers, PartEncoder, PartFormat};
use super::journal::{
    Journal, delete, publish, recover, remove_empty_temporary, remove_run, sync_folder,
};
use super::links::{refuse_linked_folders, refuse_linked_temporary};
use super::lock::{Heartbeat, Lock, RENEWAL};
use super::manifest::{Manifest, Part};
use super::options::WriteMode;
use super::target::Target;
use crate::io_runtime;

/// Everything that a statement says about its target: plain data, so that plans can travel.
#[derive(Clone)]
pub struct WriteSpec {
    /// Names the run's folder below `_temporary`, its lock and its manifest.
    pub run: Uuid,
    /// Where it writes.
    pub target: Target,
    /// What happens to data that is there.
    pub write_mode: WriteMode,
    /// The statement says `write_mode`.
    pub mode_is_explicit: bool,
    /// Exactly so many parts.
    pub num_files: Option<usize>,
    /// Whether `_SUCCESS` is written; `None` is the default of the mode.
    pub success_file: Option<bool>,
    /// Rows after which a part of an append is closed and visible; 0 is never.
    pub checkpoint_rows: usize,
    /// Format and options of the parts.
    pub format: PartFormat,
    /// Ending of the parts' names, such as `csv.gz`.
    pub extension: String,
    /// Columns of the parts.
    pub schema: SchemaRef,
    /// The plan of the query, for the manifest.
    pub query: String,
}

impl WriteSpec {
    /// Parts of the run become visible as soon as they are closed, rather than at the commit.
    ///
    /// Not where tasks are repeated elsewhere when they fail (`task_id` is given there): the rows
    /// of a part that was visible already would be there twice.
    fn publishes_at_once(&self, context: &TaskContext) -> bool {
        self.write_mode == WriteMode::Append
            && self.num_files.is_none()
            && context.task_id().is_none()
    }
}

/// Without the options of the format and the text of the query.
impl fmt::Debug for WriteSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteSpec")
            .field("run", &self.run)
            .field("target", &self.target.to_string())
            .field("write_mode", &self.write_mode)
            .field("num_files", &self.num_files)
            .field("success_file", &self.success_file)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

/// The runs of this program that go on. All partitions of a write share one.
static RUNS: LazyLock<Mutex<HashMap<Uuid, Weak<Run>>>> = LazyLock::new(Mutex::default);

/// An execution of a write in this program.
pub(super) struct Run {
    spec: Arc<WriteSpec>,
    store: Arc<dyn ObjectStore>,
    publishes_at_once: bool,
    /// All tasks of the run are this program's.
    one_process: bool,
    upload_buffer: usize,
    started: OnceCell<Option<Started>>,
    /// Set before the first part becomes visible: the folder is not complete any more. Whether it
    /// was, by a `_SUCCESS` that is ours to remove.
    opened: OnceCell<bool>,
    /// Set when the run is given up: parts that tasks are still closing must not appear any more.
    given_up: RwLock<bool>,
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
            self.release(&lock).await;
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
        if self.spec.write_mode == WriteMode::ErrorIfExists && is_first {
            let files = target.data_files(store).await?;
            if let Some(file) = files.first() {
                return exec_err!(
                    "'{target}' holds data already ('{}' and {} more files); choose another \
                     target, or say OPTIONS ('write_mode' 'overwrite') or ('write_mode' 'append')",
                    file.name,
                    files.len() - 1
                );
            }
        }
        Ok(())
    }

    /// A single file is replaced as a whole when it is closed; there is nothing to append to.
    async fn check_file(&self) -> Result<()> {
        let target = &self.spec.target;
        if self.spec.write_mode == WriteMode::Overwrite || !self.spec.mode_is_explicit {
            return Ok(());
        }
        match self.store.head(target.path()).await {
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

    /// Opens a part; `open_at_once` parts share the memory.
    pub(super) fn open(&self, name: &str, open_at_once: usize) -> Result<PartEncoder> {
        let buffers = Buffers::new(open_at_once, self.upload_buffer);
        let WriteSpec { format, schema, .. } = self.spec.as_ref();
        PartEncoder::try_new(format, schema, &self.store, &self.writes_to(name)?, buffers)
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
        }
        let part = Part {
            path: name,
            rows: Some(rows),
            bytes,
        };
        Ok(Closed { part, visible })
    }

    /// Before the first part becomes visible, `_SUCCESS` must not.
    async fn open_folder(&self) -> Result<()> {
        let open = self.opened.get_or_try_init(|| async {
            self.verify_lock().await?;
            let (store, target) = (self.store.as_ref(), &self.spec.target);
            let manifest = Manifest::read(store, &target.manifest()).await?;
            let had_success = self.had_success(manifest.as_ref()).await?;
            if had_success {
                delete(store, [target.success()]).await?;
            }
            Ok::<_, DataFusionError>(had_success)
        });
        open.await?;
        Ok(())
    }

    /// Whether there is a `_SUCCESS` that is this run's to remove: one that this crate has written,
    /// beside its manifest, or one in a folder that the statement names for it.
    async fn had_success(&self, manifest: Option<&Manifest>) -> Result<bool> {
        let is_ours = manifest.is_some()
            || self.spec.write_mode != WriteMode::Append
            || self.spec.success_file == Some(true);
        Ok(is_ours && exists(self.store.as_ref(), &self.spec.target.success()).await?)
    }

    async fn verify_lock(&self) -> Result<()> {
        if let Some(Some(started)) = self.started.get() {
            let lock = &started.lock;
            lock.verify(self.store.as_ref(), &self.spec.target).await?;
        }
        Ok(())
    }

    /// Commits the parts of all partitions; returns their rows.
    ///
    /// # Errors
    /// When a step of the commit fails: see [`Journal::commit`].
    pub(super) async fn finish(&self, mut closed: Vec<Closed>) -> Result<u64> {
        if self.spec.write_mode != WriteMode::Append && closed.is_empty() {
            // Readers get the columns from a part, even if there are no rows.
            let name = part_name(0, Uuid::now_v7(), 0, &self.spec.extension);
            let empty = self.open(&name, 1)?;
            closed.push(self.close(name, 0, empty).await?);
        }
        let rows = closed.iter().filter_map(|closed| closed.part.rows).sum();
        if self.spec.target.is_file() {
            return Ok(rows);
        }
        self.verify_lock().await?;
        let (store, target) = (self.store.as_ref(), &self.spec.target);
        let earlier = match self.one_process {
            true => None,
            false => Journal::finish_earlier(store, target, self.spec.run).await?,
        };
        if earlier.is_none() {
            self.commit_folder(closed).await?;
        }
        self.end().await;
        Ok(earlier.unwrap_or(rows))
    }

    async fn commit_folder(&self, closed: Vec<Closed>) -> Result<()> {
        if let Some(expected) = self.spec.num_files
            && expected != closed.len()
        {
            return exec_err!(
                "'{}': 'num_files' is {expected}, but {} parts have been written; the query was \
                 cut into more tasks than one",
                self.spec.target,
                closed.len()
            );
        }
        let (store, target) = (self.store.as_ref(), &self.spec.target);
        let manifest = Manifest::read(store, &target.manifest()).await?;
        let had_success = match self.opened.get() {
            Some(had_success) => *had_success,
            None => self.had_success(manifest.as_ref()).await?,
        };
        let success = self
            .spec
            .success_file
            .unwrap_or_else(|| match self.spec.write_mode {
                WriteMode::Append => manifest.is_some(),
                WriteMode::Overwrite | WriteMode::ErrorIfExists => true,
            });
        let all_visible = closed.iter().all(|closed| closed.visible);
        let leaves_files = success || manifest.is_some() || had_success;
        if self.spec.write_mode == WriteMode::Append && all_visible && !leaves_files {
            sync_folder(target).await?;
            return remove_run(store, target, self.spec.run).await;
        }
        let journal = self.journal(closed, manifest, had_success, success).await?;
        journal.commit(store, target, !self.one_process).await
    }

    async fn journal(
        &self,
        closed: Vec<Closed>,
        mut old_manifest: Option<Manifest>,
        had_success: bool,
        success: bool,
    ) -> Result<Journal> {
        let (store, target) = (self.store.as_ref(), &self.spec.target);
        let (mut parts, mut staged) = (vec![], vec![]);
        for closed in closed {
            if !closed.visible {
                staged.push(closed.part.clone());
            }
            parts.push(closed.part);
        }
        let is_new = |name: &str| parts.iter().any(|part| part.path == name);
        let files = target.data_files(store).await?;
        let mut old: Vec<_> = files
            .into_iter()
            .filter(|file| !is_new(&file.name))
            .collect();
        if self.spec.write_mode == WriteMode::ErrorIfExists
            && let Some(file) = old.first()
        {
            return exec_err!(
                "'{target}': another program has written '{}' while this query ran; its data is \
                 left alone. Choose another target, or say OPTIONS ('write_mode' 'overwrite')",
                file.name
            );
        }
        let known = old_manifest
            .as_ref()
            .map_or(&[][..], |manifest| &manifest.parts);
        let rows_of = |name: &str| known.iter().find(|part| part.path == name)?.rows;
        let old_parts: Vec<Part> = old
            .iter()
            .map(|file| Part {
                path: file.name.clone(),
                rows: rows_of(&file.name),
                bytes: file.bytes,
            })
            .collect();
        if self.spec.write_mode == WriteMode::Overwrite {
            // Once more, for the query may have taken long.
            refuse_linked_folders(target, old.iter().map(|file| file.name.as_str()))?;
            let describes = old_manifest
                .as_ref()
                .is_some_and(|manifest| manifest.names(&old));
            if !describes && !old.is_empty() {
                // So that there is no moment at which no manifest tells old from new.
                let manifest = self.manifest(old_parts);
                manifest.write(store, &target.manifest()).await?;
                old_manifest = Some(manifest);
            }
        } else {
            parts.splice(0..0, old_parts);
            old.clear();
        }
        let manifest = self.manifest(parts);
        let run = self.spec.run;
        Ok(Journal::new(
            run,
            staged,
            old,
            had_success,
            success,
            old_manifest,
            manifest,
        ))
    }

    fn manifest(&self, parts: Vec<Part>) -> Manifest {
        let spec = &self.spec;
        let format = spec.format.name();
        Manifest::new(
            spec.run,
            format,
            spec.write_mode,
            &spec.schema,
            &spec.query,
            parts,
        )
    }

    /// Clears away what a failed run has left, as far as the store lets it: what remains is
    /// recognised by the next run.
    pub(super) async fn abort(&self) {
        *self.given_up.write().await = true;
        if self.spec.target.is_file() {
            return;
        }
        if let Some(Some(_)) = self.started.get() {
            let (store, target) = (self.store.as_ref(), &self.spec.target);
            // A commit that could neither be finished nor taken back needs what is there.
            let is_in_doubt = exists(store, &target.journal(self.spec.run)).await;
            if matches!(is_in_doubt, Ok(false))
                && let Err(e) = remove_run(store, target, self.spec.run).await
            {
                log::warn!("{target}: could not clear away after a failed write: {e}");
            }
        }
        self.end().await;
    }

    /// Gives the lock up, for the run may be over; if it is not, its next task takes it again.
    pub(super) async fn end(&self) {
        if let Some(Some(started)) = self.started.get() {
            self.release(&started.lock).await;
            remove_empty_temporary(&self.spec.target);
        }
    }

    async fn release(&self, lock: &Lock) {
        let target = &self.spec.target;
        if let Err(e) = lock.release(self.store.as_ref(), target).await {
            log::warn!("{target}: could not remove the lock: {e}");
        }
    }
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

/// `part-<number>-<uuid>-c<count>.<ending>`, as Spark names its parts. The uuid makes the name
/// unique: the number is a partition's, which is counted anew in every task of a cluster.
pub(super) fn part_name(number: usize, uuid: Uuid, count: usize, extension: &str) -> String {
    format!("part-{number:05}-{uuid}-c{count:03}.{extension}")
}
