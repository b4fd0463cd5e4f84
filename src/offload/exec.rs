//! The operator that polls its input on another thread.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::instant::Instant;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::execution::object_store::ObjectStoreRegistry;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::execution_plan::SchedulingType;
use datafusion::physical_plan::metrics::{
    Count, ExecutionPlanMetricsSet, Gauge, MetricBuilder, MetricsSet, Time,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use datafusion_functions_image::cancel::{self, CancelToken};
use datafusion_functions_image::counters::{self, Counters};
use futures::StreamExt;
use futures::future::{AbortHandle, Abortable};
use futures::stream;
use tokio::runtime::Handle;

use crate::blobs;
use crate::unary::{passes_rows, unary_methods};

/// Polls its input on a thread for blocking work, one batch at a time, and cancels the computation
/// when its stream is dropped.
///
/// Batches, their order and their partitions stay as they are. Nothing is computed ahead, so no
/// more memory is held than without it. Each partition takes one of the runtime's blocking threads
/// while a batch of its is being made, and only one: below another such operator, without an exchange
/// between them, this one polls its input in place.
///
/// Its metrics are those of the image functions evaluated below it, up to the next exchange:
/// `images_decoded`, `images_undecodable`, `images_inferred`, `decode_time`, `inference_time` and
/// `images_per_second` (since the partition was begun; summed over partitions).
#[derive(Debug)]
pub struct OffloadExec {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl OffloadExec {
    /// Offloads `input`, without the operators below its next exchange.
    pub fn new(input: Arc<dyn ExecutionPlan>) -> Self {
        let properties = PlanProperties::clone(input.properties())
            .with_scheduling_type(SchedulingType::Cooperative);
        Self {
            input,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        Ok(Self::new(input))
    }

    /// What is polled elsewhere.
    pub fn input(&self) -> &Arc<dyn ExecutionPlan> {
        &self.input
    }
}

impl DisplayAs for OffloadExec {
    fn fmt_as(&self, t: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        match t {
            DisplayFormatType::Default | DisplayFormatType::Verbose => write!(f, "OffloadExec"),
            // The operator's name stands above.
            DisplayFormatType::TreeRender => Ok(()),
        }
    }
}

impl ExecutionPlan for OffloadExec {
    unary_methods!("OffloadExec");
    passes_rows!();

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let input = Input {
            stores: Arc::clone(&context.runtime_env().object_store_registry),
            batches: self.input.execute(partition, context)?,
            images: ImageMetrics::new(&self.metrics, partition),
        };
        let batches = stream::try_unfold(input, next);
        let stream = RecordBatchStreamAdapter::new(self.schema(), batches);
        Ok(Box::pin(stream))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn supports_limit_pushdown(&self) -> bool {
        true
    }
}

/// The next batch of `input`. Dropping the future stops the computation.
async fn next(mut input: Input) -> Result<Option<(RecordBatch, Input)>> {
    // The operator above, on whose thread this is, counts what is done here.
    if cancel::in_scope() {
        let batch = input.batches.next().await.transpose()?;
        return Ok(batch.map(|batch| (batch, input)));
    }
    let runtime = Handle::try_current()
        .map_err(|e| exec_datafusion_err!("OffloadExec needs a Tokio runtime: {e}"))?;
    let token = CancelToken::new();
    let (waiting, registration) = AbortHandle::new_pair();
    let _stop = StopOnDrop {
        computing: token.clone(),
        waiting,
    };
    let task = SpawnedTask::spawn_blocking(move || {
        let before = counters::of_this_thread();
        let batch = Abortable::new(input.batches.next(), registration);
        let batch = cancel::scope(&token, || {
            blobs::with_stores(&input.stores, || runtime.block_on(batch))
        });
        input.images.add(counters::of_this_thread() - before);
        (batch, input)
    });
    let (batch, input) = task
        .join_unwind()
        .await
        .map_err(|e| exec_datafusion_err!("OffloadExec: the runtime is shutting down: {e}"))?;
    match batch {
        Ok(Some(batch)) => Ok(Some((batch?, input))),
        // Aborted only if nobody is there to see it.
        Ok(None) | Err(_) => Ok(None),
    }
}

/// A partition of the input, what is counted of it, and the stores that its functions see.
struct Input {
    batches: SendableRecordBatchStream,
    images: ImageMetrics,
    stores: Arc<dyn ObjectStoreRegistry>,
}

/// What the image functions of a partition have done.
struct ImageMetrics {
    begun: Instant,
    decoded: Count,
    undecodable: Count,
    inferred: Count,
    decode_time: Time,
    inference_time: Time,
    per_second: Gauge,
}

impl ImageMetrics {
    fn new(metrics: &ExecutionPlanMetricsSet, partition: usize) -> Self {
        let count = |name| MetricBuilder::new(metrics).counter(name, partition);
        let time = |name| MetricBuilder::new(metrics).subset_time(name, partition);
        Self {
            begun: Instant::now(),
            decoded: count("images_decoded"),
            undecodable: count("images_undecodable"),
            inferred: count("images_inferred"),
            decode_time: time("decode_time"),
            inference_time: time("inference_time"),
            per_second: MetricBuilder::new(metrics).gauge("images_per_second", partition),
        }
    }

    fn add(&self, images: Counters) {
        self.decoded.add(images.decoded as usize);
        self.undecodable.add(images.undecodable as usize);
        self.inferred.add(images.inferred as usize);
        self.decode_time.add_duration(images.decode_time);
        self.inference_time.add_duration(images.inference_time);
        let seconds = self.begun.elapsed().as_secs_f64();
        if seconds > 0.0 {
            self.per_second
                .set((self.inferred.value() as f64 / seconds).round() as usize);
        }
    }
}

/// Stops a batch in the making, whether its operators compute or wait.
struct StopOnDrop {
    computing: CancelToken,
    waiting: AbortHandle,
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.computing.cancel();
        self.waiting.abort();
    }
}
