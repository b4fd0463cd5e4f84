//! The commit: runs once, above the part writers, and returns the number of rows.

use std::fmt;
use std::sync::Arc;

use arrow::array::{RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{Result, assert_eq_or_internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning};
use datafusion::physical_plan::execution_plan::{
    Boundedness, EmissionType, EvaluationType, SchedulingType,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, Distribution, ExecutionPlan, InputDistributionRequirements,
    PlanProperties,
};
use futures::TryStreamExt;

use super::closed::{Closed, closed_parts};
use super::run::Run;
use super::spec::WriteSpec;
use super::target::Target;
use crate::unary::unary_methods;

/// Waits for the parts that its input names, and makes them the content of the target: see the
/// [module](super) for the steps. Yields one row with the number of rows written, `count`.
///
/// Executing it again does no harm, as a cluster does when the machine that commits is lost: what
/// the first attempt has begun is finished, and parts that were written once more are dropped.
#[derive(Debug)]
pub struct CommitExec {
    input: Arc<dyn ExecutionPlan>,
    spec: Arc<WriteSpec>,
    properties: Arc<PlanProperties>,
}

impl CommitExec {
    /// Commits the parts that `input`, a [`PartWriterExec`](super::PartWriterExec), has written.
    pub fn new(input: Arc<dyn ExecutionPlan>, spec: Arc<WriteSpec>) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(count_schema()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::Cooperative)
        .with_evaluation_type(EvaluationType::Eager);
        Self {
            input,
            spec,
            properties: Arc::new(properties),
        }
    }

    fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        Ok(Self::new(input, Arc::clone(&self.spec)))
    }

    /// What is written, and where to.
    pub fn spec(&self) -> &Arc<WriteSpec> {
        &self.spec
    }
}

impl DisplayAs for CommitExec {
    fn fmt_as(&self, t: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let WriteSpec {
            target, write_mode, ..
        } = self.spec.as_ref();
        match t {
            DisplayFormatType::Default | DisplayFormatType::Verbose => {
                write!(f, "CommitExec: target={target}, write_mode={write_mode}")
            }
            DisplayFormatType::TreeRender => {
                writeln!(f, "target={target}")?;
                writeln!(f, "write_mode={write_mode}")
            }
        }
    }
}

impl ExecutionPlan for CommitExec {
    unary_methods!("CommitExec");

    fn required_input_distribution(&self) -> Vec<Distribution> {
        self.input_distribution_requirements().into_per_child()
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        InputDistributionRequirements::new(vec![Distribution::SinglePartition])
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        assert_eq_or_internal_err!(partition, 0, "CommitExec has one partition");
        // Held through the whole query, so that the lock is renewed.
        let run = Run::join(&self.spec, &context)?;
        let input = self.input.execute(0, Arc::clone(&context))?;
        let target = self.spec.target.clone();
        let stream = futures::stream::once(async move {
            let written = write(&run, input).await;
            forget_listings(&context, &target);
            let count = written.map_err(|e| e.context(run.failure()))?;
            let count = Arc::new(UInt64Array::from(vec![count]));
            Ok(RecordBatch::try_new(count_schema(), vec![count])?)
        });
        let stream = RecordBatchStreamAdapter::new(count_schema(), stream);
        Ok(Box::pin(stream))
    }
}

async fn write(run: &Run, input: SendableRecordBatchStream) -> Result<u64> {
    // Nothing is the run's to clear away before it has the lock.
    run.start().await?;
    let closed = match closed(input).await {
        Ok(closed) => closed,
        Err(e) if run.is_one_process() => {
            run.abort().await;
            return Err(e);
        }
        // The machine that held the names of some parts was lost: Ballista writes those parts once
        // more and repeats this task, which needs the other parts.
        Err(e) => {
            run.end().await;
            return Err(e);
        }
    };
    match run.finish(closed).await {
        Ok(count) => Ok(count),
        Err(e) => {
            run.abort().await;
            Err(e)
        }
    }
}

/// The parts that the writers name.
async fn closed(input: SendableRecordBatchStream) -> Result<Vec<Closed>> {
    let batches: Vec<RecordBatch> = input.try_collect().await?;
    let mut closed = vec![];
    for batch in &batches {
        closed.extend(closed_parts(batch)?);
    }
    Ok(closed)
}

/// Tables of this session that list the target must list it anew.
fn forget_listings(context: &TaskContext, target: &Target) {
    let runtime = context.runtime_env();
    let Some(cache) = runtime.cache_manager.get_list_files_cache() else {
        return;
    };
    let own = target.real_path(target.path());
    for key in cache.list_entries().into_keys() {
        let is_named =
            key.path.prefix_matches(target.path()) || target.path().prefix_matches(&key.path);
        let real = || target.real_path(&key.path);
        let is_linked = || {
            let paths = own.as_ref().zip(real());
            paths.is_some_and(|(own, real)| real.starts_with(own) || own.starts_with(&real))
        };
        if is_named || is_linked() {
            cache.remove(&key);
        }
    }
}

fn count_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new(
        "count",
        DataType::UInt64,
        false,
    )]))
}
