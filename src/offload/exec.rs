//! The operator that polls its input on another thread.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{
    Result, Statistics, assert_eq_or_internal_err, exec_datafusion_err, internal_datafusion_err,
};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::execution_plan::{
    CardinalityEffect, ChildrenPropertiesMode, ReplaceChildrenOptions, SchedulingType,
};
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use datafusion_functions_image::cancel::{self, CancelToken};
use futures::StreamExt;
use futures::future::{AbortHandle, Abortable};
use futures::stream;
use tokio::runtime::Handle;

/// Polls its input on a thread for blocking work, one batch at a time, and cancels the computation
/// when its stream is dropped.
///
/// Batches, their order and their partitions stay as they are. Nothing is computed ahead, so no
/// more memory is held than without it. Each partition takes one of the runtime's blocking threads
/// while a batch of its is being made, and only one: below another such operator, without an exchange
/// between them, this one polls its input in place.
#[derive(Debug)]
pub struct OffloadExec {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl OffloadExec {
    /// Offloads `input`, without the operators below its next exchange.
    pub fn new(input: Arc<dyn ExecutionPlan>) -> Self {
        let properties = PlanProperties::clone(input.properties())
            .with_scheduling_type(SchedulingType::Cooperative);
        Self {
            input,
            properties: Arc::new(properties),
        }
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
    fn name(&self) -> &'static str {
        "OffloadExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        assert_eq_or_internal_err!(children.len(), 1, "OffloadExec has one child");
        Ok(Arc::new(Self::new(children.swap_remove(0))))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        self.replace_children(children, options)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        let batches = stream::try_unfold(input, next);
        let stream = RecordBatchStreamAdapter::new(self.schema(), batches);
        Ok(Box::pin(stream))
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition)]
    }

    fn statistics_from_inputs(
        &self,
        input_stats: &[Arc<Statistics>],
        _args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        input_stats
            .first()
            .cloned()
            .ok_or_else(|| internal_datafusion_err!("OffloadExec got no statistics of its child"))
    }

    fn supports_limit_pushdown(&self) -> bool {
        true
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
    }
}

/// The next batch of `input`. Dropping the future stops the computation.
async fn next(
    mut input: SendableRecordBatchStream,
) -> Result<Option<(RecordBatch, SendableRecordBatchStream)>> {
    if cancel::in_scope() {
        let batch = input.next().await.transpose()?;
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
        let batch = Abortable::new(input.next(), registration);
        let batch = cancel::scope(&token, || runtime.block_on(batch));
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
