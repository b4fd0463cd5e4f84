//! What is compiled once for each instruction set.

use super::Simd;

/// A computation that is generic over the instruction set.
pub(crate) trait Kernel {
    /// Implementations are `#[inline(always)]`, and so is everything they call.
    fn run<S: Simd>(self, simd: S);
}
