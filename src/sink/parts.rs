//! The part writer: runs in every partition, and says what it has written.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{
    EquivalenceProperties, LexRequirement, OrderingRequirements, Partitioning,
};
use datafusion::physical_plan::execution_plan::{
    Boundedness, EmissionType, EvaluationType, SchedulingType,
};
use datafusion::physical_plan::metrics::{
    Count, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet, Time,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, Distribution, ExecutionPlan, ExecutionPlanProperties,
    InputDistributionRequirements, PlanProperties, execute_input_stream,
};
use futures::TryStreamExt;
use futures::stream::BoxStream;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::closed::{Closed, closed_batch, closed_schema};
use super::encode::PartEncoder;
use super::run::Run;
use super::slices::Slices;
use super::spec::{WriteSpec, part_name};
use super::vectors::{needs_widths, shaped};
use crate::unary::unary_methods;

/// A part is closed when it has grown so large: S3 copies at most 5 GiB in one request.
const PART_BYTES: usize = 1024 * 1024 * 1024;

/// Writes its input to parts of the target, each partition to parts of its own, and yields a row
/// for each part: `path`, `rows`, `bytes`, `visible`.
///
/// Parts are invisible to readers until [`CommitExec`](super::CommitExec) commits them, but for
/// appends, whose parts become visible when they are closed. With `num_files` the operator asks for
/// a single partition and distributes the rows among so many parts itself.
#[derive(Debug)]
pub struct PartWriterExec {
    input: Arc<dyn ExecutionPlan>,
    spec: Arc<WriteSpec>,
    order: Option<LexRequirement>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl PartWriterExec {
    /// Writes the rows of `input`, in this `order` within each partition if one is required.
    pub fn new(
        input: Arc<dyn ExecutionPlan>,
        spec: Arc<WriteSpec>,
        order: Option<LexRequirement>,
    ) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(closed_schema()),
            Partitioning::UnknownPartitioning(input.output_partitioning().partition_count()),
            EmissionType::Final,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::Cooperative)
        .with_evaluation_type(EvaluationType::Eager);
        Self {
            input,
            spec,
            order,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        Ok(Self::new(input, Arc::clone(&self.spec), self.order.clone()))
    }

    /// What is written, and where to.
    pub fn spec(&self) -> &Arc<WriteSpec> {
        &self.spec
    }

    /// The order that the rows of each partition must have.
    pub fn order(&self) -> Option<&LexRequirement> {
        self.order.as_ref()
    }

    /// Rows of all partitions go to a fixed number of parts, or their vectors are compared.
    fn needs_single_partition(&self) -> bool {
        self.spec.num_files.is_some()
            || self.spec.target.is_file()
            || needs_widths(self.spec.vectors, &self.spec.schema)
    }
}

impl DisplayAs for PartWriterExec {
    fn fmt_as(&self, t: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let format = self.spec.format.name();
        match t {
            DisplayFormatType::Default | DisplayFormatType::Verbose => {
                write!(f, "PartWriterExec: format={format}")?;
                if let Some(number) = self.spec.num_files {
                    write!(f, ", num_files={number}")?;
                }
                Ok(())
            }
            DisplayFormatType::TreeRender => {
                writeln!(f, "format={format}")?;
                if let Some(number) = self.spec.num_files {
                    writeln!(f, "num_files={number}")?;
                }
                Ok(())
            }
        }
    }
}

impl ExecutionPlan for PartWriterExec {
    unary_methods!("PartWriterExec");

    fn required_input_distribution(&self) -> Vec<Distribution> {
        self.input_distribution_requirements().into_per_child()
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        InputDistributionRequirements::new(vec![if self.needs_single_partition() {
            Distribution::SinglePartition
        } else {
            Distribution::UnspecifiedDistribution
        }])
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        vec![self.order.clone().map(Into::into)]
    }

    /// In the sense that a part has the rows in the order of the input.
    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let input = execute_input_stream(
            Arc::clone(&self.input),
            Arc::clone(&self.spec.schema),
            partition,
            Arc::clone(&context),
        )?;
        let settings = &context.session_config().options().execution;
        let max_rows = settings.soft_max_rows_per_output_file.get() as u64;
        let writer = PartitionWriter {
            run: Run::join(&self.spec, &context)?,
            spec: Arc::clone(&self.spec),
            metrics: WriteMetrics::new(&self.metrics, partition),
            max_rows,
            context,
            partition,
        };
        let stream =
            futures::stream::once(async move { closed_batch(&writer.write(input).await?) });
        let stream = RecordBatchStreamAdapter::new(closed_schema(), stream);
        Ok(Box::pin(stream))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// Rows as the parts have them.
type Rows = BoxStream<'static, Result<RecordBatch>>;

/// One partition's writing.
struct PartitionWriter {
    run: Arc<Run>,
    spec: Arc<WriteSpec>,
    metrics: WriteMetrics,
    /// Rows after which a part is closed, by the session's settings.
    max_rows: u64,
    context: Arc<TaskContext>,
    partition: usize,
}

impl PartitionWriter {
    async fn write(&self, input: SendableRecordBatchStream) -> Result<Vec<Closed>> {
        self.run.start().await?;
        let written = self.write_started(input).await;
        if written.is_err() && !self.run.is_one_process() {
            // No commit will clear away if the query fails. The next run removes the parts.
            self.run.end().await;
        }
        written
    }

    async fn write_started(&self, input: SendableRecordBatchStream) -> Result<Vec<Closed>> {
        let (schema, input) = shaped(self.spec.vectors, &self.spec.schema, input).await?;
        match self.spec.num_files {
            None if self.spec.target.is_file() => self.write_parts(input, &schema, 1).await,
            None => self.write_rolling(input, &schema).await,
            Some(number) => self.write_parts(input, &schema, number).await,
        }
    }

    fn part(
        &self,
        number: usize,
        uuid: Uuid,
        count: usize,
        schema: &SchemaRef,
        open_at_once: usize,
    ) -> Result<OpenPart> {
        let name = part_name(number, uuid, count, &self.spec.extension);
        let encoder = self.run.open(&name, schema, open_at_once)?;
        let consumer = MemoryConsumer::new(format!("PartWriterExec[{number}]"));
        Ok(OpenPart {
            encoder,
            name,
            rows: 0,
            memory: consumer.register(self.context.memory_pool()),
            metrics: self.metrics.clone(),
        })
    }

    /// One part after the other, each closed when it is large enough or at a checkpoint.
    async fn write_rolling(&self, mut input: Rows, schema: &SchemaRef) -> Result<Vec<Closed>> {
        let mut open: Option<OpenPart> = None;
        let mut closed = vec![];
        let result = self.roll(&mut input, schema, &mut open, &mut closed).await;
        match (result, open) {
            (Ok(()), Some(part)) => closed.push(part.close(&self.run).await?),
            (Ok(()), None) => {}
            (Err(e), part) => {
                if let Some(part) = part {
                    part.encoder.abort().await;
                }
                return Err(e);
            }
        }
        Ok(closed)
    }

    async fn roll(
        &self,
        input: &mut Rows,
        schema: &SchemaRef,
        open: &mut Option<OpenPart>,
        closed: &mut Vec<Closed>,
    ) -> Result<()> {
        let uuid = Uuid::now_v7();
        let max_rows = match self.run.publishes_at_once() {
            true if self.spec.checkpoint_rows > 0 => {
                self.max_rows.min(self.spec.checkpoint_rows as u64)
            }
            _ => self.max_rows,
        };
        while let Some(batch) = input.try_next().await? {
            let mut slices = Slices::new(batch);
            loop {
                let rows = open.as_ref().map_or(0, |part| part.rows);
                let room = usize::try_from(max_rows.saturating_sub(rows)).unwrap_or(usize::MAX);
                let Some(slice) = slices.next(room) else {
                    break;
                };
                if open.is_none() {
                    *open = Some(self.part(self.partition, uuid, closed.len(), schema, 1)?);
                }
                let Some(part) = open.as_mut() else {
                    continue;
                };
                part.write(&slice).await?;
                let is_full = part.rows >= max_rows || part.encoder.bytes_written() >= PART_BYTES;
                if is_full && let Some(part) = open.take() {
                    closed.push(part.close(&self.run).await?);
                }
            }
        }
        Ok(())
    }

    /// Exactly `number` parts, of about as many rows each.
    async fn write_parts(
        &self,
        mut input: Rows,
        schema: &SchemaRef,
        number: usize,
    ) -> Result<Vec<Closed>> {
        let uuid = Uuid::now_v7();
        let mut writers = Vec::with_capacity(number);
        for index in 0..number {
            let part = self.part(index, uuid, 0, schema, number)?;
            let (sender, receiver) = mpsc::channel(1);
            let task = write_part(part, receiver, Arc::clone(&self.run));
            writers.push((sender, SpawnedTask::spawn(task)));
        }
        let fed = self.feed(&mut input, &writers).await;
        let mut closed = vec![];
        let mut failed = None;
        for (sender, task) in writers {
            // Dropping the sender ends a part; one that must not be kept is told so.
            if fed.is_err() {
                let _ = sender.send(Next::Abort).await;
            }
            drop(sender);
            let joined = task.join_unwind().await;
            match joined.map_err(|e| DataFusionError::ExecutionJoin(Box::new(e)))? {
                Ok(part) => closed.extend(part),
                Err(e) => failed = failed.or(Some(e)),
            }
        }
        match (failed, fed) {
            (Some(e), _) | (None, Err(e)) => Err(e),
            (None, Ok(())) => Ok(closed),
        }
    }

    async fn feed(&self, input: &mut Rows, writers: &[PartTask]) -> Result<()> {
        let mut turns = writers.iter().cycle();
        while let Some(batch) = input.try_next().await? {
            let share = batch.num_rows().div_ceil(writers.len().max(1));
            let mut slices = Slices::new(batch);
            while let Some(slice) = slices.next(share) {
                let Some((sender, _)) = turns.next() else {
                    break;
                };
                if sender.send(Next::Rows(slice)).await.is_err() {
                    return Ok(()); // The writer has failed and says so when it is joined.
                }
            }
        }
        Ok(())
    }
}

enum Next {
    Rows(RecordBatch),
    Abort,
}

/// A part that is being written, and the way to it.
type PartTask = (mpsc::Sender<Next>, SpawnedTask<Result<Option<Closed>>>);

/// Writes one part from a channel; `None` if it was told to give up.
async fn write_part(
    mut part: OpenPart,
    mut rows: mpsc::Receiver<Next>,
    run: Arc<Run>,
) -> Result<Option<Closed>> {
    while let Some(next) = rows.recv().await {
        let written = match next {
            Next::Rows(batch) => part.write(&batch).await,
            Next::Abort => {
                part.encoder.abort().await;
                return Ok(None);
            }
        };
        if let Err(e) = written {
            part.encoder.abort().await;
            return Err(e);
        }
    }
    part.close(&run).await.map(Some)
}

/// A part that rows are being added to.
struct OpenPart {
    encoder: PartEncoder,
    name: String,
    rows: u64,
    memory: MemoryReservation,
    metrics: WriteMetrics,
}

impl OpenPart {
    async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let timer = self.metrics.elapsed_compute.clone();
        let _timer = timer.timer();
        self.encoder.write(batch).await?;
        self.memory.try_resize(self.encoder.memory_size())?;
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    async fn close(self, run: &Arc<Run>) -> Result<Closed> {
        let closed = run.close(self.name, self.rows, self.encoder).await?;
        crate::totals::count_written(self.rows);
        self.metrics.files.add(1);
        self.metrics
            .rows
            .add(usize::try_from(self.rows).unwrap_or(usize::MAX));
        let bytes = usize::try_from(closed.part.bytes).unwrap_or(usize::MAX);
        self.metrics.bytes.add(bytes);
        Ok(closed)
    }
}

#[derive(Clone)]
struct WriteMetrics {
    files: Count,
    rows: Count,
    bytes: Count,
    elapsed_compute: Time,
}

impl WriteMetrics {
    fn new(set: &ExecutionPlanMetricsSet, partition: usize) -> Self {
        Self {
            files: MetricBuilder::new(set).counter("files_written", partition),
            rows: MetricBuilder::new(set).counter("rows_written", partition),
            bytes: MetricBuilder::new(set).counter("bytes_written", partition),
            elapsed_compute: MetricBuilder::new(set).elapsed_compute(partition),
        }
    }
}
