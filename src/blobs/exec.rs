//! The operator that reads the objects which its input names.

use std::fmt;
use std::sync::{Arc, OnceLock};

use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{ColumnStatistics, Result, Statistics, internal_datafusion_err};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{CardinalityEffect, EmissionType, SchedulingType};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
};

use super::access::BlobCall;
use super::ahead::ReadingAhead;
use super::reader::BlobReader;
use crate::binary_file::ahead::{Buffered, in_background};
use crate::binary_file::fetch::orderings;
use crate::binary_file::metrics::ScanMetrics;
use crate::config::FeaturizeOptions;
use crate::object_stores::address::hide_secrets;
use crate::unary::unary_methods;

/// Adds one column to its input: the bytes of the objects that an expression over it names.
///
/// Requests run in the background, on a runtime of their own, `featurize.scan_concurrency` at once over
/// all partitions. Rows keep their order, and batches are bounded in rows and in bytes.
#[derive(Debug)]
pub struct ReadBlobExec {
    input: Arc<dyn ExecutionPlan>,
    uri: Arc<dyn PhysicalExpr>,
    call: BlobCall,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
    shared: OnceLock<Shared>,
}

/// What all partitions share.
#[derive(Debug)]
struct Shared {
    reader: Arc<BlobReader>,
    buffered: Buffered,
}

impl ReadBlobExec {
    /// # Errors
    /// When `uri` is no expression over `input`.
    pub(crate) fn try_new(
        input: Arc<dyn ExecutionPlan>,
        uri: Arc<dyn PhysicalExpr>,
        call: BlobCall,
    ) -> Result<Self> {
        let schema = input.schema();
        let nullable = call.tries || uri.nullable(&schema)?;
        // Only the rule that puts the operator here refers to it, by its place.
        let name = format!("{}#{}", call.name(), schema.fields().len());
        let mut fields = schema.fields().to_vec();
        fields.push(Arc::new(Field::new(name, DataType::BinaryView, nullable)));
        let schema = Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()));
        let orderings = orderings(&input, &schema);
        let properties = PlanProperties::new(
            EquivalenceProperties::new_with_orderings(schema, orderings),
            input.output_partitioning().clone(),
            EmissionType::Incremental,
            input.boundedness(),
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        Ok(Self {
            input,
            uri,
            call,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
            shared: OnceLock::new(),
        })
    }

    fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        Self::try_new(input, Arc::clone(&self.uri), self.call.clone())
    }

    /// Whose rows name objects.
    pub fn input(&self) -> &Arc<dyn ExecutionPlan> {
        &self.input
    }

    /// What names them.
    pub fn uri(&self) -> &Arc<dyn PhysicalExpr> {
        &self.uri
    }

    #[cfg(feature = "cluster")]
    pub(crate) fn call(&self) -> &BlobCall {
        &self.call
    }

    /// The place of the column that it adds.
    pub fn column(&self) -> usize {
        self.input.schema().fields().len()
    }

    fn shared(&self, context: &TaskContext, settings: &FeaturizeOptions) -> Result<&Shared> {
        if let Some(shared) = self.shared.get() {
            return Ok(shared);
        }
        let reader = BlobReader::try_new(
            &self.call,
            Arc::clone(&context.runtime_env().object_store_registry),
            context.session_config().options(),
            settings.scan_concurrency,
        )?;
        Ok(self.shared.get_or_init(|| Shared {
            reader: Arc::new(reader),
            buffered: Buffered::new(&self.metrics),
        }))
    }
}

impl DisplayAs for ReadBlobExec {
    fn fmt_as(&self, t: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let (name, uri) = (self.call.name(), hide_secrets(&self.uri.to_string()));
        match t {
            DisplayFormatType::Default | DisplayFormatType::Verbose => {
                write!(f, "ReadBlobExec: {name}({uri})")
            }
            DisplayFormatType::TreeRender => writeln!(f, "{name}({uri})"),
        }
    }
}

impl ExecutionPlan for ReadBlobExec {
    unary_methods!("ReadBlobExec", with apply_expressions);

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        f(&self.uri)
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let settings = FeaturizeOptions::from_config(context.session_config().options());
        let input = self.input.execute(partition, Arc::clone(&context))?;
        let shared = self.shared(&context, &settings)?;
        let metrics = ScanMetrics::new(&self.metrics, partition);
        let memory = MemoryConsumer::new(format!("ReadBlobExec[{partition}]"));
        let reading = ReadingAhead {
            reader: Arc::clone(&shared.reader),
            uri: Arc::clone(&self.uri),
            schema: self.schema(),
            settings,
            metrics: metrics.clone(),
            buffered: shared.buffered.clone(),
            memory: memory.register(context.memory_pool()),
        };
        in_background(self.schema(), &metrics, reading.run(input))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition)]
    }

    fn statistics_from_inputs(
        &self,
        inputs: &[Arc<Statistics>],
        _args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let input = inputs.first();
        let input = input.ok_or_else(|| {
            internal_datafusion_err!("ReadBlobExec got no statistics of its child")
        })?;
        let mut statistics = input.as_ref().clone();
        statistics.total_byte_size = Default::default();
        statistics
            .column_statistics
            .push(ColumnStatistics::new_unknown());
        Ok(Arc::new(statistics))
    }

    fn supports_limit_pushdown(&self) -> bool {
        true
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
    }
}
