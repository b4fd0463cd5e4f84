//! Merges the partial aggregates of some partitions into one.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use datafusion::common::{Result, internal_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Accumulator;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use datafusion_functions_pca::merges_in_place;
use futures::{TryStreamExt, stream};

use crate::unary::unary_methods;

/// The aggregate whose partial results may be more than what it is made of.
const PCA_FIT: &str = "pca_fit";

/// Does what the aggregate below it, in the mode `PartialReduce`, would do, but passes on what would not become
/// smaller: partial fits that hold rows and no moments. Two of them take as much as both, and the one that ends the
/// fit knows what to do with rows for which there is no memory.
#[derive(Debug)]
pub(in crate::cluster) struct MergeStatesExec {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl MergeStatesExec {
    pub(in crate::cluster) fn new(input: Arc<dyn ExecutionPlan>) -> Self {
        Self {
            properties: Arc::clone(input.properties()),
            input,
        }
    }

    fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        Ok(Self::new(input))
    }
}

impl DisplayAs for MergeStatesExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MergeStatesExec")
    }
}

impl ExecutionPlan for MergeStatesExec {
    unary_methods!("MergeStatesExec");

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let Some(aggregate) = self.input.downcast_ref::<AggregateExec>() else {
            return internal_err!("MergeStatesExec above {}", self.input.name());
        };
        let calls = aggregate.aggr_expr().iter().map(|call| {
            Ok(Call {
                is_fit: call.fun().name() == PCA_FIT,
                columns: call.state_fields()?.len(),
                accumulator: call.create_accumulator()?,
            })
        });
        let pool = context.memory_pool();
        let merging = Merging {
            calls: calls.collect::<Result<_>>()?,
            reservation: MemoryConsumer::new("MergeStatesExec").register(pool),
            is_empty: true,
        };
        let schema = self.schema();
        let states = aggregate.input().execute(partition, context)?;
        let merged = stream::try_unfold(Some((states, merging)), {
            let schema = Arc::clone(&schema);
            move |left| {
                let schema = Arc::clone(&schema);
                async move {
                    let Some((mut states, mut merging)) = left else {
                        return Ok(None);
                    };
                    while let Some(batch) = states.try_next().await? {
                        if !merging.can_merge(&batch) {
                            return Ok(Some((batch, Some((states, merging)))));
                        }
                        merging.merge(&batch)?;
                    }
                    let merged = match merging.is_empty {
                        true => RecordBatch::new_empty(schema),
                        false => RecordBatch::try_new(schema, merging.state()?)?,
                    };
                    Ok(Some((merged, None)))
                }
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, merged)))
    }
}

/// What one aggregate function has merged so far.
struct Call {
    is_fit: bool,
    /// Of its state.
    columns: usize,
    accumulator: Box<dyn Accumulator>,
}

struct Merging {
    calls: Vec<Call>,
    reservation: MemoryReservation,
    is_empty: bool,
}

impl Merging {
    fn can_merge(&self, batch: &RecordBatch) -> bool {
        let mut first = 0;
        self.calls.iter().all(|call| {
            let state = &batch.columns()[first..first + call.columns];
            first += call.columns;
            !call.is_fit || merges_in_place(state)
        })
    }

    fn merge(&mut self, batch: &RecordBatch) -> Result<()> {
        self.is_empty &= batch.num_rows() == 0;
        let mut first = 0;
        for call in &mut self.calls {
            let state = &batch.columns()[first..first + call.columns];
            first += call.columns;
            call.accumulator.merge_batch(state)?;
        }
        let bytes = self.calls.iter().map(|call| call.accumulator.size()).sum();
        self.reservation.try_resize(bytes)
    }

    fn state(&mut self) -> Result<Vec<ArrayRef>> {
        let mut columns = vec![];
        for call in &mut self.calls {
            for value in call.accumulator.state()? {
                columns.push(value.to_array()?);
            }
        }
        Ok(columns)
    }
}
