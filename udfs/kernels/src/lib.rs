#![doc = include_str!("../README.md")]

// The oracle of the tests names the crate as the benches do.
#[cfg(test)]
extern crate self as featurize_kernels;

mod activation;
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
mod network;
mod parallel;
mod pool;
mod simd;
#[cfg(test)]
mod testing;
mod winograd;

pub use elementwise::Pooling;
pub use error::{KernelError, Result};
pub use graph::{Activation, Conv, Graph, Layer, Node, Padding, Window};
pub use network::{Network, StepReport};
pub use pool::{CancelToken, ComputePool, Load};
pub use simd::{Isa, vectorize};
