//! Progress of long statements on stderr: a bar on a terminal, elsewhere a line every ten seconds, or a line
//! of JSON a second.

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
use datafusion_featurize::image::weights;
use datafusion_featurize::progress::{Progress, ProgressMonitor, Stage};
use futures::StreamExt;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::download::Download;
use crate::echo::Silence;

/// Between two looks at the figures.
const TICK: Duration = Duration::from_millis(200);
/// Ticks between two lines of JSON.
const TICKS_OF_JSON: u32 = 5;
/// Ticks between two lines of text.
const TICKS_OF_TEXT: u32 = 50;
/// Statements that end sooner show no bar.
const TICKS_BEFORE_THE_BAR: u32 = 3;

/// Every bar on the terminal: a statement may wait for a download, which has a bar of its own.
pub(crate) static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressMode {
    /// A bar if stderr is a terminal, else lines
    Auto,
    /// A line every ten seconds
    Lines,
    /// A line of JSON a second, and one at the end of each statement
    Json,
    /// Nothing
    None,
}

impl ProgressMode {
    /// What becomes of `Auto`.
    pub(crate) fn resolve(self, quiet: bool, terminal: bool) -> Self {
        match self {
            Self::Auto if quiet => Self::None,
            Self::Auto if !terminal => Self::Lines,
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

/// What the statement, its plan, its downloads and the drawing thread share.
#[derive(Default)]
struct Shared {
    /// Whether the next plan is to be watched, and something to be shown.
    watching: bool,
    /// Whether it has several plans, of which the last is shown.
    several: bool,
    monitor: Option<ProgressMonitor>,
    bar: Option<ProgressBar>,
    download: Option<Download>,
}

impl Shared {
    /// Takes the bars off the screen. Nothing is drawn from then on.
    fn stop_drawing(&mut self) {
        self.watching = false;
        self.download = None;
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn draw(&self) {
        let Some(bar) = &self.bar else {
            return;
        };
        if let Some(monitor) = &self.monitor {
            let progress = monitor.progress();
            if let Some(total) = progress.total {
                bar.set_length(total);
                // The bar gets what the figures leave of the line.
                bar.set_style(style("{spinner} {msg} {wide_bar}"));
            }
            bar.set_position(progress.done());
            bar.set_message(progress.to_string());
        } else if self.download.is_some() {
            bar.set_message("waiting for the download");
        } else {
            bar.set_message(before_the_plan());
        }
        bar.tick();
    }

    /// A line of text, if it is time for one.
    fn line(&self, statement: usize, ticks: u32) -> Option<String> {
        let seconds = (TICK * ticks).as_secs();
        ticks
            .is_multiple_of(TICKS_OF_TEXT)
            .then(|| format!("statement {statement}, {seconds} s: {}", self.message()))
    }

    /// What the statement is doing, in a line.
    fn message(&self) -> String {
        match (&self.download, &self.monitor) {
            (Some(download), _) => download.message().to_owned(),
            (None, Some(monitor)) => monitor.progress().to_string(),
            (None, None) => before_the_plan(),
        }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    statement: usize,
    state: &'a str,
    /// Of a statement that has no plan yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<Stage>,
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

    /// Shows a download of the statement; one that goes on after it is shown no more.
    pub(crate) fn download(&self, progress: &weights::Progress<'_>) {
        let mut shared = self.lock();
        if progress.stage == weights::Stage::Ended {
            shared.download = None;
        } else if shared.watching {
            let with_bar = self.mode == ProgressMode::Auto;
            let download = shared
                .download
                .get_or_insert_with(|| Download::new(with_bar));
            download.update(progress);
        }
    }

    /// Begins with a statement; it is shown until what is returned is finished or dropped.
    pub(crate) fn start(&self) -> StatementProgress {
        self.begin(false)
    }

    /// Begins with work that has several plans and prints nothing before it ends.
    pub(crate) fn start_several(&self) -> StatementProgress {
        self.begin(true)
    }

    fn begin(&self, several: bool) -> StatementProgress {
        let statement = self.statements.fetch_add(1, Ordering::Relaxed) + 1;
        let mut running = StatementProgress {
            display: self.clone(),
            statement,
            thread: None,
            silence: (self.mode == ProgressMode::Auto)
                .then(Silence::begin)
                .flatten(),
        };
        if self.mode != ProgressMode::None {
            *self.lock() = Shared {
                watching: true,
                several,
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

    /// Takes the bars off the screen, before something is printed.
    pub(crate) fn stop_drawing(&self) {
        self.lock().stop_drawing();
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tick(&self, statement: usize, ticks: u32) {
        let shared = self.lock();
        // The results are being printed.
        if !shared.watching {
            return;
        }
        match self.mode {
            ProgressMode::Auto if ticks >= TICKS_BEFORE_THE_BAR => shared.draw(),
            ProgressMode::Json if ticks.is_multiple_of(TICKS_OF_JSON) => {
                print_line(statement, "running", shared.monitor.as_ref());
            }
            ProgressMode::Lines => {
                if let Some(line) = shared.line(statement, ticks) {
                    eprintln!("{line}");
                }
            }
            _ => {}
        }
    }
}

/// What a statement is doing that has no plan yet.
fn before_the_plan() -> String {
    Stage::current().map_or_else(|| "planning".to_owned(), |stage| stage.to_string())
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

fn print_line(statement: usize, state: &str, monitor: Option<&ProgressMonitor>) {
    let mut progress = monitor.map(ProgressMonitor::progress);
    if state == "finished"
        && let Some(progress) = &mut progress
    {
        progress.remaining = Some(Duration::ZERO);
        progress.stage = None;
    }
    let line = Line {
        statement,
        state,
        stage: Stage::current().filter(|_| progress.is_none()),
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
    silence: Option<Silence>,
}

impl StatementProgress {
    /// Ends the display; `succeeded` is for the last line of JSON.
    pub(crate) fn finish(mut self, succeeded: bool) {
        let monitor = self.stop();
        if self.display.mode == ProgressMode::Json {
            let state = if succeeded { "finished" } else { "failed" };
            print_line(self.statement, state, monitor.as_ref());
        }
    }

    fn stop(&mut self) -> Option<ProgressMonitor> {
        self.silence = None;
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
        if !shared.watching || shared.monitor.is_some() && !shared.several {
            return Ok(plan);
        }
        shared.monitor = Some(ProgressMonitor::new(Arc::clone(&plan)));
        if shared.several {
            return Ok(plan);
        }
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
                display.stop_drawing();
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
        assert_eq!(auto.resolve(false, false), ProgressMode::Lines);
        assert_eq!(auto.resolve(true, false), ProgressMode::None);
        assert_eq!(ProgressMode::Json.resolve(true, false), ProgressMode::Json);
    }

    #[test]
    fn a_statement_that_waits_for_a_download_says_so() {
        let display = ProgressDisplay::new(ProgressMode::Auto);
        let _statement = display.start();
        let said = || {
            let shared = display.lock();
            shared.draw();
            shared.bar.as_ref().unwrap().message()
        };
        assert_eq!(said(), "planning");
        display.download(&weights::Progress::new("w.h5", weights::Stage::Receiving));
        assert_eq!(said(), "waiting for the download");
    }

    #[test]
    fn lines_come_every_ten_seconds() {
        let display = ProgressDisplay::new(ProgressMode::Lines);
        let statement = display.start();
        let lines = |ticks: std::ops::RangeInclusive<u32>| -> Vec<String> {
            let shared = display.lock();
            ticks.filter_map(|tick| shared.line(3, tick)).collect()
        };
        assert_eq!(lines(1..=49), [""; 0]);
        let planning = ["statement 3, 10 s: planning", "statement 3, 20 s: planning"];
        assert_eq!(lines(50..=149), planning);
        let mut download = weights::Progress::new("w.h5", weights::Stage::Receiving);
        (download.received, download.size) = (2_000_000, 9_000_000);
        display.download(&download);
        let expected = "statement 3, 10 s: downloading w.h5 · 2.0 of 9.0 MB";
        assert_eq!(lines(50..=50), [expected]);
        display.download(&weights::Progress::new("w.h5", weights::Stage::Ended));
        assert_eq!(lines(50..=50), ["statement 3, 10 s: planning"]);
        // A download that has not noticed yet that nobody waits for it.
        drop(statement);
        display.download(&download);
        assert!(display.lock().download.is_none());
    }
}
