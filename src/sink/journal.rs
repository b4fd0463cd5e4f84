//! The commit: from staged parts to visible ones, in steps that can be repeated.

use std::sync::Arc;

use datafusion::common::runtime::SpawnedTask;
use datafusion::common::{DataFusionError, Result, exec_err};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::links::refuse_linked_folders;
use super::manifest::{Manifest, Part, json, read_json, run_id};
use super::target::{DataFile, Target};

/// Requests of one step that are in flight at once.
const CONCURRENCY: usize = 16;

/// What is left to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Direction {
    Commit,
    RollBack,
    /// Nothing. Where the task that commits may be repeated, this tells that it need not be.
    Done,
}

/// `_temporary/featurize-<run>/_COMMIT.json`: all that a later run needs to finish a commit, or to
/// take it back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Journal {
    #[serde(with = "run_id")]
    run: Uuid,
    direction: Direction,
    /// Staged parts to publish.
    staged: Vec<Part>,
    /// Old parts to remove, as they were.
    old: Vec<DataFile>,
    /// The folder had `_SUCCESS`, which is ours to remove.
    had_success: bool,
    /// The folder shall have `_SUCCESS` and `_MANIFEST.json`.
    success: bool,
    /// What the folder held before, if a manifest said so.
    old_manifest: Option<Manifest>,
    /// What the folder holds afterwards.
    manifest: Manifest,
}

impl Journal {
    pub(super) fn new(
        run: Uuid,
        staged: Vec<Part>,
        old: Vec<DataFile>,
        had_success: bool,
        success: bool,
        old_manifest: Option<Manifest>,
        manifest: Manifest,
    ) -> Self {
        Self {
            run,
            direction: Direction::Commit,
            staged,
            old,
            had_success,
            success,
            old_manifest,
            manifest,
        }
    }

    async fn read(store: &dyn ObjectStore, target: &Target, run: Uuid) -> Result<Option<Self>> {
        read_json(store, &target.journal(run)).await
    }

    async fn write(&self, store: &dyn ObjectStore, target: &Target) -> Result<()> {
        let path = target.journal(self.run);
        store.put(&path, json(self)?.into()).await?;
        Ok(())
    }

    /// Finishes what an earlier attempt at the commit of `run` has begun, and returns the rows that
    /// it committed; `None` if there was none.
    ///
    /// The parts of this attempt may be others than those of the first, since parts whose names
    /// were lost with a machine are written again. Those that the first attempt has noted are
    /// complete, and have to become visible once.
    ///
    /// # Errors
    /// When a step fails, or the earlier attempt had begun to take the commit back.
    pub(super) async fn finish_earlier(
        store: &dyn ObjectStore,
        target: &Target,
        run: Uuid,
    ) -> Result<Option<u64>> {
        let Some(journal) = Self::read(store, target, run).await? else {
            return Ok(None);
        };
        match journal.direction {
            Direction::Commit => {
                journal.publish(store, target).await?;
                journal.complete(store, target, true).await?;
            }
            Direction::RollBack => {
                journal.roll_back(store, target).await?;
                return exec_err!(
                    "'{target}': an earlier attempt could not commit the new data; the old data is \
                     as it was"
                );
            }
            Direction::Done => remove_staged(store, target, run).await?,
        }
        Ok(Some(
            journal.staged.iter().filter_map(|part| part.rows).sum(),
        ))
    }

    /// Commits, or takes back what has been done if a step before the switch of the manifest fails.
    /// Where the task `may_be_repeated`, the journal stays, for [`Self::finish_earlier`] to find,
    /// until the next run.
    ///
    /// # Errors
    /// When a step fails. The folder holds the old data then if the error came before the switch,
    /// and the new data if it came after it.
    pub(super) async fn commit(
        mut self,
        store: &dyn ObjectStore,
        target: &Target,
        may_be_repeated: bool,
    ) -> Result<()> {
        if let Err(e) = self.publish(store, target).await {
            self.direction = Direction::RollBack;
            if let Err(undo) = self.roll_back(store, target).await {
                log::warn!("{target}: could not take back an unfinished commit: {undo}");
                return Err(e.context(format!(
                    "'{target}': the new data could not be committed, nor could what had been \
                     done be taken back. '{}' names the complete old data; the next write to this \
                     target finishes the commit or takes it back",
                    target.manifest()
                )));
            }
            return Err(e.context(format!(
                "'{target}': the new data could not be committed; the old data is as it was"
            )));
        }
        let completed = self.complete(store, target, may_be_repeated).await;
        completed.map_err(|e| {
            e.context(format!(
                "'{target}': the new data is complete, but what it replaces could not be cleared \
                 away; the next write to this target does that"
            ))
        })
    }

    /// Up to the switch: the old data stays as it is, and the new data appears beside it.
    async fn publish(&self, store: &dyn ObjectStore, target: &Target) -> Result<()> {
        self.write(store, target).await?;
        if self.had_success {
            delete(store, [target.success()]).await?;
        }
        let parts = self.staged.iter();
        let requests = parts.map(|part| self.publish_part(store, target, part).boxed());
        all(requests.collect()).await?;
        sync_folder(target).await?;
        self.manifest.write(store, &target.manifest()).await
    }

    async fn publish_part(
        &self,
        store: &dyn ObjectStore,
        target: &Target,
        part: &Part,
    ) -> Result<()> {
        let staged = target.staged(self.run, &part.path);
        publish(
            store,
            target,
            &staged,
            &target.object(&part.path)?,
            part.bytes,
        )
        .await
    }

    /// From the switch on: nothing is left but clearing away.
    async fn complete(
        &self,
        store: &dyn ObjectStore,
        target: &Target,
        may_be_repeated: bool,
    ) -> Result<()> {
        delete(store, self.old_parts(store, target).await?).await?;
        if self.success {
            store.put(&target.success(), "".into()).await?;
        } else {
            delete(store, [target.manifest()]).await?;
        }
        if may_be_repeated {
            let mut done = self.clone();
            done.direction = Direction::Done;
            done.write(store, target).await?;
            return remove_staged(store, target, self.run).await;
        }
        delete(store, [target.journal(self.run)]).await?;
        remove_run(store, target, self.run).await
    }

    /// The old parts that are there, but for those that have been replaced since the run noted them.
    async fn old_parts(&self, store: &dyn ObjectStore, target: &Target) -> Result<Vec<Path>> {
        if self.old.is_empty() {
            return Ok(vec![]);
        }
        // In any format: that of the run which finishes the commit may be another.
        let mut files = target.visible_files(store).await?;
        files.retain(|file| self.old.contains(file));
        refuse_linked_folders(target, files.iter().map(|file| file.name.as_str()))?;
        files.iter().map(|file| target.object(&file.name)).collect()
    }

    async fn roll_back(&self, store: &dyn ObjectStore, target: &Target) -> Result<()> {
        self.write(store, target).await?;
        // The switch may have happened although its answer was lost.
        match &self.old_manifest {
            Some(manifest) => manifest.write(store, &target.manifest()).await?,
            None => delete(store, [target.manifest()]).await?,
        }
        let published = self
            .staged
            .iter()
            .map(|part| target.object(&part.path))
            .collect::<Result<Vec<_>>>()?;
        delete(store, published).await?;
        if self.had_success {
            store.put(&target.success(), "".into()).await?;
        }
        delete(store, [target.journal(self.run)]).await?;
        remove_run(store, target, self.run).await
    }
}

/// Makes a staged part visible; once more does no harm.
pub(super) async fn publish(
    store: &dyn ObjectStore,
    target: &Target,
    staged: &Path,
    path: &Path,
    bytes: u64,
) -> Result<()> {
    let moved = if target.is_local() {
        sync_file(target, staged).await?;
        store.rename(staged, path).await
    } else {
        store.copy(staged, path).await
    };
    match moved {
        Ok(()) => Ok(()),
        Err(object_store::Error::NotFound { .. }) => match store.head(path).await {
            Ok(found) if found.size == bytes => Ok(()),
            _ => exec_err!(
                "'{target}': the staged part '{staged}' is gone; has another program cleared the \
                 folder?"
            ),
        },
        Err(e) => Err(e.into()),
    }
}

/// Finishes the commits of runs that were killed in the midst of one, and removes what other runs
/// have left. The lock must be held: no other run of this crate is alive then.
pub(super) async fn recover(
    store: &dyn ObjectStore,
    target: &Target,
    this_run: Uuid,
) -> Result<()> {
    let objects: Vec<ObjectMeta> = store.list(Some(&target.temporary())).try_collect().await?;
    let mut runs: Vec<Uuid> = objects
        .iter()
        .filter_map(|object| target.run_of(&object.location))
        .collect();
    if is_on_disk(target, this_run) {
        runs.extend(runs_on_disk(target));
    }
    runs.sort();
    runs.dedup();
    for run in runs.into_iter().filter(|run| *run != this_run) {
        match Journal::read(store, target, run).await? {
            Some(journal) if journal.direction == Direction::Commit => {
                log::info!("{target}: finishes the commit of run {run}");
                journal.publish(store, target).await?;
                journal.complete(store, target, false).await?;
            }
            Some(journal) if journal.direction == Direction::RollBack => {
                log::info!("{target}: takes back the commit of run {run}");
                journal.roll_back(store, target).await?;
            }
            Some(_) | None => {
                log::info!("{target}: removes what run {run} has left");
                remove_run(store, target, run).await?;
            }
        }
    }
    Ok(())
}

/// Whether the store shows the disk as it is: a program may register one that shows a folder of it as
/// the root, and runs of other folders are not this one's to remove. The lock of `run` must be held.
fn is_on_disk(target: &Target, run: Uuid) -> bool {
    let lock = target.on_disk(&target.lock()).map(std::fs::read_to_string);
    matches!(lock, Some(Ok(text)) if text.contains(&run.to_string()))
}

/// Folders of runs on the local disk, which `list` does not show when they hold nothing but
/// unfinished files.
pub(super) fn runs_on_disk(target: &Target) -> Vec<Uuid> {
    let Some(Ok(entries)) = target.on_disk(&target.temporary()).map(std::fs::read_dir) else {
        return vec![];
    };
    entries
        .filter_map(|entry| {
            let name = entry.ok()?.file_name();
            target.run_of(&target.temporary().join(name.to_str()?))
        })
        .collect()
}

/// Removes what lies in the folder of a run, but for its journal.
async fn remove_staged(store: &dyn ObjectStore, target: &Target, run: Uuid) -> Result<()> {
    let journal = target.journal(run);
    let folder = target.run_folder(run);
    let objects: Vec<ObjectMeta> = store.list(Some(&folder)).try_collect().await?;
    let objects = objects.into_iter().map(|object| object.location);
    delete(store, objects.filter(|path| *path != journal)).await
}

/// Removes the folder of a run.
pub(super) async fn remove_run(store: &dyn ObjectStore, target: &Target, run: Uuid) -> Result<()> {
    let folder = target.run_folder(run);
    let objects: Vec<ObjectMeta> = store.list(Some(&folder)).try_collect().await?;
    let objects: Vec<Path> = objects.into_iter().map(|object| object.location).collect();
    delete(store, objects).await?;
    if let Some(folder) = target.on_disk(&folder) {
        // Also what the store does not list: files that were being written at the time of a kill.
        match std::fs::remove_dir_all(&folder) {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return exec_err!("could not remove '{}': {e}", folder.display()),
        }
    }
    Ok(())
}

/// Removes `_temporary` from the local disk if it is empty.
pub(super) fn remove_empty_temporary(target: &Target) {
    if let Some(folder) = target.on_disk(&target.temporary()) {
        // Not empty, or gone: either is fine.
        let _ = std::fs::remove_dir(folder);
    }
}

/// Deletes objects; those that are gone already do not matter.
pub(super) async fn delete(
    store: &dyn ObjectStore,
    paths: impl IntoIterator<Item = Path>,
) -> Result<()> {
    let requests = paths.into_iter().map(|path| {
        async move {
            match store.delete(&path).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
                Err(e) => Err(DataFusionError::from(e)),
            }
        }
        .boxed()
    });
    all(requests.collect()).await
}

/// Makes the requests, some at once.
async fn all(requests: Vec<BoxFuture<'_, Result<()>>>) -> Result<()> {
    stream::iter(requests)
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await
}

/// On the local disk, waits until the bytes of a file have reached it. Object stores answer only
/// then.
async fn sync_file(target: &Target, path: &Path) -> Result<()> {
    let Some(file) = target.on_disk(path) else {
        return Ok(());
    };
    sync(Arc::from(file)).await
}

/// The same for the names in the target's folder.
pub(super) async fn sync_folder(target: &Target) -> Result<()> {
    sync_file(target, target.path()).await
}

async fn sync(path: Arc<std::path::Path>) -> Result<()> {
    let task = SpawnedTask::spawn_blocking(move || match std::fs::File::open(&path) {
        Ok(file) => match file.sync_all() {
            // Some file systems cannot sync a folder.
            Err(e) if path.is_file() => exec_err!("could not sync '{}': {e}", path.display()),
            _ => Ok(()),
        },
        // Published already, or a store that is not the disk.
        Err(_) => Ok(()),
    });
    task.join()
        .await
        .map_err(|e| DataFusionError::ExecutionJoin(Box::new(e)))?
}
