//! How far a query is: the figures of its plan's metrics while it runs.
//!
//! A [`ProgressMonitor`] reads what the operators count anyway, so that it costs nothing between
//! two looks. Give it the physical plan that is going to be executed:
//!
//! ```
//! # use std::time::Duration;
//! # use datafusion::physical_plan::collect;
//! # use datafusion::prelude::SessionContext;
//! # use datafusion_featurize::{enable_featurize, progress::ProgressMonitor};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> datafusion::error::Result<()> {
//! # let ctx = SessionContext::new();
//! # enable_featurize(&ctx)?;
//! # ctx.sql("CREATE EXTERNAL TABLE images STORED AS BINARYFILE LOCATION 'examples/fruits/Lemon/'")
//! #     .await?;
//! let frame = ctx.sql("SELECT path, image_info(content) FROM images").await?;
//! let plan = frame.create_physical_plan().await?;
//! let monitor = ProgressMonitor::new(plan.clone());
//! let query = collect(plan, ctx.task_ctx());
//! let watch = async {
//!     loop {
//!         tokio::time::sleep(Duration::from_millis(200)).await;
//!         println!("{}", monitor.progress());
//!     }
//! };
//! let rows = tokio::select! {
//!     rows = query => rows?,
//!     () = watch => unreachable!("it never ends"),
//! };
//! assert_eq!(monitor.progress().files_fetched, 6);
//! # Ok(())
//! # }
//! ```

mod stage;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use datafusion::common::instant::Instant;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_expr::ScalarFunctionExpr;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::metrics::{MetricValue, MetricsSet};
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use datafusion_functions_image::counters::{self, Counters};
use datafusion_functions_pca::looks_for_cancellation;
use serde::{Serialize, Serializer};

pub use self::stage::Stage;
pub(crate) use self::stage::{Running, add_listed};
use crate::binary_file::FetchExec;
use crate::blobs::ReadBlobExec;

/// Functions that put images through a network.
const NETWORK_FUNCTIONS: [&str; 2] = ["featurize", "try_featurize"];

/// Figures of a running or finished query.
///
/// Files are those of `BINARYFILE` tables and of `read_blob`. The figures on images are those of the whole process
/// since the monitor was made: a scalar function has no place for metrics in its plan, so that
/// queries that run at the same time are counted together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Progress {
    /// Time since the monitor was made, in seconds when serialized.
    #[serde(serialize_with = "seconds")]
    pub elapsed: Duration,
    /// Rows that the leaves of the plan will give, as far as that is known before they are read;
    /// the files that were listed, if contents are read.
    pub total: Option<u64>,
    /// Files that were listed to be fetched.
    pub files_listed: u64,
    /// Rows that the leaves have given.
    pub read: u64,
    /// Objects whose content has arrived.
    pub files_fetched: u64,
    /// Objects left out: vanished, or too long.
    pub files_skipped: u64,
    /// Bytes of content that have arrived.
    pub bytes_fetched: u64,
    /// Images decoded and resized.
    pub images_decoded: u64,
    /// Images that have gone through a network.
    pub images_inferred: u64,
    /// Images that could not be decoded.
    pub images_bad: u64,
    /// Rows in files written so far.
    pub rows_written: u64,
    /// Images inferred, or rows read where nothing is, a second.
    pub per_second: f64,
    /// Time left, if the total is known and the speed stays the same; in seconds when serialized.
    #[serde(serialize_with = "maybe_seconds")]
    pub remaining: Option<Duration>,
    /// What the process is doing that none of these figures counts.
    pub stage: Option<Stage>,
    /// Whether the plan puts images through a network.
    #[serde(skip)]
    infers: bool,
}

fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((duration.as_secs_f64() * 1000.0).round() / 1000.0)
}

#[expect(
    clippy::ref_option,
    reason = "serde hands over a reference to the field"
)]
fn maybe_seconds<S: Serializer>(
    duration: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match duration {
        Some(duration) => seconds(duration, serializer),
        None => serializer.serialize_none(),
    }
}

impl Progress {
    /// Images inferred, or rows read where nothing is: what [`total`](Self::total) is the whole of.
    pub fn done(&self) -> u64 {
        if self.infers {
            self.images_inferred + self.images_bad + self.files_skipped
        } else {
            self.read
        }
    }
}

/// One line: `1234/3110 images · 35.9/s · 52 s left · 2 bad · 1300 fetched · 1250 decoded · 6.5 MB`.
impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.done())?;
        if let Some(total) = self.total {
            write!(f, "/{total}")?;
        }
        let images = self.infers || self.files_fetched > 0;
        let unit = if images { "images" } else { "rows" };
        write!(f, " {unit}")?;
        match self.stage {
            Some(stage) => write!(f, " · {stage}")?,
            None => write!(f, " · {:.1}/s", self.per_second)?,
        }
        // What matters most comes first: a narrow terminal cuts the rest off.
        if let Some(remaining) = self.remaining {
            let seconds = remaining.as_secs();
            match (seconds / 3600, seconds / 60 % 60) {
                (0, 0) => write!(f, " · {seconds} s left")?,
                (0, minutes) => write!(f, " · {minutes}:{:02} left", seconds % 60)?,
                (hours, minutes) => {
                    write!(f, " · {hours}:{minutes:02}:{:02} left", seconds % 60)?;
                }
            }
        }
        if self.images_bad > 0 {
            write!(f, " · {} bad", self.images_bad)?;
        }
        if self.files_skipped > 0 {
            write!(f, " · {} skipped", self.files_skipped)?;
        }
        if self.rows_written > 0 {
            write!(f, " · {} written", self.rows_written)?;
        }
        if self.infers {
            // What is ahead of the network: where it falls behind, that is what is waited for.
            write!(
                f,
                " · {} fetched · {} decoded",
                self.files_fetched, self.images_decoded
            )?;
        }
        if self.bytes_fetched > 0 {
            write!(f, " · {:.1} MB", self.bytes_fetched as f64 / 1e6)?;
        }
        Ok(())
    }
}

/// Watches one plan, from the moment it is made.
#[derive(Debug)]
pub struct ProgressMonitor {
    plan: Arc<dyn ExecutionPlan>,
    started: Instant,
    before: Counters,
    total: Option<u64>,
    infers: bool,
    fits: bool,
}

impl ProgressMonitor {
    /// A monitor of `plan`, which is about to be executed.
    pub fn new(plan: Arc<dyn ExecutionPlan>) -> Self {
        Self {
            total: Figures::of(plan.as_ref()).total(network_calls(plan.as_ref())),
            infers: network_calls(plan.as_ref()) > 0,
            fits: fits(plan.as_ref()),
            plan,
            started: Instant::now(),
            before: counters::current(),
        }
    }

    /// The figures at this moment.
    pub fn progress(&self) -> Progress {
        let figures = Figures::of(self.plan.as_ref());
        let images = counters::current() - self.before;
        let elapsed = self.started.elapsed();
        let mut progress = Progress {
            elapsed,
            total: self.total,
            files_listed: figures.files.unwrap_or(0),
            read: figures.read,
            files_fetched: figures.files_fetched,
            files_skipped: figures.files_skipped,
            bytes_fetched: figures.bytes_fetched,
            images_decoded: images.decoded,
            images_inferred: images.inferred,
            images_bad: images.undecodable,
            rows_written: figures.rows_written,
            per_second: 0.0,
            remaining: None,
            stage: Stage::current(),
            infers: self.infers,
        };
        let all_done = match self.total {
            Some(total) => progress.done() >= total,
            None => figures.has_ended && !self.infers,
        };
        if self.fits && all_done {
            // The rows that were read last are still being added up.
            progress.stage = Some(Stage::Fitting);
        }
        let done = progress.done() as f64;
        let seconds = elapsed.as_secs_f64();
        if seconds > 0.0 {
            progress.per_second = done / seconds;
        }
        // How long that takes which follows the last row, such as a fit, nobody knows.
        if let Some(total) = self.total
            && progress.stage.is_none()
            && done > 0.0
            && done < total as f64
        {
            let left = (total as f64 - done) / progress.per_second;
            progress.remaining = Duration::try_from_secs_f64(left).ok();
        }
        progress
    }
}

/// Calls to functions that run a network, in the operator of `plan` that has most of them. Rows that were
/// read are not images that are done then, and each image is done as often. Not the sum: an aggregate in
/// two stages names its arguments twice.
fn network_calls(plan: &dyn ExecutionPlan) -> u64 {
    let mut found = 0;
    // An operator that cannot name its expressions has none of these.
    let _ = plan.apply_expressions(&mut |root| {
        root.apply(|expression| {
            let call = expression.downcast_ref::<ScalarFunctionExpr>();
            let runs = call.is_some_and(|call| NETWORK_FUNCTIONS.contains(&call.fun().name()));
            found += u64::from(runs);
            Ok(TreeNodeRecursion::Continue)
        })
    });
    let children = plan.children();
    let below = children.iter().map(|child| network_calls(child.as_ref()));
    below.fold(found, u64::max)
}

/// Whether an operator of `plan` fits a model.
fn fits(plan: &dyn ExecutionPlan) -> bool {
    let aggregate = plan.downcast_ref::<AggregateExec>();
    let mut calls = aggregate
        .into_iter()
        .flat_map(|aggregate| aggregate.aggr_expr());
    calls.any(|call| looks_for_cancellation(call.fun()))
        || plan.children().iter().any(|child| fits(child.as_ref()))
}

/// What the operators of a plan have counted.
#[derive(Debug, Default)]
struct Figures {
    /// Whether the leaves have given all rows.
    has_ended: bool,
    /// `None` once one leaf does not know how much it has.
    rows: Option<u64>,
    /// The part of them whose content is fetched; `None` if that is not known, or there are none.
    files: Option<u64>,
    read: u64,
    files_fetched: u64,
    files_skipped: u64,
    bytes_fetched: u64,
    rows_written: u64,
}

impl Figures {
    fn of(plan: &dyn ExecutionPlan) -> Self {
        let mut figures = Self {
            rows: Some(0),
            has_ended: true,
            ..Self::default()
        };
        figures.add(plan);
        figures
    }

    /// What there is to do: with networks, all images that are fetched as often as they are called;
    /// other tables in the plan, such as a list of what to take, are no images.
    fn total(&self, network_calls: u64) -> Option<u64> {
        match self.files {
            Some(files) if network_calls > 0 => Some(files * network_calls),
            _ => self.rows,
        }
    }

    fn add(&mut self, plan: &dyn ExecutionPlan) {
        let metrics = plan.metrics();
        let count = |name: &str| sum(metrics.as_ref(), name);
        self.rows_written += count("rows_written");
        // Below a fetch there is only the list of what it fetches, in a table or in the rows of a query.
        let of_query = plan.is::<ReadBlobExec>();
        let fetches = of_query || plan.is::<FetchExec>();
        if fetches {
            self.files_fetched += count("files_fetched");
            self.files_skipped += count("files_skipped");
            self.bytes_fetched += count("bytes_fetched");
        }
        let children = plan.children();
        if fetches || children.is_empty() {
            let partitions = plan.output_partitioning().partition_count();
            self.has_ended &= metrics.as_ref().map_or(0, ended) == partitions;
            let rows = metrics.and_then(|metrics| metrics.output_rows());
            let known = StatisticsContext::new().compute(plan, &StatisticsArgs::new());
            let known = known.map_or(Precision::Absent, |statistics| statistics.num_rows);
            // How many rows of a query are left after a filter or a join is a guess.
            let known = known
                .get_value()
                .filter(|_| !of_query || known.is_exact() == Some(true));
            let known = known.map(|rows| *rows as u64);
            // What is in memory does not count what it gives, and gives it at once.
            let at_once = known.filter(|_| is_in_memory(plan));
            self.read += rows.map(|rows| rows as u64).or(at_once).unwrap_or(0);
            self.rows = self.rows.zip(known).map(|(total, rows)| total + rows);
            if fetches {
                self.files = known.map(|rows| self.files.unwrap_or(0) + rows);
            }
        } else {
            for child in children {
                self.add(child.as_ref());
            }
        }
    }
}

fn is_in_memory(plan: &dyn ExecutionPlan) -> bool {
    let source = plan.downcast_ref::<DataSourceExec>();
    source.is_some_and(|source| source.data_source().is::<MemorySourceConfig>())
}

/// Partitions that have given all rows.
fn ended(metrics: &MetricsSet) -> usize {
    let ends = metrics.iter().filter(
        |metric| matches!(metric.value(), MetricValue::EndTimestamp(end) if end.value().is_some()),
    );
    ends.count()
}

fn sum(metrics: Option<&MetricsSet>, name: &str) -> u64 {
    metrics
        .and_then(|metrics| metrics.sum_by_name(name))
        .map_or(0, |value| value.as_usize() as u64)
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::SessionContext;

    use super::*;

    fn progress() -> Progress {
        Progress {
            elapsed: Duration::from_millis(10_500),
            total: Some(3110),
            files_listed: 3110,
            read: 1300,
            files_fetched: 1300,
            files_skipped: 0,
            bytes_fetched: 6_500_000,
            images_decoded: 1250,
            images_inferred: 1232,
            images_bad: 2,
            rows_written: 0,
            per_second: 35.9,
            remaining: Some(Duration::from_secs(52)),
            stage: None,
            infers: true,
        }
    }

    #[test]
    fn a_line_says_what_matters() {
        assert_eq!(
            progress().to_string(),
            "1234/3110 images · 35.9/s · 52 s left · 2 bad · 1300 fetched · 1250 decoded · 6.5 MB"
        );
        let long = Progress {
            total: None,
            images_bad: 0,
            bytes_fetched: 0,
            rows_written: 1000,
            remaining: Some(Duration::from_secs(3725)),
            ..progress()
        };
        assert_eq!(
            long.to_string(),
            "1232 images · 35.9/s · 1:02:05 left · 1000 written · 1300 fetched · 1250 decoded"
        );
    }

    #[test]
    fn what_was_read_is_not_done_if_there_is_a_network() {
        let loading = Progress {
            images_decoded: 0,
            images_inferred: 0,
            images_bad: 0,
            per_second: 0.0,
            remaining: None,
            stage: Some(Stage::Loading),
            ..progress()
        };
        assert_eq!(
            loading.to_string(),
            "0/3110 images · loading the network · 1300 fetched · 0 decoded · 6.5 MB"
        );
        let without = Progress {
            infers: false,
            ..loading
        };
        assert_eq!(without.done(), 1300);
    }

    /// Otherwise the bar would stand at its end, and nobody know why.
    #[tokio::test]
    async fn a_fit_whose_rows_are_all_read_is_a_stage() {
        let ctx = SessionContext::new();
        crate::enable_featurize(&ctx).unwrap();
        let table = "CREATE TABLE t AS SELECT [value::FLOAT, 1.0] AS f FROM range(5)";
        ctx.sql(table).await.unwrap();
        let frame = ctx.sql("SELECT pca_fit(f, 1) FROM t").await.unwrap();
        let monitor = ProgressMonitor::new(frame.create_physical_plan().await.unwrap());
        assert_eq!(monitor.progress().to_string(), "5/5 rows · fitting");
    }

    #[test]
    fn json_is_flat() {
        let json = serde_json::to_value(progress()).unwrap();
        assert_eq!(json["elapsed"], 10.5);
        assert_eq!(json["remaining"], 52.0);
        assert_eq!(json["images_inferred"], 1232);
        assert_eq!(json["stage"], serde_json::Value::Null);
        let stage = serde_json::to_value(Stage::Fitting).unwrap();
        assert_eq!(stage, "fitting");
    }
}
