#![doc = include_str!("../README.md")]
//!
//! | module | what it does |
//! |---|---|
//! | [`decode`] | bytes → RGB pixels, within limits |
//! | [`resize`] | → 224×224, bit for bit as Pillow |
//! | [`preprocess`], [`preparation`] | → the numbers a network expects |
//! | [`conventions`] | what weights expect of the network around them |
//! | [`model`], [`models`] | a network with its weights, loaded once per process |
//! | [`weights`] | where the numbers of a network come from |
//! | [`thumbnail`] | an image → a small JPEG of it |
//! | [`features`] | batches of images → batches of vectors |
//! | [`pool`] | the compute threads all queries share |
//! | [`cancel`] | how a call learns that its query was cancelled |
//! | [`settings`] | the `featurize.*` settings |
//! | [`functions`], [`expr_fn`] | the SQL functions, and Rust functions that build calls of them |

#![forbid(unsafe_code)]

pub mod cancel;
pub mod conventions;
pub mod counters;
pub mod decode;
pub mod error;
pub mod features;
pub mod functions;
mod json;
mod library;
pub mod model;
pub mod models;
pub mod origins;
pub mod pool;
pub mod preparation;
pub mod preprocess;
pub mod resize;
pub mod settings;
pub mod thumbnail;
pub mod weights;

use std::sync::Arc;

use datafusion_common::Result;
use datafusion_expr::ScalarUDF;
use datafusion_expr::registry::FunctionRegistry;

pub use functions::{expr_fn, looks_for_cancellation};

use crate::weights::WeightsAccess;

/// Every scalar function of this package.
pub fn all_default_scalar_functions() -> Vec<Arc<ScalarUDF>> {
    functions::functions()
}

/// Every scalar function of this package, those that load weights with this access to them.
pub fn all_scalar_functions_with(access: &WeightsAccess) -> Vec<Arc<ScalarUDF>> {
    functions::functions_with(access)
}

/// Registers every function of this package. A function of the same name is replaced.
///
/// # Errors
///
/// If the registry refuses a function.
pub fn register_all(registry: &mut dyn FunctionRegistry) -> Result<()> {
    for function in all_default_scalar_functions() {
        if let Some(replaced) = registry.register_udf(function)? {
            log::debug!("Overwrite existing UDF: {}", replaced.name());
        }
    }
    Ok(())
}
