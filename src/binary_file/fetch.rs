//! The operator that adds `content` to the rows of a work list.

use std::fmt;
use std::sync::{Arc, OnceLock};

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::stats::Precision;
use datafusion::common::{
    ColumnStatistics, DataFusionError, Result, Statistics, internal_datafusion_err,
};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::utils::reassign_expr_columns;
use datafusion::physical_expr::{
    EquivalenceProperties, LexOrdering, Partitioning, PhysicalSortExpr,
};
use datafusion::physical_plan::execution_plan::{
    Boundedness, CardinalityEffect, EmissionType, SchedulingType,
};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
};
use futures::future::ready;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use tokio::sync::Semaphore;

use super::ahead::{Ahead, Buffered, READ_AHEAD, in_background};
use super::content::ContentReader;
use super::members::{OpenArchives, read_together};
use super::metrics::ScanMetrics;
use super::options::BinaryFileOptions;
use super::schema::{CONTENT, LENGTH, PATH};
use super::slices::slices;
use crate::config::FeaturizeOptions;
use crate::unary::unary_methods;

/// Reads the objects that its input lists and adds their bytes as the column `content`.
///
/// The input has the columns `path` and `length`; the output has those of `schema`. Requests run
/// in the background, on a runtime of their own, `featurize.scan_concurrency` at once over all
/// partitions. Rows keep their order, and batches are bounded in rows and in bytes. Objects are
/// never split.
#[derive(Debug)]
pub struct FetchExec {
    input: Arc<dyn ExecutionPlan>,
    pub(super) options: BinaryFileOptions,
    pub(super) listing: ListingSummary,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
    shared: OnceLock<Shared>,
}

/// What all partitions of a scan share.
#[derive(Debug)]
struct Shared {
    /// One permit a request in flight.
    requests: Arc<Semaphore>,
    archives: Arc<OpenArchives>,
    buffered: Buffered,
}

/// What the listing found, for people and for the optimiser.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListingSummary {
    /// Objects that the store named, in the folders that were looked into.
    pub listed: usize,
    /// Those of them that are to be read: not left out by the table's options, a predicate or a
    /// limit.
    pub files: usize,
    /// Bytes of the objects that are to be read.
    pub bytes: u64,
    /// Requests for the listing that failed and were made again.
    pub retries: usize,
    /// The predicates that were applied, as text.
    pub filters: Vec<String>,
}

impl FetchExec {
    /// Adds `content` to the rows of `input`.
    ///
    /// # Errors
    /// When `input` lacks a column that reading or `schema` needs.
    pub fn try_new(
        input: Arc<dyn ExecutionPlan>,
        schema: SchemaRef,
        options: BinaryFileOptions,
    ) -> Result<Self> {
        let listed = input.schema();
        let shown = schema.fields().iter().map(|field| field.name().as_str());
        for name in shown.filter(|name| *name != CONTENT).chain([PATH, LENGTH]) {
            listed.field_with_name(name).map_err(|_| {
                internal_datafusion_err!("FetchExec: its input has no column '{name}'")
            })?;
        }
        let orderings = orderings(&input, &schema);
        let partitioning = partitioning(&input, &schema);
        let properties = PlanProperties::new(
            EquivalenceProperties::new_with_orderings(schema, orderings),
            partitioning,
            EmissionType::Incremental,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        Ok(Self {
            input,
            options,
            listing: ListingSummary::default(),
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
            shared: OnceLock::new(),
        })
    }

    fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        self.over(input, self.schema())
    }

    /// The same of other rows of the list, with other columns of it.
    pub(crate) fn over(&self, input: Arc<dyn ExecutionPlan>, schema: SchemaRef) -> Result<Self> {
        let fetch = Self::try_new(input, schema, self.options.clone())?;
        Ok(fetch.with_listing(self.listing.clone()))
    }

    /// The list of what is fetched.
    pub(crate) fn input(&self) -> &Arc<dyn ExecutionPlan> {
        &self.input
    }

    /// Notes what was listed.
    pub fn with_listing(mut self, listing: ListingSummary) -> Self {
        let ListingSummary {
            listed,
            files,
            retries,
            ..
        } = listing;
        let metrics = || MetricBuilder::new(&self.metrics);
        metrics().global_counter("files_listed").add(listed);
        let pruned = listed.saturating_sub(files);
        metrics().global_counter("files_pruned").add(pruned);
        metrics().global_counter("list_retries").add(retries);
        self.listing = listing;
        self
    }

    /// Whether an object may turn out to be no row.
    fn may_lose_rows(&self) -> bool {
        self.options.ignore_missing_files
    }
}

/// The orders of the input, as far as the output has their columns.
pub(crate) fn orderings(input: &Arc<dyn ExecutionPlan>, schema: &Schema) -> Vec<LexOrdering> {
    let shown = |sort: &PhysicalSortExpr| {
        let expr = reassign_expr_columns(Arc::clone(&sort.expr), schema).ok()?;
        Some(PhysicalSortExpr::new(expr, sort.options))
    };
    let orderings = input.equivalence_properties().oeq_class();
    let shown = orderings.iter().map(|order| order.iter().map_while(shown));
    shown.filter_map(LexOrdering::new).collect()
}

impl DisplayAs for FetchExec {
    fn fmt_as(&self, t: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let schema = self.schema();
        let columns: Vec<&str> = schema.fields().iter().map(|c| c.name().as_str()).collect();
        let ListingSummary {
            files,
            bytes,
            filters,
            ..
        } = &self.listing;
        match t {
            DisplayFormatType::Default | DisplayFormatType::Verbose => {
                write!(
                    f,
                    "FetchExec: files={files}, bytes={bytes}, projection=[{}]",
                    columns.join(", ")
                )?;
                if !filters.is_empty() {
                    write!(f, ", filters=[{}]", filters.join(", "))?;
                }
                Ok(())
            }
            DisplayFormatType::TreeRender => {
                writeln!(f, "files={files}")?;
                writeln!(f, "bytes={bytes}")?;
                writeln!(f, "projection={}", columns.join(", "))?;
                if !filters.is_empty() {
                    writeln!(f, "filters={}", filters.join(", "))?;
                }
                Ok(())
            }
        }
    }
}

impl ExecutionPlan for FetchExec {
    unary_methods!("FetchExec");

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let settings = FeaturizeOptions::from_config(context.session_config().options());
        let input = match self.input.children().is_empty() {
            true => self.input.execute(partition, in_long_batches(&context))?,
            false => self.input.execute(partition, Arc::clone(&context))?,
        };
        let shared = self.shared.get_or_init(|| Shared {
            requests: Arc::new(Semaphore::new(settings.scan_concurrency)),
            archives: Arc::default(),
            buffered: Buffered::new(&self.metrics),
        });
        let metrics = ScanMetrics::new(&self.metrics, partition);
        let scan = Scan {
            metrics: metrics.clone(),
            reader: Arc::new(ContentReader {
                context: Arc::clone(&context),
                schema: self.schema(),
                options: self.options.clone(),
                archives: Arc::clone(&shared.archives),
                requests: Arc::clone(&shared.requests),
            }),
            buffered: shared.buffered.clone(),
            context,
            settings,
            partition,
        };
        in_background(self.schema(), &metrics, scan.run(input))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition)]
    }

    fn statistics_from_inputs(
        &self,
        input_stats: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let listed = input_stats
            .first()
            .ok_or_else(|| internal_datafusion_err!("FetchExec got no statistics of its child"))?;
        let input_schema = self.input.schema();
        let column_statistics = self
            .schema()
            .fields()
            .iter()
            .map(|field| {
                let column = input_schema.index_of(field.name()).ok();
                column
                    .and_then(|column| listed.column_statistics.get(column).cloned())
                    .unwrap_or_else(ColumnStatistics::new_unknown)
            })
            .collect();
        let total_byte_size = match args.partition() {
            None => {
                usize::try_from(self.listing.bytes).map_or(Precision::Absent, Precision::Inexact)
            }
            Some(_) => Precision::Absent,
        };
        let statistics = Statistics {
            num_rows: listed.num_rows,
            total_byte_size,
            column_statistics,
        };
        Ok(Arc::new(if self.may_lose_rows() {
            statistics.to_inexact()
        } else {
            statistics
        }))
    }

    fn supports_limit_pushdown(&self) -> bool {
        !self.may_lose_rows()
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        if self.may_lose_rows() {
            CardinalityEffect::LowerEqual
        } else {
            CardinalityEffect::Equal
        }
    }
}

/// One partition's reading.
struct Scan {
    reader: Arc<ContentReader>,
    context: Arc<TaskContext>,
    settings: FeaturizeOptions,
    metrics: ScanMetrics,
    buffered: Buffered,
    partition: usize,
}

impl Scan {
    /// Batches in the order of the work list, read ahead while others are being consumed.
    fn run(
        self,
        input: SendableRecordBatchStream,
    ) -> BoxStream<'static, Result<(RecordBatch, Arc<Ahead>)>> {
        let Self {
            reader,
            context,
            settings,
            metrics,
            buffered,
            partition,
        } = self;
        let (max_rows, max_bytes) = (settings.batch_rows(), settings.scan_batch_bytes);
        let memory =
            MemoryConsumer::new(format!("FetchExec[{partition}]")).register(context.memory_pool());
        let budget = max_bytes
            .saturating_mul(READ_AHEAD)
            .min(Semaphore::MAX_PERMITS);
        let budget_permits = u32::try_from(budget).unwrap_or(u32::MAX);
        let bytes_ahead = Arc::new(Semaphore::new(budget_permits as usize));
        // Enough slices to fill the requests in flight, however short each is.
        let slices_ahead = settings.scan_concurrency.div_ceil(max_rows) + 1;
        let max_length = reader.longest();

        let slices = input
            .and_then(move |batch| {
                let slices = read_together(&batch).and_then(|together| {
                    let (rows, bytes) = together.unwrap_or((max_rows, max_bytes));
                    slices(&batch, rows, bytes.min(max_bytes), max_length)
                });
                ready(slices.map(|slices| stream::iter(slices).map(Ok::<_, DataFusionError>)))
            })
            .try_flatten();
        let started = slices.and_then(move |slice| {
            let (reader, bytes_ahead) = (Arc::clone(&reader), Arc::clone(&bytes_ahead));
            let buffered = buffered.clone();
            let reservation = memory.new_empty();
            async move {
                // A slice that is larger than the whole budget takes all of it.
                let weight = u32::try_from(slice.bytes)
                    .unwrap_or(u32::MAX)
                    .min(budget_permits);
                let permit = bytes_ahead
                    .acquire_many_owned(weight)
                    .await
                    .map_err(|e| internal_datafusion_err!("{e}"))?;
                reservation.try_grow(slice.bytes).map_err(|e| {
                    e.context(
                        "reading objects ahead: lower featurize.scan_batch_bytes or \
                         featurize.scan_batch_rows, or raise the memory limit",
                    )
                })?;
                let ahead = Ahead::new(permit, reservation, slice.bytes, &buffered);
                // A task of its own goes on while the batches before it are being consumed.
                let task =
                    SpawnedTask::spawn(async move { reader.read(slice.rows, max_rows).await });
                Ok(async move {
                    let fetched = task.join_unwind().await;
                    let fetched = fetched.map_err(|e| internal_datafusion_err!("{e}"))??;
                    // What was read ahead counts until its last batch is handed on.
                    let ahead = Arc::new(ahead);
                    let batches = fetched.into_iter();
                    Ok(stream::iter(batches.map(move |batch| {
                        Ok::<_, DataFusionError>((batch, Arc::clone(&ahead)))
                    })))
                })
            }
        });
        let fetched = started.try_buffered(slices_ahead).try_flatten();
        fetched
            .map_ok(move |(fetched, ahead)| (metrics.record(fetched), ahead))
            .boxed()
    }
}

/// A context in which a source gives many rows at once. A session's batches are short because its rows may be
/// wide. Those of a list are not, and what lies together in an archive is only seen within a batch.
fn in_long_batches(context: &TaskContext) -> Arc<TaskContext> {
    const ROWS: usize = 8192;

    let config = context.session_config().clone();
    let rows = config.batch_size().max(ROWS);
    Arc::new(TaskContext::new(
        context.task_id(),
        context.session_id(),
        config.with_batch_size(rows),
        context.scalar_functions().clone(),
        context.higher_order_functions().clone(),
        context.aggregate_functions().clone(),
        context.window_functions().clone(),
        context.runtime_env(),
    ))
}

/// How the rows of a fetch are spread: as those of its list, as far as it shows the columns that say so.
fn partitioning(list: &Arc<dyn ExecutionPlan>, schema: &Schema) -> Partitioning {
    let partitioning = list.output_partitioning();
    let count = partitioning.partition_count();
    if let Partitioning::Hash(keys, _) = partitioning {
        let keys = keys
            .iter()
            .map(|key| reassign_expr_columns(Arc::clone(key), schema));
        if let Ok(keys) = keys.collect() {
            return Partitioning::Hash(keys, count);
        }
    }
    Partitioning::UnknownPartitioning(count)
}
