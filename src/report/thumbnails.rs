//! Small pictures of the images, as they lie at their paths now.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::available_parallelism;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use datafusion::common::Result;
use datafusion::common::runtime::SpawnedTask;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::prelude::SessionContext;
use datafusion_functions_image::decode::Limits;
use datafusion_functions_image::thumbnail::thumbnail as encode;
use futures::{StreamExt, stream};
use object_store::ObjectStoreExt;
use tokio::sync::Semaphore;

use super::images::{Point, Thumbnail};
use super::options::ReportOptions;
use crate::binary_file::split_uri;
use crate::object_stores::register_object_store;
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
        if let Err(e) = register_object_store(&runtime, url.as_str(), &of_stores).await {
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

/// The thumbnail of the image at `path`; none if it cannot be had.
async fn fetched(path: String, runtime: &Arc<RuntimeEnv>, decoders: &Semaphore) -> Option<String> {
    let (url, location) = split_uri(&path).ok()?;
    let store = runtime.object_store(&url).ok()?;
    let found = store.get(&location).await.ok()?;
    if found.meta.size > MAX_LENGTH {
        return None;
    }
    let content = found.bytes().await.ok()?;
    let _permit = decoders.acquire().await.ok()?;
    let task = SpawnedTask::spawn_blocking(move || encode(&content, SIDE, LIMITS));
    Some(STANDARD.encode(task.await.ok()?.ok()?))
}
