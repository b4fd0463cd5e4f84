//! Requests that clear away what is a run's own, and only that.

use datafusion::common::{DataFusionError, Result, exec_err};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use uuid::Uuid;

use super::target::Target;

/// Requests of one step that are in flight at once.
const CONCURRENCY: usize = 16;

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

pub(super) async fn paths(store: &dyn ObjectStore, folder: &Path) -> Result<Vec<Path>> {
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
pub(super) async fn all(requests: Vec<BoxFuture<'_, Result<()>>>) -> Result<()> {
    stream::iter(requests)
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await
}
