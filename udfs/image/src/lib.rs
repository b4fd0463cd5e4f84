//! Image functions for [Apache DataFusion]: `featurize`, `try_featurize`, `image_info` and
//! `featurize_model_info`.
//!
//! `featurize(content)` decodes an image, resizes it as Pillow would, runs a convolutional network
//! over it and returns the features as `List(Float32)`. It is one step of a pipeline that reads a
//! bucket of images and writes a table of vectors, all in SQL.
//!
//! | module | what it does |
//! |---|---|
//! | [`decode`] | bytes → RGB pixels, within limits |
//! | [`resize`] | → 224×224, bit for bit as Pillow |
//! | [`preprocess`] | → the numbers a network expects |
//! | [`conventions`] | what weights expect of the network around them |
//! | [`model`], [`models`] | a network with its weights, loaded once per process |
//! | [`weights`] | where the numbers of a network come from |
//! | [`features`] | batches of images → batches of vectors |
//! | [`pool`] | the compute threads all queries share |
//! | [`cancel`] | how a call learns that its query was cancelled |
//! | [`settings`] | the `featurize.*` settings |
//! | [`functions`], [`expr_fn`] | the SQL functions, and Rust functions that build calls of them |
//!
//! From Rust, without a query:
//!
//! ```no_run
//! use datafusion_functions_image::decode::Limits;
//! use datafusion_functions_image::features::{Featurizer, OnUndecodable};
//! use datafusion_functions_image::model::{DeviceKind, Model};
//! use datafusion_functions_image::models::{Architecture, Pooling};
//! use datafusion_functions_image::pool::ComputePool;
//! use datafusion_functions_image::weights::WeightsSpec;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let model = Model::shared(Architecture::Vgg16, &WeightsSpec::Seeded, DeviceKind::Cpu)?;
//! let limits = Limits { max_pixels: 100_000_000 };
//! let featurizer = Featurizer::new(model, Pooling::Avg, limits, ComputePool::shared(0)?);
//! let apple = std::fs::read("apple.jpg")?;
//! let features = featurizer.featurize(&[Some(&apple)], OnUndecodable::Fail)?;
//! assert_eq!(features.value_length(0), 512);
//! # Ok(())
//! # }
//! ```
//!
//! [Apache DataFusion]: https://datafusion.apache.org

#![forbid(unsafe_code)]

pub mod cancel;
pub mod conventions;
pub mod counters;
pub mod decode;
pub mod error;
pub mod features;
pub mod functions;
pub mod model;
pub mod models;
pub mod pool;
pub mod preprocess;
pub mod resize;
pub mod settings;
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
