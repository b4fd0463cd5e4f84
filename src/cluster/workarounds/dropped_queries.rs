//! Tells the scheduler when nobody waits for a query any more.
//!
//! # To be filed upstream
//!
//! > **ballista-core 55.0: a query whose stream is dropped runs on**
//! >
//! > Who drops the stream of a `DistributedQueryExec` before its end (Ctrl-C, a time-out, a `LIMIT` in the client)
//! > leaves the job running, a `COPY` to its commit: nothing in `execution_plans/distributed_query.rs` calls
//! > `cancel_job` then. The stream should hold a guard that does when it is dropped. And with
//! > `ballista.client.pull = false`, `execute_query_push` learns the job's id from the first status, which comes
//! > with the end of the first stage; before that, not even the caller can cancel. The scheduler should send a
//! > status as soon as the job is queued.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use ballista_core::config::BALLISTA_CLIENT_PULL;
use ballista_core::execution_plans::DistributedQueryExec;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
};
use datafusion::prelude::SessionConfig;
use datafusion_proto::protobuf::LogicalPlanNode;
use futures::{Stream, StreamExt};

use crate::cluster::errors::as_local;
use crate::cluster::link::Link;
use crate::unary::{passes_rows, unary_methods};

type QueryExec = DistributedQueryExec<LogicalPlanNode>;

/// How long the scheduler may take to hear of it.
const PATIENCE: Duration = Duration::from_secs(3);

/// Cancellations that the scheduler has not heard of yet.
static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

/// Waits until the scheduler has heard of all queries that were dropped, or has had the time to: for
/// programs that end after a query was interrupted.
pub async fn cancellations() {
    while UNDER_WAY.load(Ordering::Relaxed) > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The settings with which a client knows what to cancel from the start: it asks for the state of its query,
/// every 50 ms, and has been told the id by then.
pub(in crate::cluster) fn with_ids_at_once(config: SessionConfig) -> SessionConfig {
    config.set_bool(BALLISTA_CLIENT_PULL, true)
}

/// Passes on the results of a query on the cluster, and its errors as they would be without one; cancels it if
/// they are not read to the end.
#[derive(Debug)]
pub(in crate::cluster) struct CancelOnDropExec {
    link: Link,
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl CancelOnDropExec {
    /// The plan itself, if it runs nothing on a cluster.
    pub(in crate::cluster) fn wrap(
        input: Arc<dyn ExecutionPlan>,
        link: &Link,
    ) -> Arc<dyn ExecutionPlan> {
        if !input.is::<QueryExec>() {
            return input;
        }
        Arc::new(Self::new(input, link.clone()))
    }

    fn new(input: Arc<dyn ExecutionPlan>, link: Link) -> Self {
        Self {
            properties: Arc::clone(input.properties()),
            link,
            input,
        }
    }

    fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        Ok(Self::new(input, self.link.clone()))
    }
}

impl DisplayAs for CancelOnDropExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CancelOnDropExec")
    }
}

impl ExecutionPlan for CancelOnDropExec {
    unary_methods!("CancelOnDropExec");
    passes_rows!();

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let last = partition + 1 == self.input.output_partitioning().partition_count();
        let inner = self.input.execute(partition, context);
        Ok(Box::pin(Results {
            inner: inner.map_err(|e| as_local(e, &self.link))?,
            link: self.link.clone(),
            job: Some(Job {
                link: self.link.clone(),
                query: Arc::clone(&self.input),
            })
            .filter(|_| last),
        }))
    }
}

struct Results {
    inner: SendableRecordBatchStream,
    link: Link,
    /// What is cancelled when this is dropped.
    job: Option<Job>,
}

impl Stream for Results {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.inner.poll_next_unpin(cx);
        if let Poll::Ready(None | Some(Err(_))) = next {
            self.job = None;
        }
        next.map_err(|e| as_local(e, &self.link))
    }
}

impl RecordBatchStream for Results {
    fn schema(&self) -> SchemaRef {
        self.inner.schema()
    }
}

impl Drop for Results {
    fn drop(&mut self) {
        if let Some(job) = self.job.take() {
            job.cancel();
        }
    }
}

struct Job {
    link: Link,
    query: Arc<dyn ExecutionPlan>,
}

impl Job {
    fn cancel(self) {
        let id = self.query.downcast_ref::<QueryExec>();
        // It has none before the scheduler has answered.
        let (Some(id), Ok(runtime)) = (
            id.and_then(QueryExec::job_id),
            tokio::runtime::Handle::try_current(),
        ) else {
            return;
        };
        UNDER_WAY.fetch_add(1, Ordering::Relaxed);
        runtime.spawn(async move {
            let cancelled = self.link.cancel(id.to_string());
            match tokio::time::timeout(PATIENCE, cancelled).await {
                Ok(Ok(())) => {}
                Ok(Err(e)) => log::warn!("job {id} could not be cancelled: {e}"),
                Err(_) => log::warn!("job {id} could not be cancelled within {PATIENCE:?}"),
            }
            UNDER_WAY.fetch_sub(1, Ordering::Relaxed);
        });
    }
}
