//! Reading one object whole, again if it breaks off.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use datafusion::common::instant::Instant;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use super::errors::broke_off;
use super::requests::Requests;
use super::retry::Retries;

/// Requests for one object after which it is given up, even if its content broke off only now.
const ENOUGH: usize = 10;

/// What came of an attempt to read an object.
pub(crate) enum Read {
    Whole(Bytes),
    /// The object has this length, with which it was not wanted; nothing was read.
    Declined(u64),
    /// As many bytes came, which is another number than the store announced.
    BrokenOff(usize, u64),
}

/// What reading one object took.
#[derive(Debug, Default)]
pub(crate) struct Effort {
    pub(crate) retries: usize,
    pub(crate) time: Duration,
}

/// Reads the object at `path`, if it is `wanted` with the length that the store announces.
pub(crate) async fn read(
    store: &dyn ObjectStore,
    path: &Path,
    mut wanted: impl FnMut(u64) -> bool + Send,
) -> (object_store::Result<Read>, Effort) {
    let started = Instant::now();
    let sent = Arc::new(Requests::default());
    let mut retries = Retries::default();
    let result = loop {
        let result = sent.of(read_once(store, path, &mut wanted)).await;
        let broke_off = match &result {
            Ok(read) => matches!(read, Read::BrokenOff(..)),
            Err(e) => broke_off(e),
        };
        let tried_enough = sent.sent() > ENOUGH;
        if !broke_off || tried_enough || !retries.again().await {
            break result;
        }
    };
    let effort = Effort {
        // A store that was not made here does not tell what it sends.
        retries: sent.sent().saturating_sub(1).max(retries.made()),
        time: started.elapsed(),
    };
    (result, effort)
}

async fn read_once(
    store: &dyn ObjectStore,
    path: &Path,
    wanted: &mut (impl FnMut(u64) -> bool + Send),
) -> object_store::Result<Read> {
    let object = store.get(path).await?;
    let length = object.meta.size;
    if !wanted(length) {
        return Ok(Read::Declined(length));
    }
    let bytes = object.bytes().await?;
    Ok(if bytes.len() as u64 == length {
        Read::Whole(bytes)
    } else {
        Read::BrokenOff(bytes.len(), length)
    })
}
