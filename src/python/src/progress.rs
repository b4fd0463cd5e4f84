//! The bar of a statement that takes long, drawn by Python.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use datafusion::common::Result;
use datafusion::config::ConfigOptions;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_featurize::image::weights;
use datafusion_featurize::progress::{ProgressMonitor, Stage};
use pyo3::exceptions::PyException;
use pyo3::prelude::*;

/// Statements that end sooner show no bar.
const BEFORE_THE_BAR: Duration = Duration::from_secs(1);

/// Between two looks at the figures.
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

/// What a session does: the plan that was made last, and a download of weights. As an optimizer rule it has to
/// be the last one.
#[derive(Clone, Default)]
pub(crate) struct Watched(Arc<Mutex<Doing>>);

#[derive(Default)]
struct Doing {
    plan: Option<ProgressMonitor>,
    download: Option<String>,
}

impl Watched {
    fn doing(&self) -> MutexGuard<'_, Doing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn download(&self, progress: &weights::Progress<'_>) {
        let goes_on = progress.stage != weights::Stage::Ended;
        self.doing().download = goes_on.then(|| progress.to_string());
    }

    /// How many are done, of how many, and the rest in a line.
    fn figures(&self) -> (u64, Option<u64>, String) {
        let doing = self.doing();
        let (done, total, line) = match &doing.plan {
            Some(plan) => {
                let progress = plan.progress();
                (progress.done(), progress.total, progress.to_string())
            }
            None => {
                let stage = Stage::current().map(|stage| stage.to_string());
                (0, None, stage.unwrap_or_else(|| "planning".to_owned()))
            }
        };
        (done, total, doing.download.clone().unwrap_or(line))
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watched")
    }
}

impl PhysicalOptimizerRule for Watched {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.doing().plan = Some(ProgressMonitor::new(Arc::clone(&plan)));
        Ok(plan)
    }

    fn name(&self) -> &'static str {
        "watched_plan"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The bar of one statement; it is taken away when this is dropped.
pub(crate) struct Bar {
    watched: Watched,
    next_look: Instant,
    bar: Option<Py<PyAny>>,
    is_shown: bool,
}

impl Bar {
    pub(crate) fn new(watched: &Watched, is_shown: bool) -> Self {
        *watched.doing() = Doing::default();
        Self {
            watched: watched.clone(),
            next_look: Instant::now() + BEFORE_THE_BAR,
            bar: None,
            is_shown,
        }
    }

    /// Shows how far the statement is.
    ///
    /// # Errors
    /// When Python's signals have something to raise. A bar that cannot be drawn is left out.
    pub(crate) fn tick(&mut self, py: Python<'_>) -> PyResult<()> {
        if !self.is_shown || Instant::now() < self.next_look {
            return Ok(());
        }
        self.next_look = Instant::now() + BETWEEN_LOOKS;
        match self.draw(py) {
            Err(e) if e.is_instance_of::<PyException>(py) => {
                self.is_shown = false;
                Ok(())
            }
            drawn => drawn,
        }
    }

    fn draw(&mut self, py: Python<'_>) -> PyResult<()> {
        if self.bar.is_none() {
            let bar = py.import("datafusion_featurize._progress")?;
            self.bar = Some(bar.getattr("Bar")?.call0()?.unbind());
        }
        if let Some(bar) = &self.bar {
            bar.call_method1(py, "update", self.watched.figures())?;
        }
        Ok(())
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        // The plan holds what it has computed.
        self.watched.doing().plan = None;
        if let Some(bar) = self.bar.take() {
            Python::try_attach(|py| bar.call_method0(py, "close").map(drop));
        }
    }
}
