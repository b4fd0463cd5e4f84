//! Reads the objects of rows ahead of whoever consumes them, in the order of the rows and within bounds.
//!
//! How long an object is, nobody knows before its answer begins. Two budgets of bytes make up for that.
//! Rows enter in their order and take from the first budget what an object of this query is expected to
//! have. An answer that announces more takes the rest, if there is some left; otherwise it is dropped,
//! and the object is asked for again when the row's turn has come at the second budget, which rows take
//! from in their order too. So no row ever waits for a later one. Nor does it wait for those before it
//! that are being gathered into a batch: a batch is handed on as soon as it holds half of a budget, and
//! no row takes more than the other half.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{Array, ArrayRef, AsArray, BinaryViewBuilder, RecordBatch, StringViewArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, SchemaRef};
use bytes::Bytes;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::{Result, internal_datafusion_err, internal_err};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::physical_expr::PhysicalExpr;
use futures::future::ready;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::reader::{Blob, BlobReader};
use crate::binary_file::ahead::{Ahead, Buffered, READ_AHEAD, bytes_of_rows};
use crate::binary_file::content::append;
use crate::binary_file::metrics::ScanMetrics;
use crate::config::FeaturizeOptions;

/// What an object is expected to have at least, and at first.
const LEAST_EXPECTED: usize = 64 * 1024;

/// One partition's reading.
pub(super) struct ReadingAhead {
    pub(super) reader: Arc<BlobReader>,
    pub(super) uri: Arc<dyn PhysicalExpr>,
    pub(super) schema: SchemaRef,
    pub(super) settings: FeaturizeOptions,
    pub(super) metrics: ScanMetrics,
    pub(super) buffered: Buffered,
    pub(super) memory: MemoryReservation,
}

/// A row of the input on its way.
struct Row {
    batch: Arc<Uris>,
    index: usize,
}

/// A batch of the input.
struct Uris {
    rows: RecordBatch,
    uris: StringViewArray,
    /// What a row of the input takes up while it waits.
    bytes_a_row: usize,
}

/// A row and its object, which may still have to be fetched.
struct Found {
    row: Row,
    blob: Blob,
    held: Ahead,
}

impl Found {
    /// What it takes up: the object, and the row of the input.
    fn bytes(&self) -> usize {
        let object = match &self.blob {
            Blob::Bytes(bytes) => bytes.len(),
            _ => 0,
        };
        object.saturating_add(self.row.batch.bytes_a_row)
    }
}

/// Bytes that rows take in turn: those of a batch for the batch that is being gathered, and as many for
/// the rows that come after.
struct Budget {
    permits: Arc<Semaphore>,
    batch_bytes: usize,
}

impl Budget {
    fn new(batch_bytes: usize) -> Self {
        // One acquisition takes a number of 32 bits.
        let batch_bytes = batch_bytes.clamp(1, u32::MAX as usize / READ_AHEAD);
        let permits = Arc::new(Semaphore::new(batch_bytes * READ_AHEAD));
        Self {
            permits,
            batch_bytes,
        }
    }

    fn weight(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.min(self.batch_bytes)).unwrap_or(u32::MAX)
    }

    async fn take(&self, bytes: usize) -> Result<OwnedSemaphorePermit> {
        let permits = Arc::clone(&self.permits);
        let taken = permits.acquire_many_owned(self.weight(bytes)).await;
        taken.map_err(|e| internal_datafusion_err!("{e}"))
    }

    fn try_take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let permits = Arc::clone(&self.permits);
        permits.try_acquire_many_owned(self.weight(bytes)).ok()
    }
}

impl ReadingAhead {
    /// The rows of `input` with one column more.
    pub(super) fn run(
        self,
        input: SendableRecordBatchStream,
    ) -> BoxStream<'static, Result<(RecordBatch, Vec<Ahead>)>> {
        let Self { settings, uri, .. } = &self;
        let (max_rows, max_bytes) = (settings.batch_rows(), settings.scan_batch_bytes);
        // Enough rows to fill the requests in flight while a batch is being gathered.
        let rows_ahead = settings.scan_concurrency.saturating_add(max_rows);
        let uri = Arc::clone(uri);
        let schema = Arc::clone(&self.schema);
        let first = Arc::new(Fetch {
            budget: Budget::new(max_bytes),
            expected: AtomicUsize::new(LEAST_EXPECTED),
            reader: self.reader,
            metrics: self.metrics,
            buffered: self.buffered,
            memory: self.memory,
        });
        let second = Arc::new(first.with_budget(max_bytes));

        let rows = input
            .and_then(move |batch| ready(Uris::try_new(batch, &uri).map(Uris::into_rows)))
            .map_ok(|rows| stream::iter(rows).map(Ok))
            .try_flatten();
        let tried = rows
            .and_then(move |row| Arc::clone(&first).start(row))
            .try_buffered(rows_ahead);
        let found = tried
            .and_then(move |found| Arc::clone(&second).finish(found))
            .try_buffered(rows_ahead);
        let batches = stream::try_unfold((found.boxed(), None), move |(mut found, carried)| {
            let schema = Arc::clone(&schema);
            async move {
                let mut batch = Gathered::default();
                let mut next = carried;
                loop {
                    let found = match next.take() {
                        Some(found) => found,
                        None => match found.try_next().await? {
                            Some(found) => found,
                            None => break,
                        },
                    };
                    if !batch.has_room(&found, max_bytes) {
                        next = Some(found);
                        break;
                    }
                    if batch.push(found)? || batch.is_full(max_rows, max_bytes) {
                        break;
                    }
                }
                let batch = batch.finish(schema)?;
                Ok(batch.map(|batch| (batch, (found, next))))
            }
        });
        batches.boxed()
    }
}

impl Uris {
    fn try_new(rows: RecordBatch, uri: &Arc<dyn PhysicalExpr>) -> Result<Self> {
        let uris = uri.evaluate(&rows)?.into_array(rows.num_rows())?;
        let uris = cast(&uris, &DataType::Utf8View)?.as_string_view().clone();
        let bytes_a_row = bytes_of_rows(&rows) / rows.num_rows().max(1);
        Ok(Self {
            rows,
            uris,
            bytes_a_row,
        })
    }

    fn into_rows(self) -> impl Iterator<Item = Row> + Send + 'static {
        let batch = Arc::new(self);
        (0..batch.rows.num_rows()).map(move |index| Row {
            batch: Arc::clone(&batch),
            index,
        })
    }
}

impl Row {
    fn uri(&self) -> Option<&str> {
        let uris = &self.batch.uris;
        uris.is_valid(self.index).then(|| uris.value(self.index))
    }

    fn is_last(&self) -> bool {
        self.index + 1 == self.batch.rows.num_rows()
    }
}

/// Fetches within a budget.
struct Fetch {
    budget: Budget,
    /// What an object of this query is expected to have: more than most of those before it.
    expected: AtomicUsize,
    reader: Arc<BlobReader>,
    metrics: ScanMetrics,
    buffered: Buffered,
    memory: MemoryReservation,
}

/// What is being fetched, by a task that goes on while the rows before it are being consumed.
type Pending = std::pin::Pin<Box<dyn Future<Output = Result<Found>> + Send>>;

impl Fetch {
    fn with_budget(&self, bytes: usize) -> Self {
        Self {
            budget: Budget::new(bytes),
            expected: AtomicUsize::new(0),
            reader: Arc::clone(&self.reader),
            metrics: self.metrics.clone(),
            buffered: self.buffered.clone(),
            memory: self.memory.new_empty(),
        }
    }

    /// Begins with a row when the first budget has room for what is expected of it.
    async fn start(self: Arc<Self>, row: Row) -> Result<Pending> {
        let expected = match row.uri() {
            Some(_) => self.expected.load(Ordering::Relaxed),
            None => 0,
        };
        let waiting = row.batch.bytes_a_row;
        let permit = self.budget.take(expected.saturating_add(waiting)).await?;
        Ok(self.fetch(row, expected, permit))
    }

    /// Begins again with a row whose object was too long before.
    async fn finish(self: Arc<Self>, found: Found) -> Result<Pending> {
        let Blob::Larger(length) = found.blob else {
            return Ok(Box::pin(ready(Ok(found))));
        };
        // Whoever waits for more than there is waits for nobody behind it.
        drop(found.held);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let permit = self.budget.take(length).await?;
        Ok(self.fetch(found.row, length, permit))
    }

    fn fetch(self: Arc<Self>, row: Row, taken: usize, permit: OwnedSemaphorePermit) -> Pending {
        let task = SpawnedTask::spawn(async move { self.read(row, taken, permit).await });
        Box::pin(async move {
            let found = task.join_unwind().await;
            found.map_err(|e| internal_datafusion_err!("{e}"))?
        })
    }

    async fn read(
        &self,
        row: Row,
        taken: usize,
        mut permit: OwnedSemaphorePermit,
    ) -> Result<Found> {
        let mut more = None;
        let blob = match row.uri() {
            None => Blob::Null,
            Some(uri) => {
                let room = |length: u64| {
                    // Another attempt may be told another length.
                    more = None;
                    let length = usize::try_from(length).unwrap_or(usize::MAX);
                    if length > taken {
                        more = self.budget.try_take(length - taken);
                    }
                    length <= taken || more.is_some()
                };
                let (blob, effort) = self.reader.read(uri, room).await?;
                let read = match &blob {
                    Blob::Bytes(bytes) => Some(Some(bytes.len())),
                    Blob::Null => Some(None),
                    Blob::Larger(_) => None,
                };
                if let Some(read) = read {
                    self.metrics.record_object(read, &effort);
                }
                blob
            }
        };
        if let Some(more) = more {
            permit.merge(more);
        }
        let bytes = match &blob {
            Blob::Bytes(bytes) => bytes.len(),
            Blob::Null | Blob::Larger(_) => 0,
        };
        if let Blob::Larger(length) = &blob {
            self.expect(usize::try_from(*length).unwrap_or(usize::MAX));
        } else {
            if let Blob::Bytes(_) = &blob {
                self.expect(bytes);
            }
            // What was expected in vain.
            let spare = taken.saturating_sub(bytes).min(permit.num_permits());
            drop(permit.split(spare));
        }
        let memory = self.memory.new_empty();
        memory.try_grow(bytes).map_err(|e| {
            e.context(
                "reading objects ahead: lower featurize.scan_batch_bytes or \
                 featurize.scan_batch_rows, or raise the memory limit",
            )
        })?;
        let held = Ahead::new(permit, memory, bytes, &self.buffered);
        Ok(Found { row, blob, held })
    }

    /// Up at once, and down slowly: an object that was expected to be longer costs a little room for a
    /// moment, one that was not may cost a second request.
    fn expect(&self, length: usize) {
        let expected = self.expected.load(Ordering::Relaxed);
        let next = match length > expected {
            true => length,
            false => (expected - (expected - length) / 64).max(LEAST_EXPECTED),
        };
        // Racing with others loses no more than one opinion.
        self.expected.store(next, Ordering::Relaxed);
    }
}

/// Consecutive rows of one batch of the input, with what was read for them.
#[derive(Default)]
struct Gathered {
    rows: Option<(Arc<Uris>, usize)>,
    blobs: Vec<Option<Bytes>>,
    bytes: usize,
    held: Vec<Ahead>,
}

impl Gathered {
    fn is_full(&self, max_rows: usize, max_bytes: usize) -> bool {
        self.blobs.len() >= max_rows || self.bytes >= max_bytes
    }

    fn has_room(&self, found: &Found, max_bytes: usize) -> bool {
        self.blobs.is_empty() || self.bytes.saturating_add(found.bytes()) <= max_bytes
    }

    /// Whether the batch of the input ends here.
    fn push(&mut self, found: Found) -> Result<bool> {
        self.bytes += found.bytes();
        let Found { row, blob, held } = found;
        let blob = match blob {
            Blob::Bytes(bytes) => Some(bytes),
            Blob::Null => None,
            Blob::Larger(length) => {
                return internal_err!("no room for {length} bytes, though it was waited for");
            }
        };
        self.blobs.push(blob);
        self.held.push(held);
        let is_last = row.is_last();
        self.rows.get_or_insert((row.batch, row.index));
        Ok(is_last)
    }

    fn finish(self, schema: SchemaRef) -> Result<Option<(RecordBatch, Vec<Ahead>)>> {
        let Some((batch, start)) = self.rows else {
            return Ok(None);
        };
        let rows = batch.rows.slice(start, self.blobs.len());
        let mut columns = rows.columns().to_vec();
        columns.push(array(self.blobs)?);
        let batch = RecordBatch::try_new(schema, columns)?;
        Ok(Some((batch, self.held)))
    }
}

/// The column of what was read.
pub(super) fn array(blobs: Vec<Option<Bytes>>) -> Result<ArrayRef> {
    let mut builder = BinaryViewBuilder::with_capacity(blobs.len());
    for blob in blobs {
        match blob {
            Some(bytes) => append(&mut builder, bytes)?,
            None => builder.append_null(),
        }
    }
    Ok(Arc::new(builder.finish()))
}
