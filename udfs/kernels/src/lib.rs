#![doc = include_str!("../README.md")]

mod activation;
mod cache;
mod depthwise;
mod direct;
mod error;
mod gemm;
mod inverted_residual;
mod layout;
mod mobilenet;
mod parallel;
mod pointwise;
mod pool;
pub mod reference;
mod simd;
mod stack;
#[cfg(test)]
mod testing;
mod winograd;

pub use cache::prefetch;
pub use error::{KernelError, Result};
pub use mobilenet::{ConvWeights, InvertedResidualBuilder, InvertedResidualStack, Window};
pub use pool::{CancelToken, ComputePool, Load};
pub use simd::Isa;
pub use stack::{ConvStack, ConvStackBuilder, LayerReport};
pub use winograd::TileSize;
