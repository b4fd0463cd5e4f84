//! The local disk, listed as well as it can be.
//!
//! `object_store` hides names that end in `#` and digits, which it keeps for its own unfinished files, and
//! fails all of a listing over one name that is not UTF-8 or one link that leads back. Here these are
//! left out, one by one, and told; so are pipes and devices.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{DirEntry, Metadata};
use std::io::{Error, ErrorKind, Result};
use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use datafusion::common::runtime::SpawnedTask;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion_functions_image::cancel::CancelToken;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result as StoreResult,
};

use super::requests::leave_out;
use crate::progress::add_listed;

/// Makes the tables of a session list the local disk as is done here, unless a program has registered
/// a store of its own for it.
pub(crate) fn register_local_disk(runtime: &RuntimeEnv) {
    let url = ObjectStoreUrl::local_filesystem();
    let ours = LocalDisk::default();
    if let Ok(store) = runtime.object_store(&url)
        && store.to_string() == ours.inner.to_string()
    {
        runtime.register_object_store(url.as_ref(), Arc::new(ours));
    }
}

/// `object_store`'s local disk, but for its listings.
#[derive(Debug, Default)]
struct LocalDisk {
    inner: LocalFileSystem,
}

impl fmt::Display for LocalDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LocalDisk({})", self.inner)
    }
}

#[async_trait]
impl ObjectStore for LocalDisk {
    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, StoreResult<ObjectMeta>> {
        let root = prefix.cloned().unwrap_or_default();
        stream::try_unfold(vec![root], |mut folders| async move {
            let Some(folder) = folders.pop() else {
                return Ok(None);
            };
            let found = list_level(folder).await?;
            folders.extend(found.common_prefixes);
            let objects = stream::iter(found.objects).map(Ok);
            Ok::<_, object_store::Error>(Some((objects, folders)))
        })
        .try_flatten()
        .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> StoreResult<ListResult> {
        list_level(prefix.cloned().unwrap_or_default()).await
    }

    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> StoreResult<PutResult> {
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> StoreResult<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> StoreResult<GetResult> {
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> StoreResult<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, StoreResult<Path>>,
    ) -> BoxStream<'static, StoreResult<Path>> {
        self.inner.delete_stream(locations)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> StoreResult<()> {
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> StoreResult<()> {
        self.inner.rename_opts(from, to, options).await
    }
}

/// One folder as a store lists it: a folder that does not exist is empty, and unfinished files are
/// nobody's business.
async fn list_level(folder: Path) -> StoreResult<ListResult> {
    let failed = |source| object_store::Error::Generic {
        store: "LocalFileSystem",
        source,
    };
    let (level, mut left_out) = match list(folder.clone()).await {
        Ok(listed) => listed,
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(ListResult {
                common_prefixes: vec![],
                objects: vec![],
            });
        }
        Err(e) => return Err(failed(e.into())),
    };
    left_out.retain(|left_out| left_out.why != UNFINISHED);
    if !left_out.is_empty() {
        let left_out: Vec<String> = left_out.iter().map(ToString::to_string).collect();
        leave_out(&format_args!("/{folder}"), &left_out);
    }
    Ok(level)
}

/// A name that no query can read.
#[derive(Debug)]
pub(crate) struct LeftOut {
    name: PathBuf,
    why: &'static str,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name.display(), self.why)
    }
}

/// Why a file of `object_store`'s own is left out.
const UNFINISHED: &str = "its name ends in '#' and digits";

/// Stops a thread that lists when nobody waits for it any more: the thread itself cannot be aborted.
struct StopOnDrop(CancelToken);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// What lies in `folder`, and what was left out of it.
///
/// # Errors
/// When the folder cannot be read.
pub(crate) async fn list(folder: Path) -> Result<(ListResult, Vec<LeftOut>)> {
    let stop = CancelToken::new();
    let _stop = StopOnDrop(stop.clone());
    let task = SpawnedTask::spawn_blocking(move || list_folder(&folder, &stop));
    task.await.map_err(Error::other)?
}

/// The same on the thread of the caller.
///
/// # Errors
/// When the folder cannot be read, or `stop` is triggered meanwhile.
fn list_folder(folder: &Path, stop: &CancelToken) -> Result<(ListResult, Vec<LeftOut>)> {
    let place = FilePath::new("/").join(folder.as_ref());
    let mut page = ListResult {
        common_prefixes: vec![],
        objects: vec![],
    };
    let mut left_out = vec![];
    for entry in std::fs::read_dir(&place)? {
        stop.check().map_err(Error::other)?;
        let entry = entry?;
        match look_at(&place, folder, &entry) {
            Ok(Found::Folder(path)) => page.common_prefixes.push(path),
            Ok(Found::Object(object)) => {
                add_listed(1);
                page.objects.push(object);
            }
            Ok(Found::Unreadable(why)) => {
                let name = entry.path();
                left_out.push(LeftOut { name, why });
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
pub(crate) fn refuses(path: &Path) -> Option<&'static str> {
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
    is_kept_for_unfinished_files(name).then_some(UNFINISHED)
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
        let (page, mut left_out) = list_folder(&folder, &CancelToken::new()).unwrap();
        let mut names: Vec<_> = page
            .objects
            .iter()
            .filter_map(|o| o.location.filename())
            .collect();
        names.sort_unstable();
        assert_eq!(names, ["#", "%41 [x].jpg", "12#", "a#b.jpg", "link.jpg"]);
        let folders: Vec<_> = page
            .common_prefixes
            .iter()
            .filter_map(Path::filename)
            .collect();
        assert_eq!(folders, ["other"]);
        left_out.sort_by(|a, b| a.name.cmp(&b.name));
        assert_eq!(left_out.len(), 5, "{left_out:?}");
        for reason in ["digits", "UTF-8", "control", "lies in", "to itself"] {
            assert!(
                left_out.iter().any(|left| left.why.contains(reason)),
                "{left_out:?}"
            );
        }
        let stop = CancelToken::new();
        stop.cancel();
        assert!(list_folder(&folder, &stop).is_err());
        let missing = list_folder(&Path::from("no/such/folder"), &CancelToken::new());
        assert_eq!(missing.err().unwrap().kind(), ErrorKind::NotFound);
    }
}
