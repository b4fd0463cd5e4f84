#![doc = include_str!("../README.md")]
//!
//! The road of a query, from the top:
//!
//! | module | |
//! |---|---|
//! | [`functions`] | the SQL functions |
//! | `features` | Arrow lists → rows |
//! | `fit` | what has been seen of the rows, partial aggregates, and the three ways from there to a model |
//! | `model` | the model, its bytes, and applying it; the StandardScaler by itself |
//! | `krylov` | the leading eigenpairs of a matrix that is given by its products |
//! | `linalg` | full decompositions, products, loops in vector instructions |
//! | `options`, `scaling`, `settings` | what a caller, or a session, asks for |
//! | `value`, `error`, `cancellation` | the element types, what can go wrong, and stopping |

#![forbid(unsafe_code)]

mod cancellation;
mod error;
mod features;
mod fit;
pub mod functions;
mod krylov;
mod linalg;
mod model;
mod options;
mod scaling;
mod settings;
mod value;

pub use cancellation::IsCancelled;
pub use error::{PcaError, Result};
pub use fit::fitter::PcaFitter;
pub use fit::running::fits_running;
pub use fit::state::merges_in_place;
pub use functions::{CancellationSource, expr_fn, looks_for_cancellation};
pub use model::container::FORMAT_VERSION;
pub use model::pca::PcaModel;
pub use model::scaler::{Scaler, ScalerFitter};
pub use options::{DEFAULT_MEMORY_LIMIT, FitOptions, NComponents};
pub use scaling::{Convention, Scaling};
pub use value::Value;

use datafusion_execution::runtime_env::RuntimeEnv;
use datafusion_expr::registry::FunctionRegistry;
use datafusion_expr::{AggregateUDF, ScalarUDF};
use log::debug;
use std::sync::Arc;

/// All scalar functions of this crate.
#[must_use]
pub fn all_default_scalar_functions() -> Vec<Arc<ScalarUDF>> {
    functions::functions()
}

/// All aggregate functions of this crate.
#[must_use]
pub fn all_default_aggregate_functions() -> Vec<Arc<AggregateUDF>> {
    functions::aggregate_functions()
}

/// All aggregate functions of this crate for sessions with this runtime: rows of `pca_fit` that do not
/// fit in memory go to its temporary files, and the memory of a fit is taken from its pool. Fits whose
/// query was cancelled learn it from what `cancellation` makes.
#[must_use]
pub fn aggregate_functions_with(
    runtime: &RuntimeEnv,
    cancellation: CancellationSource,
) -> Vec<Arc<AggregateUDF>> {
    let pca_fit = functions::pca_fit::PcaFit::new()
        .with_disk_manager(Arc::clone(&runtime.disk_manager))
        .with_memory_pool(Arc::clone(&runtime.memory_pool))
        .with_cancellation(cancellation);
    let pca_fit = Arc::new(AggregateUDF::from(pca_fit));
    let mut aggregates = all_default_aggregate_functions();
    aggregates.retain(|function| function.name() != pca_fit.name());
    aggregates.push(pca_fit);
    aggregates
}

/// Registers all functions of this crate.
///
/// # Errors
/// If the registry refuses one.
pub fn register_all(registry: &mut dyn FunctionRegistry) -> datafusion_common::Result<()> {
    for function in all_default_scalar_functions() {
        if let Some(existing) = registry.register_udf(function)? {
            debug!("Overwrite existing UDF: {}", existing.name());
        }
    }
    for function in all_default_aggregate_functions() {
        if let Some(existing) = registry.register_udaf(function)? {
            debug!("Overwrite existing UDAF: {}", existing.name());
        }
    }
    Ok(())
}
