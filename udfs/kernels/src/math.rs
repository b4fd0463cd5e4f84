//! Functions that no processor has an instruction for.

use crate::simd::Simd;

/// 1.5·2²³: added to a number between −2²² and 2²², it leaves the nearest integer in the lowest bits.
const ROUNDING: f32 = 12_582_912.0;
/// ln 2 in two parts, of which the first has few bits, so that its small multiples are exact.
const LN_2: [f32; 2] = [0.693_145_75, 1.428_606_8e-6];

/// The exponential function within 2 units of the last place. What is below −87 counts as −87, which gives
/// 10⁻³⁸, and what is above 88 as 88.
#[inline(always)]
pub(crate) fn exp<S: Simd>(simd: S, x: S::V) -> S::V {
    let x = simd.min(simd.max(x, simd.splat(-87.0)), simd.splat(88.0));
    let rounding = simd.splat(ROUNDING);
    let exponent = simd.mul_add(x, simd.splat(std::f32::consts::LOG2_E), rounding);
    let n = simd.sub(exponent, rounding);
    let rest = simd.mul_add(n, simd.splat(-LN_2[0]), x);
    let rest = simd.mul_add(n, simd.splat(-LN_2[1]), rest);
    // (eʳ − 1 − r)/r² between ±ln 2 / 2, with the least relative error.
    let tail = polynomial(
        simd,
        rest,
        [
            0.001_390_119_1,
            0.008_363_145,
            0.041_666_854,
            0.166_665_77,
            0.5,
        ],
    );
    let square = simd.mul(rest, rest);
    let value = simd.add(simd.mul_add(square, tail, rest), simd.splat(1.0));
    simd.scale(value, exponent)
}

/// The error function within 4·10⁻⁷: x·P(x²)/Q(x²), with the least relative error up to 3.92, from where it
/// is 1 in `f32`.
#[inline(always)]
pub(crate) fn erf<S: Simd>(simd: S, x: S::V) -> S::V {
    let x = simd.min(simd.max(x, simd.splat(-3.92)), simd.splat(3.92));
    let square = simd.mul(x, x);
    let above = polynomial(
        simd,
        square,
        [
            2.050_495_2e-6,
            2.846_74e-4,
            0.003_758_787_4,
            0.052_727_334,
            0.190_254_63,
            std::f32::consts::FRAC_2_SQRT_PI,
        ],
    );
    let below = polynomial(
        simd,
        square,
        [
            3.808_511_7e-5,
            0.001_160_78,
            0.014_955_537,
            0.114_045_16,
            0.501_941_55,
            1.0,
        ],
    );
    let value = simd.div(simd.mul(x, above), below);
    // Rounding may carry it beyond.
    simd.min(simd.max(value, simd.splat(-1.0)), simd.splat(1.0))
}

/// The polynomial with these coefficients, the highest first.
#[inline(always)]
fn polynomial<S: Simd, const N: usize>(simd: S, x: S::V, coefficients: [f32; N]) -> S::V {
    let mut value = simd.splat(0.0);
    for (index, coefficient) in coefficients.into_iter().enumerate() {
        let coefficient = simd.splat(coefficient);
        value = match index {
            0 => coefficient,
            _ => simd.mul_add(value, x, coefficient),
        };
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Isa, Kernel, Lanes, to_lanes};
    use crate::testing::reference;

    struct Both<'a>(&'a [Lanes], &'a mut Vec<[Lanes; 2]>);

    impl Kernel for Both<'_> {
        #[inline(always)]
        fn run<S: Simd>(self, simd: S) {
            for line in self.0 {
                let x = simd.load(line);
                let mut out = [Lanes::ZERO; 2];
                simd.store(&mut out[0], exp(simd, x));
                simd.store(&mut out[1], erf(simd, x));
                self.1.push(out);
            }
        }
    }

    #[test]
    fn functions_agree_with_double_precision() {
        let all: Vec<f32> = (-88_000..89_000).map(|i| i as f32 / 1000.0).collect();
        let lines = to_lanes(&all);
        for isa in Isa::ALL {
            let Ok(arch) = isa.arch() else { continue };
            let mut out = Vec::new();
            arch.run(Both(&lines, &mut out));
            for (index, x) in all.iter().enumerate() {
                let [exp, erf] = out[index / 16].map(|line| f64::from(line.0[index % 16]));
                let x = f64::from(*x);
                let expected = x.clamp(-87.0, 88.0).exp();
                assert!(
                    (exp / expected - 1.0).abs() < 2.5e-7,
                    "{isa:?} exp({x}) = {exp}"
                );
                let expected = reference::erf(x);
                assert!((erf - expected).abs() < 4e-7, "{isa:?} erf({x}) = {erf}");
            }
        }
    }
}
