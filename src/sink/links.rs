//! Symbolic links of the local disk: what is named below a folder may lie elsewhere, and one folder
//! may have several names.

use std::path::{Path as FilePath, PathBuf};

use datafusion::common::{Result, exec_err};
use object_store::path::Path;

use super::recover::runs_on_disk;
use super::target::Target;

/// Fails if one of the files, named relative to the target, lies behind a link: who deletes it
/// deletes a file of another folder. (Of a file that is a link, only the link is deleted.)
pub(super) fn refuse_linked_folders<'a>(
    target: &Target,
    names: impl IntoIterator<Item = &'a str>,
) -> Result<()> {
    if !target.is_local() {
        return Ok(());
    }
    let names = names.into_iter();
    let mut folders: Vec<&str> = names
        .flat_map(|name| name.match_indices('/').map(|(end, _)| &name[..end]))
        .collect();
    folders.sort_unstable();
    folders.dedup();
    for folder in folders {
        refuse_link(target, &target.object(folder)?)?;
    }
    Ok(())
}

/// Fails if a folder that runs clear away is a link.
pub(super) fn refuse_linked_temporary(target: &Target) -> Result<()> {
    refuse_link(target, &target.temporary())?;
    for run in runs_on_disk(target) {
        refuse_link(target, &target.run_folder(run))?;
    }
    Ok(())
}

/// Where a path of the target's store really lies, whatever links lead there; `None` for stores
/// other than the local disk.
pub(super) fn real_path(target: &Target, path: &Path) -> Option<PathBuf> {
    target.on_disk(path).map(|path| resolve(&path))
}

/// What does not exist yet lies in the longest part of its path that does.
fn resolve(path: &FilePath) -> PathBuf {
    for ancestor in path.ancestors() {
        if let (Ok(real), Ok(rest)) = (ancestor.canonicalize(), path.strip_prefix(ancestor)) {
            return real.join(rest);
        }
    }
    path.to_owned()
}

fn refuse_link(target: &Target, path: &Path) -> Result<()> {
    let Some(folder) = target.on_disk(path) else {
        return Ok(());
    };
    match folder.symlink_metadata() {
        Ok(found) if found.is_symlink() => exec_err!(
            "'{}' is a link to another place, and writing to '{target}' would delete files there; \
             remove the link, or write to another folder",
            folder.display()
        ),
        // Nothing can be deleted there if it cannot be seen.
        _ => Ok(()),
    }
}
