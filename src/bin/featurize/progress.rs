//! Progress of long statements on stderr: a bar on a terminal, or a line of JSON a second.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use clap::ValueEnum;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::config::ConfigOptions;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
};
use datafusion_featurize::progress::{Progress, ProgressMonitor};
use futures::StreamExt;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde::Serialize;

/// Between two looks at the figures.
const TICK: Duration = Duration::from_millis(200);
/// Ticks between two lines of JSON.
const TICKS_A_LINE: u32 = 5;
/// Statements that end sooner show no bar.
const TICKS_BEFORE_THE_BAR: u32 = 3;

/// Every bar on the terminal: a statement may wait for a download, which has a bar of its own.
pub(crate) static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressMode {
    /// A bar if stderr is a terminal
    Auto,
    /// A line of JSON a second, and one at the end of each statement
    Json,
    /// Nothing
    None,
}

impl ProgressMode {
    /// What becomes of `Auto`.
    pub(crate) fn resolve(self, quiet: bool, terminal: bool) -> Self {
        match self {
            Self::Auto if quiet || !terminal => Self::None,
            mode => mode,
        }
    }
}

/// Shows the progress of one statement after the other.
#[derive(Clone)]
pub(crate) struct ProgressDisplay {
    mode: ProgressMode,
    shared: Arc<Mutex<Shared>>,
    statements: Arc<AtomicUsize>,
}

/// What the statement, its plan and the drawing thread share.
#[derive(Default)]
struct Shared {
    /// Whether the next plan is to be watched.
    watching: bool,
    monitor: Option<ProgressMonitor>,
    bar: Option<ProgressBar>,
}

impl Shared {
    /// Takes the bar off the screen. Nothing is drawn from then on.
    fn stop_drawing(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    statement: usize,
    state: &'a str,
    /// None of a statement that has no plan, or whose plan could not be made.
    #[serde(flatten)]
    progress: Option<Progress>,
}

impl fmt::Debug for ProgressDisplay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProgressDisplay")
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

impl ProgressDisplay {
    pub(crate) fn new(mode: ProgressMode) -> Self {
        Self {
            mode,
            shared: Arc::default(),
            statements: Arc::default(),
        }
    }

    /// Whether there are bars.
    pub(crate) fn draws_bars(&self) -> bool {
        self.mode == ProgressMode::Auto
    }

    /// Begins with a statement; it is shown until what is returned is finished or dropped.
    pub(crate) fn start(&self) -> StatementProgress {
        let statement = self.statements.fetch_add(1, Ordering::Relaxed) + 1;
        let mut running = StatementProgress {
            display: self.clone(),
            statement,
            thread: None,
        };
        if self.mode != ProgressMode::None {
            *self.lock() = Shared {
                watching: true,
                bar: (self.mode == ProgressMode::Auto).then(bar),
                ..Shared::default()
            };
            let (stop, stopped) = channel::<()>();
            let display = self.clone();
            let thread = std::thread::spawn(move || {
                let mut ticks = 0;
                while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                    ticks += 1;
                    display.tick(statement, ticks);
                }
            });
            running.thread = Some((stop, thread));
        }
        running
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tick(&self, statement: usize, ticks: u32) {
        let shared = self.lock();
        let Some(monitor) = &shared.monitor else {
            return;
        };
        if let Some(bar) = shared
            .bar
            .as_ref()
            .filter(|_| ticks >= TICKS_BEFORE_THE_BAR)
        {
            let progress = monitor.progress();
            if let Some(total) = progress.total {
                bar.set_length(total);
                // The bar gets what the figures leave of the line.
                bar.set_style(style("{msg} {wide_bar}"));
            }
            bar.set_position(progress.done());
            bar.set_message(progress.to_string());
            bar.tick();
        } else if self.mode == ProgressMode::Json && ticks.is_multiple_of(TICKS_A_LINE) {
            print_line(statement, "running", Some(monitor.progress()));
        }
    }
}

fn bar() -> ProgressBar {
    BARS.add(ProgressBar::no_length().with_style(style("{spinner} {msg}")))
}

/// How a bar of this program looks.
pub(crate) fn style(template: &str) -> ProgressStyle {
    // The templates are constants of this program; a default bar is no worse than none.
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━╸─")
}

fn print_line(statement: usize, state: &str, progress: Option<Progress>) {
    let line = Line {
        statement,
        state,
        progress,
    };
    match serde_json::to_string(&line) {
        Ok(line) => eprintln!("{line}"),
        Err(e) => log::warn!("progress cannot be written as JSON: {e}"),
    }
}

/// One statement that is being shown.
pub(crate) struct StatementProgress {
    display: ProgressDisplay,
    statement: usize,
    thread: Option<(Sender<()>, JoinHandle<()>)>,
}

impl StatementProgress {
    /// Ends the display; `succeeded` is for the last line of JSON.
    pub(crate) fn finish(mut self, succeeded: bool) {
        let monitor = self.stop();
        if self.display.mode == ProgressMode::Json {
            let state = if succeeded { "finished" } else { "failed" };
            let mut progress = monitor.map(|monitor| monitor.progress());
            if succeeded && let Some(progress) = &mut progress {
                progress.remaining = Some(Duration::ZERO);
            }
            print_line(self.statement, state, progress);
        }
    }

    fn stop(&mut self) -> Option<ProgressMonitor> {
        let (stop, thread) = self.thread.take()?;
        drop(stop);
        if thread.join().is_err() {
            log::warn!("the thread that shows progress has failed");
        }
        let mut shared = self.display.lock();
        shared.stop_drawing();
        std::mem::take(&mut *shared).monitor
    }
}

/// A statement that is interrupted.
impl Drop for StatementProgress {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Tells the display of the plan that is about to be executed. It has to be the last rule.
#[derive(Debug)]
pub(crate) struct ObservePlan(pub(crate) ProgressDisplay);

impl PhysicalOptimizerRule for ObservePlan {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut shared = self.0.lock();
        // The first plan is the work; what CREATE TABLE … AS returns has one of its own.
        if !shared.watching || shared.monitor.is_some() {
            return Ok(plan);
        }
        shared.monitor = Some(ProgressMonitor::new(Arc::clone(&plan)));
        Ok(Arc::new(ObservedExec {
            running: Arc::new(AtomicUsize::new(
                plan.output_partitioning().partition_count(),
            )),
            input: plan,
            display: self.0.clone(),
        }))
    }

    fn name(&self) -> &'static str {
        "observe_plan"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Passes on its input and takes the bar off the screen at its end, before results are printed.
#[derive(Debug)]
struct ObservedExec {
    input: Arc<dyn ExecutionPlan>,
    display: ProgressDisplay,
    /// Partitions that have not ended.
    running: Arc<AtomicUsize>,
}

impl DisplayAs for ObservedExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ObservedExec")
    }
}

impl ExecutionPlan for ObservedExec {
    fn name(&self) -> &'static str {
        "ObservedExec"
    }

    fn schema(&self) -> SchemaRef {
        self.input.schema()
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let input = children
            .into_iter()
            .next()
            .unwrap_or_else(|| Arc::clone(&self.input));
        Ok(Arc::new(Self {
            input,
            display: self.display.clone(),
            running: Arc::clone(&self.running),
        }))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        let (display, running) = (self.display.clone(), Arc::clone(&self.running));
        let ended = AtomicBool::new(false);
        let end = futures::stream::poll_fn(move |_| {
            if !ended.swap(true, Ordering::Relaxed) && running.fetch_sub(1, Ordering::Relaxed) == 1
            {
                display.lock().stop_drawing();
            }
            std::task::Poll::Ready(None)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            self.schema(),
            input.chain(end),
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_for_a_terminal_that_is_not_quiet() {
        let auto = ProgressMode::Auto;
        assert_eq!(auto.resolve(false, true), ProgressMode::Auto);
        assert_eq!(auto.resolve(true, true), ProgressMode::None);
        assert_eq!(auto.resolve(false, false), ProgressMode::None);
        assert_eq!(ProgressMode::Json.resolve(true, false), ProgressMode::Json);
    }
}
