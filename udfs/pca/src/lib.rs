#![doc = include_str!("../README.md")]
//!
//! | module | |
//! |---|---|
//! | `features` | Arrow lists → rows |
//! | `rows`, `moments` | the two representations of what has been seen |
//! | `spill` | rows on disk |
//! | `fit`, `gram`, `stream` | from either to a model |
//! | `eigen`, `krylov`, `orthogonal`, `checks`, `complement` | decompositions, full and partial |
//! | `cancellation` | stopping them |
//! | `parallel`, `syrk`, `elementwise` | what they are made of: products, loops in vector instructions |
//! | `state` | partial aggregates |
//! | `model`, `format`, `container` | the model, and its bytes |
//! | `scaler` | the StandardScaler by itself |
//! | `transform` | applying it |
//! | [`functions`] | the SQL functions |

#![forbid(unsafe_code)]

mod cancellation;
mod checks;
mod complement;
mod container;
mod eigen;
mod elementwise;
mod error;
mod features;
mod fit;
mod format;
pub mod functions;
mod gram;
mod krylov;
mod model;
mod model_cache;
mod moments;
mod options;
mod orthogonal;
mod parallel;
mod restart;
mod rows;
mod scaler;
mod scree;
mod settings;
mod single_tile;
mod spill;
mod state;
mod stream;
mod strips;
mod syrk;
mod tile;
mod transform;
mod value;

pub use cancellation::IsCancelled;
pub use container::FORMAT_VERSION;
pub use error::{PcaError, Result};
pub use fit::PcaFitter;
pub use functions::{CancellationSource, expr_fn, looks_for_cancellation};
pub use model::PcaModel;
pub use options::{Convention, DEFAULT_MEMORY_LIMIT, FitOptions, NComponents};
pub use scaler::{Scaler, ScalerFitter};
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
