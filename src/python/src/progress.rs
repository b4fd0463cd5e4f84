//! The bar of a statement that takes long, drawn by Python.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use datafusion::common::Result;
use datafusion::config::ConfigOptions;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_featurize::progress::{ProgressMonitor, Stage};
use pyo3::prelude::*;

/// Statements that end sooner show no bar.
const BEFORE_THE_BAR: Duration = Duration::from_secs(1);

/// The plan of a session that was made last. It has to be the last rule.
#[derive(Clone, Default)]
pub(crate) struct LastPlan(Arc<Mutex<Option<ProgressMonitor>>>);

impl LastPlan {
    fn replace(&self, monitor: Option<ProgressMonitor>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = monitor;
    }

    /// How many are done, of how many, and the rest in a line.
    fn figures(&self) -> (u64, Option<u64>, String) {
        let monitor = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match monitor.as_ref().map(ProgressMonitor::progress) {
            Some(progress) => (progress.done(), progress.total, progress.to_string()),
            None => {
                let stage = Stage::current().map(|stage| stage.to_string());
                (0, None, stage.unwrap_or_else(|| "planning".to_owned()))
            }
        }
    }
}

impl fmt::Debug for LastPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LastPlan")
    }
}

impl PhysicalOptimizerRule for LastPlan {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace(Some(ProgressMonitor::new(Arc::clone(&plan))));
        Ok(plan)
    }

    fn name(&self) -> &'static str {
        "last_plan"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The bar of one statement; it is taken away when this is dropped.
pub(crate) struct Bar {
    plan: LastPlan,
    started: Instant,
    bar: Option<Py<PyAny>>,
    is_shown: bool,
}

impl Bar {
    pub(crate) fn new(plan: &LastPlan, is_shown: bool) -> Self {
        plan.replace(None);
        Self {
            plan: plan.clone(),
            started: Instant::now(),
            bar: None,
            is_shown,
        }
    }

    pub(crate) fn tick(&mut self, py: Python<'_>) -> PyResult<()> {
        if !self.is_shown || self.started.elapsed() < BEFORE_THE_BAR {
            return Ok(());
        }
        if self.bar.is_none() {
            let bar = py.import("datafusion_featurize._progress")?;
            self.bar = Some(bar.getattr("Bar")?.call0()?.unbind());
        }
        if let Some(bar) = &self.bar {
            bar.call_method1(py, "update", self.plan.figures())?;
        }
        Ok(())
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        // The plan holds what it has computed.
        self.plan.replace(None);
        if let Some(bar) = self.bar.take() {
            Python::try_attach(|py| bar.call_method0(py, "close").map(drop));
        }
    }
}
