//! Batches that are made in the background, ahead of whoever consumes them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::physical_plan::metrics::{
    ExecutionPlanMetricsSet, Gauge, MetricBuilder, MetricCategory,
};
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use tokio::sync::OwnedSemaphorePermit;

use super::metrics::{ScanMetrics, Waiting};
use crate::io_runtime;

/// Batches read ahead, in units of `scan_batch_bytes`.
pub(crate) const READ_AHEAD: usize = 2;

/// Drives `batches` on the I/O runtime. What comes with a batch is held until the batch is out of our
/// hands.
///
/// # Errors
/// When there is no such runtime.
pub(crate) fn in_background<T: Send + 'static>(
    schema: SchemaRef,
    metrics: &ScanMetrics,
    mut batches: BoxStream<'static, Result<(RecordBatch, T)>>,
) -> Result<SendableRecordBatchStream> {
    let mut stream = RecordBatchReceiverStream::builder(schema, 1);
    let output = stream.tx();
    let task = async move {
        while let Some((batch, _held)) = batches.try_next().await? {
            if output.send(Ok(batch)).await.is_err() {
                break; // Whoever reads this partition has stopped.
            }
        }
        Ok(())
    };
    stream.spawn_on(task, &io_runtime::handle()?);
    Ok(Box::pin(Waiting {
        input: stream.build(),
        baseline: metrics.baseline.clone(),
        wait: metrics.wait.clone(),
        since: None,
    }))
}

/// What the rows of a batch take up. Batches share buffers, which hold other rows too: those do not count.
pub(crate) fn bytes_of_rows(batch: &RecordBatch) -> usize {
    let columns = batch.columns().iter().map(|column| {
        if let Some(views) = column.as_binary_view_opt() {
            return views.lengths().map(|length| length as usize).sum();
        }
        if let Some(views) = column.as_string_view_opt() {
            return views.lengths().map(|length| length as usize).sum();
        }
        column.to_data().get_slice_memory_size().unwrap_or_default()
    });
    columns.sum()
}

/// What content that was read ahead takes up until it is handed on.
#[derive(Debug)]
pub(crate) struct Ahead {
    bytes: usize,
    buffered: Buffered,
    _permit: OwnedSemaphorePermit,
    _memory: MemoryReservation,
}

impl Ahead {
    pub(crate) fn new(
        permit: OwnedSemaphorePermit,
        memory: MemoryReservation,
        bytes: usize,
        buffered: &Buffered,
    ) -> Self {
        let now = buffered.now.fetch_add(bytes, Ordering::Relaxed) + bytes;
        buffered.peak.set_max(now);
        Self {
            bytes,
            buffered: buffered.clone(),
            _permit: permit,
            _memory: memory,
        }
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.buffered.now.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Content in memory that was not handed on yet, of all partitions of a scan.
#[derive(Debug, Clone)]
pub(crate) struct Buffered {
    now: Arc<AtomicUsize>,
    peak: Gauge,
}

impl Buffered {
    pub(crate) fn new(metrics: &ExecutionPlanMetricsSet) -> Self {
        Self {
            now: Arc::default(),
            peak: MetricBuilder::new(metrics)
                .with_category(MetricCategory::Bytes)
                .global_gauge("peak_buffered_bytes"),
        }
    }
}
