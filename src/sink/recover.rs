//! What earlier runs have left: unfinished commits, staged parts, and pieces of killed programs.

use datafusion::common::{Result, exec_err};
use futures::TryStreamExt;
use object_store::ObjectStore;
use object_store::path::Path;
use uuid::Uuid;

use super::journal::{Direction, Journal, delete};
use super::lock::ABANDONED_AFTER;
use super::target::Target;

/// Finishes the commits of runs that were killed in the midst of one, and removes what other runs
/// have left. The lock must be held: no other run of this crate is alive then.
pub(super) async fn recover(
    store: &dyn ObjectStore,
    target: &Target,
    this_run: Uuid,
) -> Result<()> {
    let paths = paths(store, &target.temporary()).await?;
    let mut runs: Vec<Uuid> = paths
        .iter()
        .filter_map(|path| target.run_of(path))
        .collect();
    if is_on_disk(target, this_run) {
        runs.extend(runs_on_disk(target));
        remove_unfinished(target);
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

/// The rows of a run whose commit is complete, where the task that commits may be repeated.
pub(super) async fn committed(
    store: &dyn ObjectStore,
    target: &Target,
    run: Uuid,
) -> Result<Option<u64>> {
    let paths = paths(store, &target.run_folder(run)).await?;
    Ok(paths.iter().find_map(Target::committed_rows))
}

/// Removes what lies in the folder of a run, but for what tells that its commit is complete.
pub(super) async fn remove_staged(
    store: &dyn ObjectStore,
    target: &Target,
    run: Uuid,
) -> Result<()> {
    let mut paths = paths(store, &target.run_folder(run)).await?;
    paths.retain(|path| Target::committed_rows(path).is_none());
    delete(store, paths).await
}

async fn paths(store: &dyn ObjectStore, folder: &Path) -> Result<Vec<Path>> {
    let objects = store.list(Some(folder));
    Ok(objects
        .map_ok(|object| object.location)
        .try_collect()
        .await?)
}

/// Removes the folder of a run.
pub(super) async fn remove_run(store: &dyn ObjectStore, target: &Target, run: Uuid) -> Result<()> {
    let folder = target.run_folder(run);
    delete(store, paths(store, &folder).await?).await?;
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

/// Removes files that a program was writing when it was killed: the local disk's store writes to
/// `<name>#<number>`, gives the file its name at the end, and does not list it before.
fn remove_unfinished(target: &Target) {
    for path in [target.lock(), target.manifest(), target.success()] {
        let Some(file) = target.on_disk(&path) else {
            continue;
        };
        let (Some(folder), Some(name)) = (file.parent(), file.file_name()) else {
            continue;
        };
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let is_unfinished = |text: &str| {
                let number = text.strip_prefix(name.to_str()?)?.strip_prefix('#')?;
                Some(number.parse::<u32>().is_ok())
            };
            // A lock that is young may be one that another run tries to create.
            let is_old = || {
                let written = entry.metadata().and_then(|found| found.modified()).ok()?;
                Some(written.elapsed().ok()? > ABANDONED_AFTER)
            };
            let is_left = entry.file_name().to_str().and_then(is_unfinished) == Some(true)
                && (path != target.lock() || is_old() == Some(true));
            if is_left && let Err(e) = std::fs::remove_file(entry.path()) {
                log::warn!("could not remove '{}': {e}", entry.path().display());
            }
        }
    }
}

/// Removes `_temporary` from the local disk if it is empty.
pub(super) fn remove_empty_temporary(target: &Target) {
    if let Some(folder) = target.on_disk(&target.temporary()) {
        // Not empty, or gone: either is fine.
        let _ = std::fs::remove_dir(folder);
    }
}
