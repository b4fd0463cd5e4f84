//! Convolution kernels of datafusion-featurize for the CPU: slices in, slices out.
//!
//! No Arrow, Candle or DataFusion: callers bring `&[f32]` in NHWC order (batch, height, width,
//! channel; the channel varies fastest) and get the same back.

mod error;
pub mod reference;

pub use error::{KernelError, Result};
