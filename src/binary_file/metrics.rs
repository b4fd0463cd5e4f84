//! What a fetch counts while it runs.

use std::pin::Pin;
use std::task::{Context, Poll};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::common::instant::Instant;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream};
use datafusion::physical_plan::metrics::{
    BaselineMetrics, Count, ExecutionPlanMetricsSet, MetricBuilder, Time,
};
use futures::{Stream, StreamExt};

use super::content::Fetched;
use crate::object_stores::reading::Effort;
use crate::totals;

/// What `EXPLAIN ANALYZE` shows.
#[derive(Debug, Clone)]
pub(crate) struct ScanMetrics {
    pub(crate) baseline: BaselineMetrics,
    pub(crate) files: Count,
    pub(crate) bytes: Count,
    pub(crate) skipped: Count,
    pub(crate) retries: Count,
    /// Sum over the objects of the time from the request to the last byte, retries included.
    pub(crate) request_time: Time,
    /// Time in which the consumer wanted a batch and none was ready.
    pub(crate) wait: Time,
}

impl ScanMetrics {
    pub(crate) fn new(metrics: &ExecutionPlanMetricsSet, partition: usize) -> Self {
        let counter = |name| MetricBuilder::new(metrics).counter(name, partition);
        let time = |name| MetricBuilder::new(metrics).subset_time(name, partition);
        Self {
            baseline: BaselineMetrics::new(metrics, partition),
            files: counter("files_fetched"),
            bytes: counter("bytes_fetched"),
            skipped: counter("files_skipped"),
            retries: counter("fetch_retries"),
            request_time: time("request_time"),
            wait: time("network_wait_time"),
        }
    }

    pub(super) fn record(&self, fetched: Fetched) -> RecordBatch {
        self.files.add(fetched.files);
        self.bytes.add(fetched.bytes);
        self.skipped.add(fetched.skipped);
        self.retries.add(fetched.retries);
        totals::count_fetched(fetched.files, fetched.bytes, fetched.retries);
        self.request_time.add_duration(fetched.request_time);
        fetched.batch
    }

    /// Notes an object of `bytes`, or one that could not be had.
    pub(crate) fn record_object(&self, bytes: Option<usize>, effort: &Effort) {
        match bytes {
            Some(bytes) => {
                self.files.add(1);
                self.bytes.add(bytes);
            }
            None => self.skipped.add(1),
        }
        let files = usize::from(bytes.is_some());
        totals::count_fetched(files, bytes.unwrap_or_default(), effort.retries);
        self.retries.add(effort.retries);
        self.request_time.add_duration(effort.time);
    }
}

/// Measures how long its consumer waits, on the consumer's side.
pub(crate) struct Waiting {
    pub(crate) input: SendableRecordBatchStream,
    pub(crate) baseline: BaselineMetrics,
    pub(crate) wait: Time,
    pub(crate) since: Option<Instant>,
}

impl Stream for Waiting {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.input.poll_next_unpin(context);
        match &next {
            Poll::Pending => {
                self.since.get_or_insert_with(Instant::now);
            }
            Poll::Ready(_) => {
                if let Some(since) = self.since.take() {
                    self.wait.add_elapsed(since);
                }
            }
        }
        self.baseline.record_poll(next)
    }
}

impl RecordBatchStream for Waiting {
    fn schema(&self) -> SchemaRef {
        self.input.schema()
    }
}
