//! Folders that go with the process that made them, if need be at the start of the next one.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use datafusion::common::{Result, exec_datafusion_err};
use uuid::Uuid;

/// Held locked by the process that uses the folder; the system lets go of it however the process ends.
const LOCK: &str = ".lock";

/// The last letters of a uuid, which are random. All of them would make names of sockets too long.
const RANDOM_LETTERS: usize = 12;

/// How old a lock is before it is taken for one of a process that has ended: a younger one may not have been
/// locked yet.
const SETTLED: Duration = Duration::from_secs(60);

/// A folder that only this user may enter. It is removed when it is dropped; what a killed process has left
/// is removed by the next that makes one for the same `purpose`.
#[derive(Debug)]
pub(super) struct TemporaryFolder {
    path: PathBuf,
    _lock: File,
}

impl TemporaryFolder {
    pub(super) fn try_new(purpose: &str) -> Result<Self> {
        Self::try_new_in(&std::env::temp_dir(), purpose, SETTLED)
    }

    fn try_new_in(parent: &Path, purpose: &str, settled: Duration) -> Result<Self> {
        let uuid = Uuid::now_v7().simple().to_string();
        let random = &uuid[uuid.len() - RANDOM_LETTERS..];
        let path = parent.join(format!("featurize-{purpose}-{random}"));
        let failed = |e| exec_datafusion_err!("temporary folder '{}': {e}", path.display());
        let mut folder = std::fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut folder, 0o700);
        folder.create(&path).map_err(failed)?;
        let lock = File::create_new(path.join(LOCK)).map_err(failed)?;
        lock.lock().map_err(failed)?;
        let folder = Self { path, _lock: lock };
        folder.clear_others(parent, purpose, settled);
        Ok(folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes what killed processes of this user have left. What cannot be removed is in nobody's way.
    fn clear_others(&self, parent: &Path, purpose: &str, settled: Duration) {
        let prefix = format!("featurize-{purpose}-");
        for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_name().to_string_lossy().starts_with(&prefix)
                && path != self.path
                && self.is_of_this_user(&path)
                && is_left(&path.join(LOCK), settled)
            {
                log::info!("a killed process has left '{}'", path.display());
                remove(&path);
            }
        }
    }

    /// Others may have put anything there, a pipe that blocks whoever opens it for example.
    #[cfg(unix)]
    fn is_of_this_user(&self, path: &Path) -> bool {
        use std::os::unix::fs::MetadataExt;

        let of = |path: &Path| std::fs::symlink_metadata(path);
        let (Ok(mine), Ok(other)) = (of(&self.path), of(path)) else {
            return false;
        };
        other.is_dir() && other.uid() == mine.uid()
    }

    /// Folders of temporary files are each user's own.
    #[cfg(not(unix))]
    fn is_of_this_user(&self, path: &Path) -> bool {
        std::fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())
    }
}

/// Whether nobody holds this lock any more.
fn is_left(lock: &Path, settled: Duration) -> bool {
    let age = std::fs::symlink_metadata(lock)
        .ok()
        .filter(|found| found.is_file())
        .and_then(|found| found.modified().ok()?.elapsed().ok());
    age.is_some_and(|age| age >= settled)
        && File::open(lock).is_ok_and(|lock| lock.try_lock().is_ok())
}

fn remove(folder: &Path) {
    if let Err(e) = std::fs::remove_dir_all(folder) {
        log::warn!("could not remove '{}': {e}", folder.display());
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folders(parent: &Path) -> usize {
        std::fs::read_dir(parent).unwrap().count()
    }

    #[test]
    fn what_a_killed_process_left_goes_and_what_a_living_one_uses_stays() {
        let parent = tempfile::tempdir().unwrap();
        let parent = parent.path();
        let living = TemporaryFolder::try_new_in(parent, "test", Duration::ZERO).unwrap();
        let killed = parent.join("featurize-test-killed");
        std::fs::create_dir(&killed).unwrap();
        std::fs::write(killed.join(LOCK), "").unwrap();
        std::fs::write(killed.join("data"), "x").unwrap();
        // Nothing says whose this is.
        std::fs::create_dir(parent.join("featurize-test-bare")).unwrap();
        std::fs::create_dir(parent.join("featurize-other-x")).unwrap();
        let next = TemporaryFolder::try_new_in(parent, "test", Duration::from_secs(60)).unwrap();
        assert!(killed.exists(), "too young to tell");
        drop(next);
        let next = TemporaryFolder::try_new_in(parent, "test", Duration::ZERO).unwrap();
        assert!(!killed.exists());
        assert!(living.path().exists());
        assert_eq!(folders(parent), 4);
        drop((living, next));
        assert_eq!(folders(parent), 2);
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_enters() {
        use std::os::unix::fs::PermissionsExt;

        let parent = tempfile::tempdir().unwrap();
        let folder = TemporaryFolder::try_new_in(parent.path(), "test", SETTLED).unwrap();
        let mode = folder.path().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}
