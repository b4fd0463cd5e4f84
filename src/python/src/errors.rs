//! Errors as Python has them: our messages in a small tree of exceptions.

use datafusion::common::DataFusionError;
use pyo3::exceptions::PyException;
use pyo3::{PyErr, create_exception};

create_exception!(
    datafusion_featurize,
    FeaturizeError,
    PyException,
    "Whatever fails in this package; the other errors are kinds of it."
);
create_exception!(
    datafusion_featurize,
    StatementError,
    FeaturizeError,
    "The statement is at fault: its syntax, a name, a type, an option or a setting. Nothing was run."
);
create_exception!(
    datafusion_featurize,
    ExecutionError,
    FeaturizeError,
    "Something failed while the statement ran: a store, a file, an image or a value."
);
create_exception!(
    datafusion_featurize,
    ResourcesError,
    FeaturizeError,
    "The statement needs more memory or disk than it may take."
);

/// The exception for an error of the library.
pub(crate) fn raised(error: &DataFusionError) -> PyErr {
    use DataFusionError as E;

    let text = error.strip_backtrace();
    match error.find_root() {
        E::Plan(_)
        | E::SQL(..)
        | E::SchemaError(..)
        | E::NotImplemented(_)
        | E::Configuration(_) => StatementError::new_err(text),
        E::ResourcesExhausted(_) => ResourcesError::new_err(text),
        _ => ExecutionError::new_err(text),
    }
}
