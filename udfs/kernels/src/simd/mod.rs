//! Sixteen-lane vectors on every instruction set, and the choice among them at run time.
//!
//! Kernels are written once, generically over [`Simd`], with every function on the way marked
//! `#[inline(always)]`. [`Arch::run`] enters them through a function that carries
//! `#[target_feature]`, so that the generic body is compiled for that instruction set; no build
//! flag is needed. One logical vector always has sixteen lanes (one AVX-512 register, two AVX2,
//! four NEON) and every operation is the same IEEE operation in the same order, which is why all
//! instruction sets with a fused multiply-add give the same bits.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod isa;
mod kernel;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;

use crate::cache::prefetch_line;
pub(crate) use isa::Arch;
pub use isa::{Isa, vectorize};
pub(crate) use kernel::Kernel;

/// `f32` values per [`Lanes`], and channels per block of the internal layouts.
pub(crate) const LANES: usize = 16;

/// Sixteen floats on their own cache line: the unit of every internal buffer.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C, align(64))]
pub(crate) struct Lanes(pub(crate) [f32; LANES]);

impl Lanes {
    pub(crate) const ZERO: Self = Self([0.0; LANES]);

    /// The first sixteen values of `values`, or fewer followed by zeros.
    pub(crate) fn from_slice(values: &[f32]) -> Self {
        let mut lanes = Self::ZERO;
        for (lane, &value) in lanes.0.iter_mut().zip(values) {
            *lane = value;
        }
        lanes
    }
}

/// The floats of `lines`, for data that is not blocked by sixteen.
pub(crate) fn floats_mut(lines: &mut [Lanes]) -> &mut [f32] {
    // SAFETY: `Lanes` is exactly sixteen floats (64 bytes, no padding), so the lines are one run
    // of initialised floats, borrowed for as long as the result.
    unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), lines.len() * LANES) }
}

/// `values` in blocks of sixteen; the last block is filled up with zeros.
pub(crate) fn to_lanes(values: &[f32]) -> Vec<Lanes> {
    values.chunks(LANES).map(Lanes::from_slice).collect()
}

/// An instruction set, as operations on vectors of sixteen floats.
///
/// A value of an implementing type is the proof that this machine has the instruction set, which
/// is what makes its methods safe to call.
pub(crate) trait Simd: Copy + Send + Sync + 'static {
    /// Sixteen floats in registers.
    type V: Copy;

    /// Rows of the largest matrix tile whose accumulators fit the registers.
    const GEMM_ROWS: usize;
    /// Columns of that tile, in vectors: 1 or 2.
    const GEMM_VECTORS: usize;

    /// Sixteen times `value`.
    fn splat(self, value: f32) -> Self::V;
    /// Reads one line.
    fn load(self, from: &Lanes) -> Self::V;
    /// Writes one line.
    fn store(self, to: &mut Lanes, value: Self::V);
    /// Asks for a line that will be read soon; it may lie anywhere, even outside of any buffer.
    #[inline(always)]
    fn prefetch(self, line: *const Lanes) {
        prefetch_line(line.cast());
    }
    /// `a + b`.
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a - b`.
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b`.
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`, rounded once (except on [`portable`], see there).
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// The larger of each pair.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// The smaller of each pair.
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a / b`.
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// `value · 2ⁿ` where `n` is in the lowest bits of the pattern of `exponent`, and value and result are
    /// normal numbers.
    fn scale(self, value: Self::V, exponent: Self::V) -> Self::V;
}

#[cfg(test)]
mod tests;
