//! What earlier runs have left: unfinished commits, staged parts, and pieces of killed programs.

use datafusion::common::Result;
use object_store::ObjectStore;
use uuid::Uuid;

use super::clear::{paths, remove_run};
use super::journal::{Direction, Journal};
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
        runs.extend(target.runs_on_disk());
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
