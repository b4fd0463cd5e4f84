//! The Rust half of the Python package `datafusion_featurize`. It is thin: sessions, statements, tables on the
//! screen and the report are those of the library `datafusion_featurize`; here they meet Python's objects, its
//! signals and its lock.

mod connection;
mod errors;
mod html;
mod matrix;
mod parameters;
mod progress;
mod reader;
mod report;
mod result;
mod wait;

use pyo3::prelude::*;

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[pymodule]
mod _internal {
    #[pymodule_export]
    use super::connection::{Connection, connect};
    #[pymodule_export]
    use super::errors::{ExecutionError, FeaturizeError, ResourcesError, StatementError};
    #[pymodule_export]
    use super::report::Report;
    #[pymodule_export]
    use super::result::QueryResult;
}
