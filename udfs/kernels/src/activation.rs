//! Activations as the bounds that values are clamped to.

use crate::graph::Activation;
use crate::simd::Simd;

impl Activation {
    /// Lower and upper bound.
    #[inline(always)]
    pub(crate) fn bounds<S: Simd>(self, simd: S) -> (S::V, S::V) {
        let (low, high) = match self {
            Self::Linear => (f32::NEG_INFINITY, f32::INFINITY),
            Self::Relu => (0.0, f32::INFINITY),
            Self::Relu6 => (0.0, 6.0),
        };
        (simd.splat(low), simd.splat(high))
    }
}

/// `value` within `bounds`.
#[inline(always)]
pub(crate) fn clamp<S: Simd>(simd: S, value: S::V, bounds: (S::V, S::V)) -> S::V {
    simd.min(simd.max(value, bounds.0), bounds.1)
}
