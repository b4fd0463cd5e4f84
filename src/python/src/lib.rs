//! The Rust half of the Python package `datafusion_featurize`. It is thin: sessions, statements, tables on the
//! screen and the report are those of the library `datafusion_featurize`; here they meet Python's objects, its
//! signals and its lock.

mod connect;
mod connection;
mod errors;
mod html;
mod matrix;
mod notices;
mod parameters;
mod progress;
mod reader;
mod report;
mod result;
mod statement;
mod table;
mod wait;

use pyo3::prelude::*;

/// The program's.
#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[pymodule]
mod _internal {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::connect::connect;
    #[pymodule_export]
    use super::connection::Connection;
    #[pymodule_export]
    use super::errors::{ExecutionError, FeaturizeError, ResourcesError, StatementError};
    #[pymodule_export]
    use super::report::Report;
    #[pymodule_export]
    use super::result::QueryResult;

    #[pymodule_init]
    fn init(_module: &Bound<'_, PyModule>) -> PyResult<()> {
        super::notices::start();
        Ok(())
    }
}
