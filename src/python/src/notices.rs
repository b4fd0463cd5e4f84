//! What the library logs for its users, and what it panics with, as messages of Python's `logging`.

use std::collections::VecDeque;
use std::panic;
use std::sync::{Mutex, PoisonError};

use datafusion_featurize::binary_file::credentials::hide_secrets;
use log::{Level, LevelFilter, Log, Metadata, Record};
use pyo3::prelude::*;

/// Messages that wait for Python. Threads of the library cannot call it: whoever waits for them passes the
/// messages on.
static WAITING: Mutex<VecDeque<(Level, String)>> = Mutex::new(VecDeque::new());

/// Most of them; the oldest go first.
const MOST: usize = 100;

/// Targets of messages that are for users. DataFusion's are for its programmers, and may hold secrets.
const OURS: [&str; 3] = [
    "datafusion_featurize",
    "datafusion_functions_image",
    "datafusion_functions_pca",
];

struct Notices;

impl Log for Notices {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let target = metadata.target().split("::").next().unwrap_or_default();
        metadata.level() <= Level::Warn && OURS.contains(&target)
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            keep(record.level(), hide_secrets(&record.args().to_string()));
        }
    }

    fn flush(&self) {}
}

fn keep(level: Level, text: String) {
    let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
    if waiting.len() == MOST {
        waiting.pop_front();
    }
    waiting.push_back((level, text));
}

/// Begins to keep messages.
pub(crate) fn start() {
    // A module is loaded once in a process: there is no other logger.
    if log::set_logger(&Notices).is_ok() {
        log::set_max_level(LevelFilter::Warn);
    }
    // Where it happened is for a bug report; the statement fails with an exception of ours.
    panic::set_hook(Box::new(|fault| {
        let place = fault.location().map(ToString::to_string);
        let place = place.unwrap_or_else(|| "an unknown place".to_owned());
        keep(
            Level::Error,
            format!("a fault in datafusion_featurize at {place}"),
        );
    }));
}

/// Hands what waits to the logger `datafusion_featurize`, which by default prints it on stderr.
pub(crate) fn pass_on(py: Python<'_>) {
    let waiting = std::mem::take(&mut *WAITING.lock().unwrap_or_else(PoisonError::into_inner));
    for (level, text) in waiting {
        let method = if level == Level::Error {
            "error"
        } else {
            "warning"
        };
        let logger = || {
            py.import("logging")?
                .call_method1("getLogger", ("datafusion_featurize",))
        };
        // A handler that fails is its owner's.
        let _ = logger().and_then(|logger| logger.call_method1(method, ("%s", text)));
    }
}
