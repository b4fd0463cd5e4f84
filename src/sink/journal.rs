//! The commit: from staged parts to visible ones, in steps that can be repeated.

use std::sync::Arc;

use datafusion::common::runtime::SpawnedTask;
use datafusion::common::{DataFusionError, Result, exec_err};
use futures::FutureExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::clear::{all, committed, delete, remove_run, remove_staged};
use super::links::refuse_linked_folders;
use super::manifest::{Manifest, Part, json, read_json, run_id};
use super::target::{DataFile, Target};

/// What is left to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Direction {
    Commit,
    RollBack,
    /// Nothing: as earlier releases have left it where the task that commits may be repeated.
    Done,
}

/// `_temporary/featurize-<run>/_COMMIT.json`: all that a later run needs to finish a commit, or to
/// take it back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Journal {
    #[serde(with = "run_id")]
    pub(super) run: Uuid,
    pub(super) direction: Direction,
    /// Staged parts to publish.
    pub(super) staged: Vec<Part>,
    /// Old parts to remove, as they were.
    pub(super) old: Vec<DataFile>,
    /// The folder had `_SUCCESS`, which is ours to remove.
    pub(super) had_success: bool,
    /// The folder shall have `_SUCCESS`.
    pub(super) success: bool,
    /// What the folder held before, if a manifest said so, or this run has made one.
    pub(super) old_manifest: Option<Manifest>,
    /// What the folder holds afterwards.
    pub(super) manifest: Manifest,
}

impl Journal {
    pub(super) async fn read(
        store: &dyn ObjectStore,
        target: &Target,
        run: Uuid,
    ) -> Result<Option<Self>> {
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
        if let Some(rows) = committed(store, target, run).await? {
            remove_staged(store, target, run).await?;
            return Ok(Some(rows));
        }
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
            Direction::Done => {}
        }
        Ok(Some(journal.rows()))
    }

    /// Commits, or takes back what has been done if a step before the switch of the manifest fails.
    /// Where the task `may_be_repeated`, an empty file stays, for [`Self::finish_earlier`] to find,
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

    /// Rows that the run has staged.
    fn rows(&self) -> u64 {
        self.staged.iter().filter_map(|part| part.rows).sum()
    }

    /// Up to the switch: the old data stays as it is, and the new data appears beside it.
    pub(super) async fn publish(&self, store: &dyn ObjectStore, target: &Target) -> Result<()> {
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
    pub(super) async fn complete(
        &self,
        store: &dyn ObjectStore,
        target: &Target,
        may_be_repeated: bool,
    ) -> Result<()> {
        delete(store, self.old_parts(store, target).await?).await?;
        if self.success {
            store.put(&target.success(), "".into()).await?;
        }
        if !self.manifest.on_request {
            delete(store, [target.manifest()]).await?;
        }
        if may_be_repeated {
            let committed = target.committed(self.run, self.rows());
            store.put(&committed, "".into()).await?;
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

    pub(super) async fn roll_back(&self, store: &dyn ObjectStore, target: &Target) -> Result<()> {
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
        let is_own = |m: &Manifest| m.run == self.run.to_string() && !m.on_request;
        if self.old_manifest.as_ref().is_some_and(is_own) {
            delete(store, [target.manifest()]).await?;
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
