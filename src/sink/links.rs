//! Symbolic links of the local disk: what is named below a folder may lie elsewhere, and one folder
//! may have several names.

use datafusion::common::{Result, exec_err};
use object_store::path::Path;

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
    for run in target.runs_on_disk() {
        refuse_link(target, &target.run_folder(run))?;
    }
    Ok(())
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
