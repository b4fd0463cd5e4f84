//! The rows of a slice that lie in archives.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use datafusion::common::cast::as_string_array;
use datafusion::common::{Result, exec_err, internal_datafusion_err};
use datafusion::execution::TaskContext;
use futures::future::try_join_all;
use tokio::sync::{OnceCell, Semaphore};

use super::location::split_uri;
use super::schema::PATH;
use crate::archives::{Answer, Archive, Format, Piece, REQUEST_BYTES, archives_around, open};
use crate::object_stores::address::shown;

/// Archives that a scan keeps open: more than it has partitions that read at the same time, on most
/// machines, and few enough for memory. What is closed is found in the session's cache.
const MOST_OPEN: usize = 64;

/// What an archive turned out to be: none, where a folder has such a name.
type Slot = Arc<OnceCell<Option<Arc<Archive>>>>;

/// The archives that the partitions of a scan read from.
#[derive(Default)]
pub(super) struct OpenArchives(Mutex<VecDeque<(String, Slot)>>);

impl std::fmt::Debug for OpenArchives {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenArchives").finish_non_exhaustive()
    }
}

impl OpenArchives {
    /// The archive at `archive`, which is a URI.
    async fn open(
        &self,
        context: &TaskContext,
        archive: &str,
        format: Format,
    ) -> Result<Option<Arc<Archive>>> {
        let slot = self.slot(archive);
        let (bucket, path) = split_uri(archive)?;
        let runtime = context.runtime_env();
        let opened = async { Ok(open(&runtime, &bucket, &path, format).await?.map(Arc::new)) };
        slot.get_or_try_init(|| opened).await.cloned()
    }

    fn slot(&self, archive: &str) -> Slot {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = slots.iter().position(|(name, _)| name == archive);
        let (name, slot) = known
            .and_then(|known| slots.remove(known))
            .unwrap_or_else(|| (archive.to_owned(), Slot::default()));
        if slots.len() >= MOST_OPEN {
            slots.pop_front();
        }
        slots.push_back((name, Arc::clone(&slot)));
        slot
    }
}

/// Rows and bytes of a list that are read together, if they lie in an archive: as many as a request may
/// bring, since neighbours come with one.
pub(super) fn read_together(list: &RecordBatch) -> Result<Option<(usize, usize)>> {
    /// Empty members weigh nothing.
    const ROWS: usize = 4096;
    const BYTES: usize = REQUEST_BYTES as usize;

    let paths = list
        .column_by_name(PATH)
        .ok_or_else(|| internal_datafusion_err!("the work list has no column {PATH}"))?;
    let Some(first) = as_string_array(paths)?.iter().flatten().next() else {
        return Ok(None);
    };
    let (_, path) = split_uri(first)?;
    let may_be_member = archives_around(&path).next().is_some();
    Ok(may_be_member.then_some((ROWS, BYTES)))
}

/// Members to be read, by their archives.
#[derive(Default)]
pub(super) struct Members(Vec<(Arc<Archive>, Vec<Piece>)>);

impl Members {
    /// Notes the object of `row` if it lies in an archive, and returns whether it does.
    ///
    /// # Errors
    /// When its archive cannot be opened, or holds another object than was listed.
    pub(super) async fn take(
        &mut self,
        archives: &OpenArchives,
        context: &TaskContext,
        row: usize,
        uri: &str,
        listed: u64,
    ) -> Result<bool> {
        let (bucket, path) = split_uri(uri)?;
        for (place, format, name) in archives_around(&path) {
            let archive = format!("{}{place}", bucket.as_str());
            let Some(archive) = archives.open(context, &archive, format).await? else {
                continue;
            };
            let member = archive.index.find(name);
            let Some(member) = member.filter(|member| member.size == listed) else {
                return exec_err!(
                    "'{}' is no longer what was listed: its archive was changed while the query \
                     ran; run the query again",
                    shown(uri)
                );
            };
            let piece = Piece {
                row,
                uri: shown(uri),
                member: member.clone(),
            };
            match self.0.iter_mut().find(|(of, _)| Arc::ptr_eq(of, &archive)) {
                Some((_, pieces)) => pieces.push(piece),
                None => self.0.push((archive, vec![piece])),
            }
            return Ok(true);
        }
        Ok(false)
    }

    /// Reads them all.
    ///
    /// # Errors
    /// When one is damaged, or packed in a way that cannot be read.
    pub(super) async fn read(self, requests: &Semaphore) -> Result<Vec<Answer>> {
        let reads = self
            .0
            .into_iter()
            .map(async |(archive, pieces)| archive.read(pieces, requests).await);
        Ok(try_join_all(reads).await?.into_iter().flatten().collect())
    }
}
