//! The job in the SQL that a user would write, each statement timed.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, UInt64Type};
use datafusion::common::Result as DataFusionResult;
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, collect};
use datafusion::prelude::SessionContext;
use datafusion_featurize::enable_featurize;
use serde::{Deserialize, Serialize};

use super::figures::{Job, Stage};
use super::machine::{peak_bytes, reset_peak};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Where the job reads and writes, and what it computes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Order {
    /// Folder of the images, `s3://…/`.
    pub(crate) images: String,
    /// What `OPTIONS (…)` needs to reach it.
    pub(crate) images_options: String,
    /// Folder of the results, which may hold those of an earlier run.
    pub(crate) results: String,
    pub(crate) results_options: String,
    pub(crate) model: String,
    pub(crate) components: String,
}

impl Order {
    /// The statements: what is timed, by name, and what comes between.
    fn statements(&self) -> Vec<Statement> {
        let Self {
            images,
            images_options,
            results,
            results_options,
            model,
            components,
        } = self;
        let target = |folder: &str, format: &str, options: &str| {
            format!(
                "TO '{results}{folder}/' STORED AS {format} OPTIONS \
                 ('write_mode' 'overwrite', {options}{results_options})"
            )
        };
        let transformed = "COPY (SELECT path, label, pca_transform(features, (SELECT pca FROM \
                           model)) AS features_pca FROM features)";
        vec![
            Statement::Quick("SET featurize.weights = 'seeded'".to_owned()),
            Statement::Timed(
                Step::Load,
                format!("SELECT featurize_model_info('{model}')['dimension']"),
            ),
            Statement::Quick(format!(
                "CREATE EXTERNAL TABLE images STORED AS BINARYFILE LOCATION '{images}' OPTIONS \
                 ('pathGlobFilter' '*.jpg', 'recursiveFileLookup' 'true', {images_options})"
            )),
            Statement::Timed(
                Step::List,
                "SELECT count(*), sum(length), count(DISTINCT split_part(path, '/', -2)) \
                 FROM images"
                    .to_owned(),
            ),
            Statement::Timed(
                Step::Featurize,
                format!(
                    "COPY (SELECT path, split_part(path, '/', -2) AS label, \
                     featurize(content, '{model}') AS features FROM images) {}",
                    target("feats", "PARQUET", "")
                ),
            ),
            Statement::Quick(format!(
                "CREATE EXTERNAL TABLE features STORED AS PARQUET \
                 LOCATION '{results}feats/' OPTIONS ({results_options})"
            )),
            Statement::Timed(
                Step::Fit,
                format!(
                    "CREATE TABLE model AS SELECT pca_fit(features, {components}) AS pca \
                     FROM features"
                ),
            ),
            Statement::Timed(
                Step::Components,
                "SELECT pca_n_components(pca), pca_n_samples(pca) FROM model".to_owned(),
            ),
            Statement::Timed(
                Step::Parquet,
                format!("{transformed} {}", target("pca", "PARQUET", "")),
            ),
            Statement::Timed(
                Step::Csv,
                format!(
                    "{transformed} {}",
                    target("csv", "CSV", "'format.has_header' 'true', ")
                ),
            ),
        ]
    }
}

enum Statement {
    /// Takes no time worth a line.
    Quick(String),
    Timed(Step, String),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Step {
    Load,
    List,
    Featurize,
    Fit,
    Components,
    Parquet,
    Csv,
}

/// Runs the job in a new session. The elapsed time is that of the statements.
///
/// # Errors
/// When a statement fails, or does not treat every image.
pub(crate) async fn run(order: &Order) -> Outcome<Job> {
    let begun = Instant::now();
    let ctx = SessionContext::new();
    enable_featurize(&ctx)?;
    let mut job = Job {
        model: order.model.clone(),
        images: 0,
        bytes: 0,
        features: 0,
        components: 0,
        seconds: 0.0,
        stages: vec![],
        rounds: vec![],
    };
    for statement in order.statements() {
        match statement {
            Statement::Quick(sql) => {
                Done::of(&ctx, &sql).await?;
            }
            Statement::Timed(step, sql) => {
                let done = Done::of(&ctx, &sql).await?;
                take(&mut job, step, &done)?;
            }
        }
    }
    job.seconds = begun.elapsed().as_secs_f64();
    Ok(job)
}

/// Adds what a statement did.
fn take(job: &mut Job, step: Step, done: &Done) -> Outcome<()> {
    let numbers = done.numbers()?;
    let number = |place: usize| {
        let number = numbers.get(place).copied();
        number.ok_or_else(|| format!("{step:?}: no column {place}"))
    };
    let vectors = job.images * job.features * 4;
    let stage = |name: &str| Stage {
        peak_bytes: done.peak_bytes,
        ..Stage::new(name, done.seconds)
    };
    match step {
        Step::Load => {
            job.features = number(0)?;
            job.stages.push(stage("load the network").fixed());
        }
        Step::List => {
            (job.images, job.bytes) = (number(0)?, number(1)?);
            job.stages.push(stage("list"));
        }
        Step::Featurize => {
            all_images(step, number(0)?, job.images)?;
            let whole = stage("fetch, decode, featurize, write Parquet").with_bytes(job.bytes);
            job.stages.push(whole);
            job.stages.extend(parts(done, job.bytes, vectors));
        }
        Step::Fit => job.stages.push(stage("fit the PCA").with_bytes(vectors)),
        Step::Components => {
            all_images(step, number(1)?, job.images)?;
            job.components = number(0)?;
        }
        Step::Parquet | Step::Csv => {
            all_images(step, number(0)?, job.images)?;
            let format = if step == Step::Csv { "CSV" } else { "Parquet" };
            let whole = stage(&format!("transform, write {format}"));
            job.stages.push(whole.with_bytes(vectors));
        }
    }
    Ok(())
}

fn all_images(step: Step, found: u64, images: u64) -> Outcome<()> {
    if found == images {
        Ok(())
    } else {
        Err(format!("{step:?}: {found} rows, but {images} images").into())
    }
}

/// What the partitions of the statement that featurizes were busy with, each divided by their number,
/// since they run side by side. Within a partition one thing follows the other, but for the fetching,
/// which runs ahead in the background: of it only what the partition had to wait for counts.
fn parts(done: &Done, bytes: u64, vectors: u64) -> Vec<Stage> {
    let partitions = done.partitions.max(1) as f64;
    let seconds = |time: Duration| time.as_secs_f64() / partitions;
    let mut parts = vec![
        Stage::part("waiting for S3", seconds(done.time("network_wait_time"))).fixed(),
        Stage::part("decoding, resizing", seconds(done.time("decode_time"))).with_bytes(bytes),
        Stage::part("the network", seconds(done.time("inference_time"))).with_bytes(vectors),
        Stage::part("encoding Parquet", seconds(done.write_time)).with_bytes(done.bytes_written),
    ];
    let known: f64 = parts.iter().map(|part| part.seconds).sum();
    let rest = (done.seconds - known).max(0.0);
    parts.push(Stage::part("listing again, uploading, committing, idling", rest).fixed());
    parts
}

/// A statement that has run.
struct Done {
    seconds: f64,
    peak_bytes: Option<u64>,
    rows: Vec<RecordBatch>,
    metrics: Vec<MetricsSet>,
    /// Of the operator that writes.
    partitions: usize,
    write_time: Duration,
    bytes_written: u64,
}

impl Done {
    async fn of(ctx: &SessionContext, sql: &str) -> Outcome<Self> {
        let can_reset = reset_peak();
        let begun = Instant::now();
        let plan = ctx.sql(sql).await?.create_physical_plan().await?;
        let rows = collect(Arc::clone(&plan), ctx.task_ctx()).await?;
        let mut done = Self {
            seconds: begun.elapsed().as_secs_f64(),
            peak_bytes: if can_reset { peak_bytes() } else { None },
            rows,
            metrics: vec![],
            partitions: 0,
            write_time: Duration::ZERO,
            bytes_written: 0,
        };
        done.look_at(plan.as_ref());
        Ok(done)
    }

    fn look_at(&mut self, plan: &dyn ExecutionPlan) {
        if let Some(metrics) = plan.metrics() {
            if plan.name() == "PartWriterExec" {
                let nanos = metrics.elapsed_compute().unwrap_or(0);
                self.write_time += Duration::from_nanos(nanos as u64);
                let written = metrics.sum_by_name("bytes_written");
                self.bytes_written += written.map_or(0, |bytes| bytes.as_usize() as u64);
                self.partitions += plan.output_partitioning().partition_count();
            }
            self.metrics.push(metrics);
        }
        for child in plan.children() {
            self.look_at(child.as_ref());
        }
    }

    /// A time that operators count under this name.
    fn time(&self, name: &str) -> Duration {
        let times = self.metrics.iter().filter_map(|set| set.sum_by_name(name));
        times
            .map(|nanos| Duration::from_nanos(nanos.as_usize() as u64))
            .sum()
    }

    /// The columns of the first row.
    fn numbers(&self) -> DataFusionResult<Vec<u64>> {
        let Some(batch) = self.rows.iter().find(|batch| batch.num_rows() > 0) else {
            return Ok(vec![]);
        };
        let numbers = batch.columns().iter().map(|column| {
            let column = cast(column, &DataType::UInt64)?;
            Ok(column.as_primitive::<UInt64Type>().value(0))
        });
        numbers.collect()
    }
}
