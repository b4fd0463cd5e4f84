//! Reading an object, or a range of it, again if it breaks off.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use datafusion::common::instant::Instant;
use object_store::path::Path;
use object_store::{GetOptions, ObjectMeta, ObjectStore};

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
    read_with(store, path, GetOptions::default(), &mut wanted).await
}

/// Reads `range` of an object, if it is still the one that is known.
pub(crate) async fn read_range(
    store: &dyn ObjectStore,
    object: &ObjectMeta,
    range: Range<u64>,
) -> (object_store::Result<Bytes>, Effort) {
    let length = range.end - range.start;
    if length == 0 {
        return (Ok(Bytes::new()), Effort::default());
    }
    let path = &object.location;
    let options = GetOptions::new()
        .with_range(Some(range))
        .with_if_match(object.e_tag.clone());
    let (result, effort) = read_with(store, path, options, &mut |_| true).await;
    let failed = |text: String| object_store::Error::Generic {
        store: "object store",
        source: text.into(),
    };
    let bytes = match result {
        Ok(Read::Whole(bytes)) if bytes.len() as u64 == length => Ok(bytes),
        Ok(Read::Whole(bytes)) => Err(failed(format!(
            "{} bytes of '{path}' came where {length} were asked for: it was cut off or changed",
            bytes.len()
        ))),
        Ok(Read::Declined(sent) | Read::BrokenOff(_, sent)) => Err(failed(format!(
            "the bytes of '{path}' broke off, {sent} were announced"
        ))),
        Err(object_store::Error::Precondition { .. }) => Err(failed(format!(
            "'{path}' was changed while the query ran; run the query again"
        ))),
        Err(e) => Err(e),
    };
    (bytes, effort)
}

/// Reads what `options` ask for, and again if the answer breaks off.
async fn read_with(
    store: &dyn ObjectStore,
    path: &Path,
    options: GetOptions,
    wanted: &mut (impl FnMut(u64) -> bool + Send),
) -> (object_store::Result<Read>, Effort) {
    let started = Instant::now();
    let sent = Arc::new(Requests::default());
    let mut retries = Retries::default();
    let result = loop {
        let read = read_once(store, path, options.clone(), wanted);
        let result = sent.of(read).await;
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
    options: GetOptions,
    wanted: &mut (impl FnMut(u64) -> bool + Send),
) -> object_store::Result<Read> {
    let object = store.get_opts(path, options).await?;
    let length = object.range.end - object.range.start;
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
