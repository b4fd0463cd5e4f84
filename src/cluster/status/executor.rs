//! The numbers of an executor. Ballista 55.0 has no place to count its tasks from outside that keeps its pool
//! of connections; the scheduler counts queries.

use ballista_executor::health::ExecutorHealth;
use datafusion_functions_image::counters;

use super::server::Status;
use super::text::Text;
use crate::totals::Totals;

/// `is_stopping` says whether the process was told to end.
pub(in crate::cluster) fn executor_status(
    health: ExecutorHealth,
    is_stopping: impl Fn() -> bool + Send + Sync + 'static,
) -> Status {
    Status {
        ready: Box::new(move || match health.is_ready() {
            _ if is_stopping() => Err("it stops".to_owned()),
            true => Ok(()),
            false => Err("the scheduler has not answered it".to_owned()),
        }),
        numbers: Box::new(|| Box::pin(async { numbers() })),
    }
}

fn numbers() -> String {
    let mut text = Text::default();
    let images = counters::current();
    let totals = Totals::current();
    for (name, help, value) in [
        (
            "images_total",
            "Images that have gone through a network.",
            images.inferred,
        ),
        (
            "undecodable_images_total",
            "Images that could not be decoded.",
            images.undecodable,
        ),
        (
            "files_fetched_total",
            "Objects that were read.",
            totals.files,
        ),
        (
            "bytes_fetched_total",
            "Bytes of the objects that were read.",
            totals.bytes,
        ),
        (
            "fetch_retries_total",
            "Requests for objects that were repeated.",
            totals.retries,
        ),
        (
            "rows_written_total",
            "Rows in files that were written, of repeated tasks too.",
            totals.rows_written,
        ),
    ] {
        text.counter(name, help, value);
    }
    text.finish()
}
