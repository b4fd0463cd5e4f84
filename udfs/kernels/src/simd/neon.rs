//! NEON on 64-bit ARM: four registers per vector.

use std::arch::aarch64::*;

use super::{Kernel, Lanes, Simd};

/// Proof that the CPU has NEON.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Neon(());

impl Neon {
    pub(super) fn new() -> Option<Self> {
        std::arch::is_aarch64_feature_detected!("neon").then_some(Self(()))
    }

    pub(super) fn run<K: Kernel>(self, kernel: K) {
        #[target_feature(enable = "neon")]
        fn enter<K: Kernel>(simd: Neon, kernel: K) {
            kernel.run(simd);
        }
        // SAFETY: `self` exists only if `new` found NEON.
        unsafe { enter(self, kernel) }
    }
}

/// Sixteen floats, four to a register.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quad([float32x4_t; 4]);

macro_rules! by_register {
    ($intrinsic:ident, $($operand:ident),+) => {
        // SAFETY: the proof of NEON is `self` of the calling method.
        unsafe {
            Quad([
                $intrinsic($($operand.0[0]),+),
                $intrinsic($($operand.0[1]),+),
                $intrinsic($($operand.0[2]),+),
                $intrinsic($($operand.0[3]),+),
            ])
        }
    };
}

impl Simd for Neon {
    type V = Quad;

    // 6 × 4 registers of accumulators, 4 of columns and 1 row: 29 of 32.
    const GEMM_ROWS: usize = 6;
    const GEMM_VECTORS: usize = 1;

    #[inline(always)]
    fn splat(self, value: f32) -> Quad {
        // SAFETY: `self` exists only if `new` found NEON.
        Quad([unsafe { vdupq_n_f32(value) }; 4])
    }

    #[inline(always)]
    fn load(self, from: &Lanes) -> Quad {
        let from = from.0.as_ptr();
        // SAFETY: `self` proves NEON, and `from` points to sixteen floats.
        unsafe {
            Quad([
                vld1q_f32(from),
                vld1q_f32(from.add(4)),
                vld1q_f32(from.add(8)),
                vld1q_f32(from.add(12)),
            ])
        }
    }

    #[inline(always)]
    fn store(self, to: &mut Lanes, value: Quad) {
        let to = to.0.as_mut_ptr();
        // SAFETY: `self` proves NEON, and `to` points to sixteen floats.
        unsafe {
            vst1q_f32(to, value.0[0]);
            vst1q_f32(to.add(4), value.0[1]);
            vst1q_f32(to.add(8), value.0[2]);
            vst1q_f32(to.add(12), value.0[3]);
        }
    }

    #[inline(always)]
    fn add(self, a: Quad, b: Quad) -> Quad {
        by_register!(vaddq_f32, a, b)
    }

    #[inline(always)]
    fn sub(self, a: Quad, b: Quad) -> Quad {
        by_register!(vsubq_f32, a, b)
    }

    #[inline(always)]
    fn mul(self, a: Quad, b: Quad) -> Quad {
        by_register!(vmulq_f32, a, b)
    }

    #[inline(always)]
    fn mul_add(self, a: Quad, b: Quad, c: Quad) -> Quad {
        by_register!(vfmaq_f32, c, a, b)
    }

    #[inline(always)]
    fn max(self, a: Quad, b: Quad) -> Quad {
        by_register!(vmaxnmq_f32, a, b)
    }

    #[inline(always)]
    fn min(self, a: Quad, b: Quad) -> Quad {
        by_register!(vminnmq_f32, a, b)
    }

    #[inline(always)]
    fn div(self, a: Quad, b: Quad) -> Quad {
        by_register!(vdivq_f32, a, b)
    }

    #[inline(always)]
    fn scale(self, value: Quad, exponent: Quad) -> Quad {
        let mut out = value;
        for (out, exponent) in out.0.iter_mut().zip(exponent.0) {
            // SAFETY: `self` exists only if `new` found NEON.
            *out = unsafe {
                let shifted = vshlq_n_u32::<23>(vreinterpretq_u32_f32(exponent));
                vreinterpretq_f32_u32(vaddq_u32(vreinterpretq_u32_f32(*out), shifted))
            };
        }
        out
    }
}
