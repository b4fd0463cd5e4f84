//! Activations: bounds that values are clamped to, and smooth functions.

use crate::math::{erf, exp};
use crate::simd::{Lanes, Simd};

/// What is done to the sums of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Activation {
    /// Nothing.
    #[default]
    Linear,
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// `x·Φ(x)` with the normal distribution's Φ: Hendrycks and Gimpel, "Gaussian error linear units", 2016.
    Gelu,
    /// The same by its approximation with the hyperbolic tangent.
    GeluTanh,
    /// `x·σ(1.702·x)` with the logistic function σ, as CLIP has it.
    QuickGelu,
}

impl Activation {
    /// Lower and upper bound.
    #[inline(always)]
    pub(crate) fn bounds<S: Simd>(self, simd: S) -> (S::V, S::V) {
        let (low, high) = match self {
            Self::Relu => (0.0, f32::INFINITY),
            Self::Relu6 => (0.0, 6.0),
            _ => (f32::NEG_INFINITY, f32::INFINITY),
        };
        (simd.splat(low), simd.splat(high))
    }

    /// Whether it is more than bounds, and only [`smooth`](Self::smooth) does it.
    pub(crate) const fn is_smooth(self) -> bool {
        matches!(self, Self::Gelu | Self::GeluTanh | Self::QuickGelu)
    }

    /// Applies a smooth activation to lines that were written just now.
    #[inline(always)]
    pub(crate) fn smooth<S: Simd>(self, simd: S, lines: &mut [Lanes]) {
        match self {
            Self::Gelu => {
                for line in lines {
                    let value = gelu(simd, simd.load(line));
                    simd.store(line, value);
                }
            }
            Self::GeluTanh => {
                for line in lines {
                    let value = gelu_tanh(simd, simd.load(line));
                    simd.store(line, value);
                }
            }
            Self::QuickGelu => {
                let factor = simd.splat(-1.702);
                for line in lines {
                    let x = simd.load(line);
                    simd.store(line, logistic(simd, x, simd.mul(x, factor)));
                }
            }
            _ => {}
        }
    }
}

/// `x/2·(1 + erf(x/√2))`
#[inline(always)]
fn gelu<S: Simd>(simd: S, x: S::V) -> S::V {
    let half = simd.mul(x, simd.splat(0.5));
    let erf = erf(
        simd,
        simd.mul(x, simd.splat(std::f32::consts::FRAC_1_SQRT_2)),
    );
    simd.mul_add(half, erf, half)
}

/// `x/2·(1 + tanh(u))` with `u = √(2/π)·(x + 0.044715·x³)`, which is `x·σ(2u)`.
#[inline(always)]
fn gelu_tanh<S: Simd>(simd: S, x: S::V) -> S::V {
    /// −2·√(2/π).
    const FACTOR: f32 = -1.595_769;
    let square = simd.mul(x, x);
    let inner = simd.mul_add(square, simd.splat(0.044_715 * FACTOR), simd.splat(FACTOR));
    logistic(simd, x, simd.mul(x, inner))
}

/// `x/(1 + exp(minus))`
#[inline(always)]
fn logistic<S: Simd>(simd: S, x: S::V, minus: S::V) -> S::V {
    simd.div(x, simd.add(simd.splat(1.0), exp(simd, minus)))
}

/// `value` within `bounds`.
#[inline(always)]
pub(crate) fn clamp<S: Simd>(simd: S, value: S::V, bounds: (S::V, S::V)) -> S::V {
    simd.min(simd.max(value, bounds.0), bounds.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Isa, Kernel};
    use crate::testing::reference::activate;

    struct Smooth<'a>(Activation, &'a mut [Lanes]);

    impl Kernel for Smooth<'_> {
        #[inline(always)]
        fn run<S: Simd>(self, simd: S) {
            self.0.smooth(simd, self.1);
        }
    }

    #[test]
    fn smooth_activations_agree_with_their_definitions() {
        let all: Vec<f32> = (-160_000..160_000).map(|i| i as f32 / 10_000.0).collect();
        let all = [all, vec![-1e30, -100.0, 100.0, 1e30, 1e-30]].concat();
        for activation in [
            Activation::Gelu,
            Activation::GeluTanh,
            Activation::QuickGelu,
        ] {
            let mut fused: Option<Vec<Lanes>> = None;
            for isa in Isa::ALL {
                let Ok(arch) = isa.arch() else { continue };
                let mut lines = crate::simd::to_lanes(&all);
                arch.run(Smooth(activation, &mut lines));
                for (x, y) in all.iter().zip(lines.iter().flat_map(|line| line.0)) {
                    let expected = activate(activation, f64::from(*x));
                    let error = (f64::from(y) - expected).abs();
                    let bound = 4e-7 * f64::from(x.abs()).max(1e-30);
                    assert!(
                        error <= bound,
                        "{isa:?} {activation:?}({x}) = {y}, expected {expected}"
                    );
                }
                if isa != Isa::Portable {
                    assert!(
                        fused.get_or_insert_with(|| lines.clone()) == &lines,
                        "{isa:?}"
                    );
                }
            }
        }
    }
}
