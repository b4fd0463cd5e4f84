//! Reads members: what lies together with one request.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::{Result, exec_err, internal_datafusion_err};
use futures::future::try_join_all;
use object_store::Error as StoreError;
use tokio::sync::Semaphore;

use super::index::Member;
use super::open::Archive;
use super::zip;
use crate::object_stores::reading::{Effort, read_range};

/// Bytes between two members that are read for nothing rather than with a request of their own.
const GAP: u64 = 32 * 1024;

/// Bytes of a request for several members, at most.
pub(crate) const MOST: u64 = 8 * 1024 * 1024;

/// A member that is to be read, and the row that wants it.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    pub(crate) row: usize,
    pub(crate) uri: String,
    pub(crate) member: Member,
}

/// What came of a request for several members.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) uri: String,
    pub(crate) rows: Vec<usize>,
    pub(crate) contents: Result<Vec<Bytes>, StoreError>,
    pub(crate) effort: Effort,
}

impl Archive {
    /// Reads the contents of `pieces`, with one permit of `requests` for each request.
    ///
    /// # Errors
    /// When a member is damaged or packed in a way that is not known; it is named. What the store
    /// refuses is the result of a request.
    pub(crate) async fn read(
        &self,
        mut pieces: Vec<Piece>,
        requests: &Semaphore,
    ) -> Result<Vec<Answer>> {
        for Piece { uri, member, .. } in &pieces {
            if let Some(why) = zip::refused(member) {
                return exec_err!("could not read '{uri}': {why}");
            }
        }
        pieces.sort_by_key(|piece| piece.member.span.start);
        let runs = runs(pieces);
        try_join_all(runs.into_iter().map(|run| self.read_run(run, requests))).await
    }

    async fn read_run(&self, run: Vec<Piece>, requests: &Semaphore) -> Result<Answer> {
        let permit = requests.acquire().await;
        let permit = permit.map_err(|e| internal_datafusion_err!("{e}"))?;
        let range = span(&run);
        let (bytes, effort) = match &self.index.unpacked {
            Some(file) => {
                let (file, range) = (Arc::clone(file), range.clone());
                let read = SpawnedTask::spawn_blocking(move || {
                    let path = file.path().ok_or(std::io::ErrorKind::NotFound)?;
                    read_file(path, range)
                });
                let read = read.await.map_err(|e| internal_datafusion_err!("{e}"))?;
                let read = read.map_err(|source| StoreError::Generic {
                    store: "temporary file",
                    source: source.into(),
                });
                (read, Effort::default())
            }
            None => read_range(&self.store, &self.object, range.clone()).await,
        };
        drop(permit);
        let answer = Answer {
            uri: run
                .first()
                .map(|piece| piece.uri.clone())
                .unwrap_or_default(),
            rows: run.iter().map(|piece| piece.row).collect(),
            contents: Ok(vec![]),
            effort,
        };
        let bytes = match bytes {
            Ok(bytes) => bytes,
            Err(e) => {
                return Ok(Answer {
                    contents: Err(e),
                    ..answer
                });
            }
        };
        // Inflating is work, and these threads drive the requests of others.
        let unpack = SpawnedTask::spawn_blocking(move || {
            let unpack = |piece: Piece| {
                let span = cut(&bytes, &range, &piece.member.span);
                let content = span.ok_or_else(|| "it lies outside its archive".to_owned());
                match content.and_then(|span| zip::unpack(&piece.member, &span)) {
                    // A row must not keep the bytes of its neighbours.
                    Ok(content) if content.len() < bytes.len() / 2 => {
                        Ok(Bytes::copy_from_slice(&content))
                    }
                    Ok(content) => Ok(content),
                    Err(why) => exec_err!("could not read '{}': {why}", piece.uri),
                }
            };
            run.into_iter().map(unpack).collect::<Result<Vec<_>>>()
        });
        let contents = unpack
            .await
            .map_err(|e| internal_datafusion_err!("{e}"))??;
        Ok(Answer {
            contents: Ok(contents),
            ..answer
        })
    }
}

/// Cuts pieces, which are in the order of their places, into those that lie together.
fn runs(pieces: Vec<Piece>) -> Vec<Vec<Piece>> {
    let mut runs: Vec<Vec<Piece>> = vec![];
    let (mut start, mut end) = (0_u64, 0_u64);
    for piece in pieces {
        let span = &piece.member.span;
        match runs.last_mut() {
            Some(run)
                if span.start <= end.saturating_add(GAP) && span.end.max(end) - start <= MOST =>
            {
                end = end.max(span.end);
                run.push(piece);
            }
            _ => {
                (start, end) = (span.start, span.end);
                runs.push(vec![piece]);
            }
        }
    }
    runs
}

fn span(run: &[Piece]) -> Range<u64> {
    let spans = || run.iter().map(|piece| &piece.member.span);
    let start = spans().map(|span| span.start).min().unwrap_or_default();
    start..spans().map(|span| span.end).max().unwrap_or(start)
}

fn cut(bytes: &Bytes, range: &Range<u64>, span: &Range<u64>) -> Option<Bytes> {
    let at = |place: u64| usize::try_from(place.checked_sub(range.start)?).ok();
    let (start, end) = (at(span.start)?, at(span.end)?);
    (start <= end && end <= bytes.len()).then(|| bytes.slice(start..end))
}

fn read_file(path: &std::path::Path, range: Range<u64>) -> std::io::Result<Bytes> {
    use std::io::{Read, Seek, SeekFrom};
    let length = range.end - range.start;
    let mut file = std::fs::File::open(path)?;
    file.seek(SeekFrom::Start(range.start))?;
    let mut bytes = vec![];
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes.into())
}
