//! Finds or makes the index of an archive.

use std::io::{self, Read, Write};
use std::sync::Arc;

use datafusion::common::{DataFusionError, Result, exec_datafusion_err};
use datafusion::execution::cache::cache_manager::CachedFileMetadataEntry;
use datafusion::execution::disk_manager::DiskManager;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnv;
use flate2::read::MultiGzDecoder;
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectMeta, ObjectStore, ObjectStoreExt};

use super::format::Format;
use super::index::{Cached, Index};
use super::object_reader::{ObjectReader, with_reader};
use super::{tar, zip};
use crate::NOTICE;
use crate::object_stores::address::shown;
use crate::object_stores::errors::told;
use crate::object_stores::reading::read_range;

/// An archive as it was when it was opened.
pub(crate) struct Archive {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) object: ObjectMeta,
    pub(crate) index: Arc<Index>,
}

/// Opens the archive at `path` of the store `bucket`; `None` if there is no such object, as where a
/// folder has the name of an archive.
///
/// # Errors
/// When it cannot be read, or is damaged; it is named.
pub(crate) async fn open(
    runtime: &RuntimeEnv,
    bucket: &ObjectStoreUrl,
    path: &Path,
    format: Format,
) -> Result<Option<Archive>> {
    let object = match runtime.object_store(bucket)?.head(path).await {
        Ok(object) => object,
        Err(StoreError::NotFound { .. }) => return Ok(None),
        Err(e) => return Err(could_not_open(bucket, path, &io::Error::other(e))),
    };
    open_object(runtime, bucket, object, format).await.map(Some)
}

/// Opens the archive that `object` of the store `bucket` is.
///
/// # Errors
/// As [`open`].
pub(crate) async fn open_object(
    runtime: &RuntimeEnv,
    bucket: &ObjectStoreUrl,
    object: ObjectMeta,
    format: Format,
) -> Result<Archive> {
    let store = runtime.object_store(bucket)?;
    let path = &object.location;
    // Stores may hold objects of the same path, and the cache knows no stores.
    let place = bucket.as_str().replace("//", "/");
    let key = Path::from(format!("{place}{path}"));
    let cache = runtime.cache_manager.get_file_metadata_cache();
    let cached = cache
        .get(&key)
        .filter(|entry| entry.is_valid_for(&object) && entry.meta.e_tag == object.e_tag);
    let known = cached.as_ref().and_then(|entry| {
        let cached: Option<&Cached> = entry.file_metadata.as_any().downcast_ref();
        cached.map(|cached| Arc::clone(&cached.0))
    });
    let index = match known {
        Some(index) => index,
        None => {
            let disk = Arc::clone(&runtime.disk_manager);
            let index = list(&store, &object, format, disk).await;
            let index = index.map_err(|e| could_not_open(bucket, path, &e))?;
            if index.has_no_end {
                log::warn!(
                    target: NOTICE,
                    "'{}' does not end as a tar does: it may have been cut off",
                    uri(bucket, path)
                );
            }
            let index = Arc::new(index);
            let entry = Arc::new(Cached(Arc::clone(&index)));
            cache.put(&key, CachedFileMetadataEntry::new(object.clone(), entry));
            index
        }
    };
    Ok(Archive {
        store,
        object,
        index,
    })
}

/// The address of an object, as it may be shown.
fn uri(bucket: &ObjectStoreUrl, path: &Path) -> String {
    shown(&format!("{}{path}", bucket.as_str()))
}

async fn list(
    store: &Arc<dyn ObjectStore>,
    object: &ObjectMeta,
    format: Format,
    disk: Arc<DiskManager>,
) -> io::Result<Index> {
    let size = object.size;
    let (from, of) = (Arc::clone(store), object.clone());
    let fetch = move |range| {
        let (store, object) = (Arc::clone(&from), of.clone());
        async move {
            let (bytes, _) = read_range(&store, &object, range).await;
            bytes.map_err(io::Error::other)
        }
    };
    let work = move |reader: ObjectReader| match format {
        Format::Zip => zip::list(reader),
        Format::Tar => tar::list(reader, size),
        Format::TarGz => unpack(reader, &disk),
    };
    with_reader(size, fetch, work)
        .await?
        .map_err(io::Error::other)
}

/// Unpacks a compressed tar into a temporary file, and lists that.
fn unpack(packed: impl Read, disk: &Arc<DiskManager>) -> Result<Index, String> {
    let text = |e: DataFusionError| e.message().into_owned();
    let file = disk.create_tmp_file("a compressed tar").map_err(text)?;
    let Some(path) = file.path() else {
        return Err("it can only be unpacked to a disk, which this session has not".to_owned());
    };
    let mut writer = file.open_writer().map_err(text)?;
    let copied = io::copy(&mut MultiGzDecoder::new(packed), &mut writer);
    let size = copied.map_err(|e| format!("it could not be unpacked: {e}"))?;
    writer.flush().map_err(|e| e.to_string())?;
    writer.finish().map_err(text)?;
    let unpacked = std::fs::File::open(path).map_err(|e| e.to_string())?;
    let mut index = tar::list(io::BufReader::new(unpacked), size)?;
    index.unpacked = Some(file);
    Ok(index)
}

fn could_not_open(bucket: &ObjectStoreUrl, path: &Path, error: &io::Error) -> DataFusionError {
    let of_store = error.get_ref().and_then(|e| e.downcast_ref::<StoreError>());
    let why = match of_store {
        Some(e) => told(e, bucket.as_str()),
        None => error.to_string(),
    };
    exec_datafusion_err!("could not open '{}': {why}", uri(bucket, path))
}
