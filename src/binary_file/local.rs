//! Folders of the local disk.
//!
//! `object_store` lists them too, but hides names that end in `#` and digits, which it keeps for its own
//! unfinished files, and fails all of a listing over one name that is not UTF-8 or one link that leads
//! back. Here these are left out, one by one, and told; so are pipes and devices.

use std::ffi::OsStr;
use std::fs::{DirEntry, Metadata};
use std::io::{Error, ErrorKind, Result};
use std::path::{Path as FilePath, PathBuf};

use object_store::ObjectMeta;
use object_store::path::Path;

use super::listing::Page;

/// What lies in `folder`, and what was left out of it.
///
/// # Errors
/// When the folder cannot be read.
pub(super) fn list_folder(folder: &Path) -> Result<(Page, Vec<String>)> {
    let place = FilePath::new("/").join(folder.as_ref());
    let mut page = Page::default();
    let mut left_out = vec![];
    for entry in std::fs::read_dir(&place)? {
        let entry = entry?;
        match look_at(&place, folder, &entry) {
            Ok(Found::Folder(path)) => page.folders.push(path),
            Ok(Found::Object(object)) => page.objects.push(object),
            Ok(Found::Unreadable(why)) => {
                left_out.push(format!("{} ({why})", entry.path().display()));
            }
            // It has gone since, or is a link to nothing.
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => {
                let named = format!("{}: {e}", entry.path().display());
                return Err(Error::new(e.kind(), named));
            }
        }
    }
    Ok((page, left_out))
}

enum Found {
    Folder(Path),
    Object(ObjectMeta),
    Unreadable(&'static str),
}

fn look_at(place: &FilePath, folder: &Path, entry: &DirEntry) -> Result<Found> {
    let name = entry.file_name();
    let Some(path) = name.to_str().and_then(|name| path_of(folder, name)) else {
        return Ok(Found::Unreadable(match name.to_str() {
            None => "its name is not UTF-8",
            Some(_) => "its name has a control character",
        }));
    };
    let is_link = entry.file_type()?.is_symlink();
    let metadata = match std::fs::metadata(entry.path()) {
        Ok(metadata) => metadata,
        Err(_) if is_link && leads_to_itself(&entry.path()) => {
            return Ok(Found::Unreadable("a link that leads to itself"));
        }
        Err(e) => return Err(e),
    };
    if metadata.is_dir() {
        return Ok(match is_link && leads_back(place, &entry.path())? {
            true => Found::Unreadable("a link to a folder that it lies in"),
            false => Found::Folder(path),
        });
    }
    Ok(match why_unreadable(&name, &metadata) {
        Some(why) => Found::Unreadable(why),
        None => Found::Object(object(path, &metadata)?),
    })
}

/// Why what was named on its own cannot be read; `None` of a folder, a file, and what does not exist.
pub(super) fn refuses(path: &Path) -> Option<&'static str> {
    let place = FilePath::new("/").join(path.as_ref());
    let metadata = std::fs::metadata(&place).ok()?;
    match metadata.is_dir() {
        true => None,
        false => why_unreadable(place.file_name()?, &metadata),
    }
}

/// A pipe would be waited for, and a device may have no end.
fn why_unreadable(name: &OsStr, metadata: &Metadata) -> Option<&'static str> {
    if !metadata.is_file() {
        return Some("not a file");
    }
    is_kept_for_unfinished_files(name).then_some("its name ends in '#' and digits")
}

fn object(location: Path, metadata: &Metadata) -> Result<ObjectMeta> {
    Ok(ObjectMeta {
        location,
        last_modified: metadata.modified()?.into(),
        size: metadata.len(),
        e_tag: None,
        version: None,
    })
}

/// The path of a name in `folder`, if there is one that stands for exactly this name.
fn path_of(folder: &Path, name: &str) -> Option<Path> {
    let text = match folder.as_ref() {
        "" => name.to_owned(),
        folder => format!("{folder}/{name}"),
    };
    Path::parse(&text).ok().filter(|path| path.as_ref() == text)
}

/// A link that the system gives up on, as there is no end to it.
fn leads_to_itself(link: &FilePath) -> bool {
    std::fs::canonicalize(link).is_err_and(|e| {
        // `ErrorKind::FilesystemLoop` has no stable name.
        e.kind() != ErrorKind::NotFound && e.kind() != ErrorKind::PermissionDenied
    })
}

/// Whether `link`, which lies in `place`, leads to a folder that was walked through to come here.
fn leads_back(place: &FilePath, link: &FilePath) -> Result<bool> {
    let target = std::fs::canonicalize(link)?;
    let mut above = place.ancestors().map(std::fs::canonicalize);
    Ok(above.any(|folder: Result<PathBuf>| folder.is_ok_and(|folder| folder == target)))
}

/// `x.jpg#12`: neither listed nor opened by `object_store`.
fn is_kept_for_unfinished_files(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let end = name.split_once('#').map(|(_, end)| end);
    end.is_some_and(|end| !end.is_empty() && end.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn odd_entries_are_told_and_the_others_found() {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().canonicalize().unwrap();
        let inner = place.join("inner");
        std::fs::create_dir(&inner).unwrap();
        for name in ["a#b.jpg", "#", "12#", "%41 [x].jpg"] {
            std::fs::write(inner.join(name), name).unwrap();
        }
        std::fs::write(inner.join("b.jpg#12"), "").unwrap();
        std::fs::write(inner.join(OsStr::from_bytes(b"\xff.jpg")), "").unwrap();
        std::fs::write(inner.join("c\n.jpg"), "").unwrap();
        symlink(&place, inner.join("up")).unwrap();
        symlink("self", inner.join("self")).unwrap();
        symlink("gone", inner.join("nothing")).unwrap();
        symlink("a#b.jpg", inner.join("link.jpg")).unwrap();
        std::fs::create_dir(place.join("other#12")).unwrap();
        symlink(place.join("other#12"), inner.join("other")).unwrap();

        let folder = Path::parse(inner.to_str().unwrap()).unwrap();
        let (page, mut left_out) = list_folder(&folder).unwrap();
        let mut names: Vec<_> = page
            .objects
            .iter()
            .filter_map(|o| o.location.filename())
            .collect();
        names.sort_unstable();
        assert_eq!(names, ["#", "%41 [x].jpg", "12#", "a#b.jpg", "link.jpg"]);
        let folders: Vec<_> = page.folders.iter().filter_map(Path::filename).collect();
        assert_eq!(folders, ["other"]);
        left_out.sort();
        assert_eq!(left_out.len(), 5, "{left_out:?}");
        for reason in ["digits", "UTF-8", "control", "lies in", "to itself"] {
            assert!(
                left_out.iter().any(|name| name.contains(reason)),
                "{left_out:?}"
            );
        }
        let missing = list_folder(&Path::from("no/such/folder"));
        assert_eq!(missing.err().unwrap().kind(), ErrorKind::NotFound);
    }
}
