//! Small pictures of the images, as they lie at their paths now.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use datafusion::common::Result;
use datafusion::common::runtime::SpawnedTask;
use datafusion::prelude::SessionContext;
use datafusion_featurize::binary_file::credentials::register_object_store;
use datafusion_featurize::binary_file::split_uri;
use datafusion_featurize::image::decode::{Limits, decode};
use datafusion_featurize::image::resize::resize_rgb;
use futures::{StreamExt, stream};
use libjpeg_turbo_rs::{Encoder, PixelFormat, Subsampling};
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::sync::Semaphore;

use super::points::{Point, Thumbnail};

/// Longest side, in pixels.
const SIDE: usize = 64;
const QUALITY: u8 = 80;
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

/// Adds thumbnails to the first `limit` points, as far as they fit into the page.
pub(super) async fn add(ctx: &SessionContext, points: &mut [Point], limit: usize) -> Result<()> {
    let stores = Stores::of(ctx, points.iter().take(limit)).await;
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let decoders = Semaphore::new(cores);
    let paths: Vec<String> = points.iter().take(limit).map(|p| p.path.clone()).collect();
    let mut thumbnails = stream::iter(&paths)
        .map(|path| thumbnail(path, &stores, &decoders))
        .buffered(CONCURRENCY);
    let mut bytes = 0;
    for point in points.iter_mut().take(limit) {
        let Some(thumbnail) = thumbnails.next().await else {
            break;
        };
        point.thumbnail = match thumbnail {
            None => Thumbnail::Unreadable,
            Some(jpeg) => {
                bytes += jpeg.len();
                if bytes > MAX_BYTES {
                    break;
                }
                Thumbnail::Jpeg(jpeg)
            }
        };
    }
    Ok(())
}

/// The stores of the paths, by scheme and host.
struct Stores(HashMap<String, Arc<dyn ObjectStore>>);

impl Stores {
    /// Stores that cannot be had are left out: their images have no thumbnails, and the page says
    /// so.
    async fn of(ctx: &SessionContext, points: impl Iterator<Item = &Point>) -> Self {
        let mut stores = HashMap::new();
        for point in points {
            let Ok((url, _)) = split_uri(&point.path) else {
                continue;
            };
            if stores.contains_key(url.as_str()) {
                continue;
            }
            let runtime = ctx.runtime_env();
            let found = register_object_store(&runtime, url.as_str(), &HashMap::new()).await;
            match found.and_then(|()| runtime.object_store(&url)) {
                Ok(store) => {
                    stores.insert(url.as_str().to_owned(), Some(store));
                }
                Err(e) => {
                    log::warn!("no thumbnails from {url}: {}", e.strip_backtrace());
                    stores.insert(url.as_str().to_owned(), None);
                }
            }
        }
        let found = stores
            .into_iter()
            .filter_map(|(url, store)| Some((url, store?)));
        Self(found.collect())
    }
}

/// The thumbnail of the image at `path`; none if it cannot be had.
async fn thumbnail(path: &str, stores: &Stores, decoders: &Semaphore) -> Option<String> {
    let (url, location) = split_uri(path).ok()?;
    let store = stores.0.get(url.as_str())?;
    let found = store.get(&location).await.ok()?;
    if found.meta.size > MAX_LENGTH {
        return None;
    }
    let content = found.bytes().await.ok()?;
    let _permit = decoders.acquire().await.ok()?;
    let task = SpawnedTask::spawn_blocking(move || encode(&content));
    task.await.ok()?
}

fn encode(content: &[u8]) -> Option<String> {
    let image = decode(content, LIMITS).ok()?;
    let longest = image.width.max(image.height);
    let scaled = |side: usize| match longest {
        0..=SIDE => side,
        // Rounded; a very narrow image keeps a pixel.
        _ => ((side * SIDE + longest / 2) / longest).max(1),
    };
    let (width, height) = (scaled(image.width), scaled(image.height));
    let pixels = resize_rgb(image.data, (image.width, image.height), (width, height));
    let jpeg = Encoder::new(&pixels, width, height, PixelFormat::Rgb)
        .quality(QUALITY)
        .subsampling(Subsampling::S420)
        .optimize_huffman(true)
        .encode();
    Some(STANDARD.encode(jpeg.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thumbnails_are_small_and_keep_their_proportions() {
        let jpeg = |width: usize, height: usize| {
            let pixels = vec![90; width * height * 3];
            Encoder::new(&pixels, width, height, PixelFormat::Rgb)
                .encode()
                .unwrap()
        };
        for (size, expected) in [
            ((200, 100), (64, 32)),
            ((30, 64), (30, 64)),
            ((1000, 2), (64, 1)),
            ((65, 1000), (4, 64)),
        ] {
            let bytes = STANDARD
                .decode(encode(&jpeg(size.0, size.1)).unwrap())
                .unwrap();
            let thumbnail = decode(&bytes, LIMITS).unwrap();
            assert_eq!((thumbnail.width, thumbnail.height), expected);
            assert!(bytes.len() < 1500, "{}", bytes.len());
        }
        assert_eq!(encode(b"no image"), None);
    }
}
