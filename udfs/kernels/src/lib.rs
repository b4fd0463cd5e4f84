#![doc = include_str!("../README.md")]

// The oracle of the tests names the crate as the benches do.
#[cfg(test)]
extern crate self as featurize_kernels;

mod activation;
mod attention;
mod cache;
mod convolution;
mod depthwise;
mod direct;
mod elementwise;
mod error;
mod gemm;
mod graph;
mod inverted_residual;
mod layout;
mod math;
mod network;
mod norm;
mod parallel;
mod pool;
mod simd;
#[cfg(test)]
mod testing;
mod tokens;
mod winograd;

pub use activation::Activation;
pub use elementwise::Pooling;
pub use error::{KernelError, Result};
pub use graph::{Attention, Conv, Graph, Layer, Node, Norm, Padding, Window};
pub use network::{Network, StepReport};
pub use pool::{CancelToken, ComputePool, Load};
pub use simd::{Isa, vectorize};
