//! Small pictures of the images, as they lie at their paths now.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::available_parallelism;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use datafusion::common::Result;
use datafusion::common::runtime::SpawnedTask;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::prelude::SessionContext;
use datafusion_functions_image::decode::Limits;
use datafusion_functions_image::thumbnail::thumbnail as encode;
use futures::{StreamExt, stream};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use tokio::sync::Semaphore;

use super::images::{Point, Thumbnail};
use super::options::ReportOptions;
use crate::archives::{Piece, archives_around, open};
use crate::binary_file::split_uri;
use crate::object_stores::address::shown;
use crate::object_stores::register;
use crate::progress::Running;

/// Longest side, in pixels.
const SIDE: usize = 64;
/// Base64 of all thumbnails of a page.
const MAX_BYTES: usize = 5_000_000;
/// Longest file that is fetched, in bytes.
const MAX_LENGTH: u64 = 32 << 20;
/// Largest image that is decoded: 150 MB of RGB.
const LIMITS: Limits = Limits {
    max_pixels: 50_000_000,
};
/// Images being fetched at once.
const CONCURRENCY: usize = 8;

/// Adds thumbnails to the first points, as many as are asked for and fit into the page.
pub(super) async fn add(
    ctx: &SessionContext,
    options: &ReportOptions,
    points: &mut [Point],
) -> Result<()> {
    let _stage = Running::pictures();
    let limit = usize::from(options.thumbnails);
    let runtime = ctx.runtime_env();
    let paths: Vec<String> = points.iter().take(limit).map(|p| p.path.clone()).collect();
    let urls: HashSet<_> = paths
        .iter()
        .flat_map(|path| split_uri(path))
        .map(|(url, _)| url)
        .collect();
    let of_stores = options.of_stores();
    for url in urls {
        // Images in a store that cannot be had have no thumbnails, and the page says so.
        if let Err(e) = register(&runtime.object_store_registry, url.as_str(), &of_stores).await {
            log::warn!("no thumbnails from {url}: {}", e.strip_backtrace());
        }
    }
    let decoders = Semaphore::new(available_parallelism().map_or(1, NonZeroUsize::get));
    let thumbnails = stream::iter(paths).map(|path| fetched(path, &runtime, &decoders));
    let mut thumbnails = stream::iter(points).zip(thumbnails.buffered(CONCURRENCY));
    let mut bytes = 0;
    while let Some((point, thumbnail)) = thumbnails.next().await {
        bytes += thumbnail.as_ref().map_or(0, String::len);
        if bytes > MAX_BYTES {
            break;
        }
        point.thumbnail = thumbnail.map_or(Thumbnail::Unreadable, Thumbnail::Jpeg);
    }
    Ok(())
}

/// The content of the member at `path`, which lies in an archive of the store `bucket`; `None` if there is
/// none, or none of at most `most` bytes.
///
/// # Errors
/// When the archive or the member cannot be read.
async fn read_member(
    runtime: &RuntimeEnv,
    bucket: &ObjectStoreUrl,
    path: &Path,
    most: u64,
) -> Result<Option<Bytes>> {
    for (place, format, name) in archives_around(path) {
        let Some(archive) = open(runtime, bucket, &place, format).await? else {
            continue;
        };
        let Some(member) = archive
            .index
            .find(name)
            .filter(|member| member.size <= most)
        else {
            return Ok(None);
        };
        let piece = Piece {
            row: 0,
            uri: shown(&format!("{}{path}", bucket.as_str())),
            member: member.clone(),
        };
        let answers = archive.read(vec![piece], &Semaphore::new(1)).await?;
        let contents = answers.into_iter().map(|answer| answer.contents);
        let contents = contents.collect::<std::result::Result<Vec<_>, _>>()?;
        return Ok(contents.into_iter().flatten().next());
    }
    Ok(None)
}

/// The thumbnail of the image at `path`; none if it cannot be had.
async fn fetched(path: String, runtime: &Arc<RuntimeEnv>, decoders: &Semaphore) -> Option<String> {
    let (url, location) = split_uri(&path).ok()?;
    let store = runtime.object_store(&url).ok()?;
    let content = match store.get(&location).await {
        Ok(found) if found.meta.size > MAX_LENGTH => return None,
        Ok(found) => found.bytes().await.ok()?,
        Err(_) => read_member(runtime, &url, &location, MAX_LENGTH)
            .await
            .ok()??,
    };
    let _permit = decoders.acquire().await.ok()?;
    let task = SpawnedTask::spawn_blocking(move || encode(&content, SIDE, LIMITS));
    Some(STANDARD.encode(task.await.ok()?.ok()?))
}
