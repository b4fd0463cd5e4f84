//! The numbers of a scheduler.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ballista_core::JobId;
use ballista_scheduler::metrics::SchedulerMetricsCollector;

use super::server::Status;
use super::text::Text;
use crate::cluster::scheduler::Scheduler;

/// What has become of queries.
#[derive(Debug, Default)]
pub(in crate::cluster) struct Jobs {
    submitted: AtomicU64,
    completed: AtomicU64,
    failed: AtomicU64,
    cancelled: AtomicU64,
    waiting_tasks: AtomicU64,
}

impl SchedulerMetricsCollector for Jobs {
    fn record_submitted(&self, _: &JobId, _: u64, _: u64) {
        self.submitted.fetch_add(1, Ordering::Relaxed);
    }

    fn record_completed(&self, _: &JobId, _: u64, _: u64) {
        self.completed.fetch_add(1, Ordering::Relaxed);
    }

    fn record_failed(&self, _: &JobId, _: u64, _: u64) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    fn record_cancelled(&self, _: &JobId) {
        self.cancelled.fetch_add(1, Ordering::Relaxed);
    }

    fn set_pending_tasks_queue_size(&self, value: u64) {
        self.waiting_tasks.store(value, Ordering::Relaxed);
    }

    fn gather_metrics(&self) -> ballista_core::error::Result<Option<(Vec<u8>, String)>> {
        // They are given on a port of their own.
        Ok(None)
    }
}

pub(in crate::cluster) fn scheduler_status(scheduler: Scheduler, jobs: Arc<Jobs>) -> Status {
    let ready = scheduler.clone();
    Status {
        ready: Box::new(move || match ready.is_ready() {
            true => Ok(()),
            false => Err("fewer executors than --min-ready-executors".to_owned()),
        }),
        numbers: Box::new(move || {
            let (scheduler, jobs) = (scheduler.clone(), Arc::clone(&jobs));
            Box::pin(async move { numbers(&scheduler, &jobs).await })
        }),
    }
}

async fn numbers(scheduler: &Scheduler, jobs: &Jobs) -> String {
    let mut text = Text::default();
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let executors = scheduler.state.executor_manager.get_executors_state().await;
    if let Ok(executors) = executors {
        let help = "Executors that are registered.";
        text.gauge("executors", help, executors.len() as u64);
    }
    for (name, help, value) in [
        (
            "jobs_running",
            "Queries that run.",
            scheduler.running_job_number() as u64,
        ),
        (
            "jobs_waiting",
            "Queries that wait.",
            scheduler.pending_job_number() as u64,
        ),
        (
            "tasks_waiting",
            "Tasks that no executor has room for.",
            count(&jobs.waiting_tasks),
        ),
    ] {
        text.gauge(name, help, value);
    }
    for (name, help, counter) in [
        (
            "jobs_submitted_total",
            "Queries that were planned.",
            &jobs.submitted,
        ),
        (
            "jobs_completed_total",
            "Queries that have ended well.",
            &jobs.completed,
        ),
        (
            "jobs_failed_total",
            "Queries that have failed.",
            &jobs.failed,
        ),
        (
            "jobs_cancelled_total",
            "Queries that were cancelled.",
            &jobs.cancelled,
        ),
    ] {
        text.counter(name, help, count(counter));
    }
    text.finish()
}
