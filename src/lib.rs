#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod archives;
pub mod binary_file;
pub mod blobs;
#[cfg(feature = "cluster")]
pub mod cluster;
pub mod config;
#[cfg(feature = "display")]
pub mod display;
pub mod guide;
mod io_runtime;
mod lists_as_text;
mod object_stores;
pub mod offload;
pub mod progress;
#[cfg(feature = "report")]
pub mod report;
mod session;
pub mod sink;
pub mod sql;
mod suggest;
mod totals;
mod unary;
mod url_tables;
pub mod weights;

pub use binary_file::{BinaryFileOptions, BinaryFileTable, BinaryFileTableFactory, Oversize};
pub use config::FeaturizeOptions;
pub use session::{
    SessionStateBuilderFeaturize, aggregate_functions_of, all_default_aggregate_functions,
    all_default_analyzer_rules, all_default_documentation, all_default_physical_optimizer_rules,
    all_default_scalar_functions, all_default_table_factories, enable_featurize, register_all,
    set_weights_access, update_functions,
};

pub use url_tables::enable_url_tables;

pub use datafusion_functions_image as image;
pub use datafusion_functions_pca as pca;

/// The target of log messages that tell what a statement did where that may not be what was meant.
/// Nothing is lost if they are not read: the program's `-q` turns them off.
pub const NOTICE: &str = "datafusion_featurize::notice";

/// Builders of calls of every function, for the DataFrame API.
pub mod expr_fn {
    pub use crate::blobs::expr_fn::*;
    pub use datafusion_functions_image::expr_fn::*;
    pub use datafusion_functions_pca::expr_fn::*;
}
