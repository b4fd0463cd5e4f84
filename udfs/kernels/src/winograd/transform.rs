//! The transforms of a row of inputs and of a row of sums, in each of the two tile sizes.
//!
//! With interpolation points a₀ … aₙ₋₂ and infinity, and r = 3 taps:
//! * inputs: row j of Bᵀ holds the coefficients of Π_{l≠j} (x − a_l), the last one of Π (x − a_l);
//! * weights: row j of G is (1, a_j, a_j²) / Π_{l≠j} (a_j − a_l), the last one (0, 0, 1);
//! * outputs: row i of Aᵀ is a_jⁱ, and 1 at infinity in the last row only.
//!
//! Points that come as ±a share even and odd parts.

use crate::simd::Simd;

/// A tile of `O` outputs from `I` = `O` + 2 inputs, in one dimension.
pub(super) trait Tile<const O: usize, const I: usize>: Copy {
    /// The finite interpolation points, in the order of the transformed values.
    const POINTS: &'static [f64];

    /// Bᵀ d.
    fn input<S: Simd>(simd: S, d: [S::V; I]) -> [S::V; I];

    /// Aᵀ m.
    fn output<S: Simd>(simd: S, m: [S::V; I]) -> [S::V; O];
}

/// F(4, 3). Points 0, ±3/4, ±3/2: all of Bᵀ and Aᵀ are exact in binary, and the error is 0.6 of
/// that of the usual 0, ±1, ±2.
#[derive(Debug, Clone, Copy)]
pub(super) struct F4;

impl Tile<4, 6> for F4 {
    const POINTS: &'static [f64] = &[0.0, 0.75, -0.75, 1.5, -1.5];

    #[inline(always)]
    fn input<S: Simd>(simd: S, d: [S::V; 6]) -> [S::V; 6] {
        let even = simd.mul_add(simd.splat(-2.25), d[2], d[4]);
        let odd = simd.mul_add(simd.splat(-2.25), d[1], d[3]);
        let even2 = simd.mul_add(simd.splat(-0.5625), d[2], d[4]);
        let odd2 = simd.mul_add(simd.splat(-0.5625), d[1], d[3]);
        [
            simd.mul_add(
                simd.splat(1.265625),
                d[0],
                simd.mul_add(simd.splat(-2.8125), d[2], d[4]),
            ),
            simd.mul_add(simd.splat(0.75), odd, even),
            simd.mul_add(simd.splat(-0.75), odd, even),
            simd.mul_add(simd.splat(1.5), odd2, even2),
            simd.mul_add(simd.splat(-1.5), odd2, even2),
            simd.mul_add(
                simd.splat(1.265625),
                d[1],
                simd.mul_add(simd.splat(-2.8125), d[3], d[5]),
            ),
        ]
    }

    #[inline(always)]
    fn output<S: Simd>(simd: S, m: [S::V; 6]) -> [S::V; 4] {
        let (sum, difference) = (simd.add(m[1], m[2]), simd.sub(m[1], m[2]));
        let (sum2, difference2) = (simd.add(m[3], m[4]), simd.sub(m[3], m[4]));
        let cubic = simd.mul_add(simd.splat(3.375), difference2, m[5]);
        [
            simd.add(simd.add(m[0], sum), sum2),
            simd.mul_add(
                simd.splat(1.5),
                difference2,
                simd.mul(simd.splat(0.75), difference),
            ),
            simd.mul_add(simd.splat(2.25), sum2, simd.mul(simd.splat(0.5625), sum)),
            simd.mul_add(simd.splat(0.421875), difference, cubic),
        ]
    }
}

/// F(6, 3). Points 0, ±1, ±2, ±1/2.
#[derive(Debug, Clone, Copy)]
pub(super) struct F6;

impl Tile<6, 8> for F6 {
    const POINTS: &'static [f64] = &[0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5];

    #[inline(always)]
    fn input<S: Simd>(simd: S, d: [S::V; 8]) -> [S::V; 8] {
        let even = simd.mul_add(simd.splat(-4.25), d[4], simd.add(d[2], d[6]));
        let odd = simd.mul_add(simd.splat(-4.25), d[3], simd.add(d[1], d[5]));
        let even2 = simd.mul_add(
            simd.splat(0.25),
            d[2],
            simd.mul_add(simd.splat(-1.25), d[4], d[6]),
        );
        let odd2 = simd.mul_add(
            simd.splat(0.25),
            d[1],
            simd.mul_add(simd.splat(-1.25), d[3], d[5]),
        );
        let even3 = simd.mul_add(
            simd.splat(4.0),
            d[2],
            simd.mul_add(simd.splat(-5.0), d[4], d[6]),
        );
        let odd3 = simd.mul_add(
            simd.splat(4.0),
            d[1],
            simd.mul_add(simd.splat(-5.0), d[3], d[5]),
        );
        [
            simd.mul_add(simd.splat(5.25), simd.sub(d[2], d[4]), simd.sub(d[6], d[0])),
            simd.add(even, odd),
            simd.sub(even, odd),
            simd.mul_add(simd.splat(2.0), odd2, even2),
            simd.mul_add(simd.splat(-2.0), odd2, even2),
            simd.mul_add(simd.splat(0.5), odd3, even3),
            simd.mul_add(simd.splat(-0.5), odd3, even3),
            simd.mul_add(simd.splat(5.25), simd.sub(d[3], d[5]), simd.sub(d[7], d[1])),
        ]
    }

    #[inline(always)]
    fn output<S: Simd>(simd: S, m: [S::V; 8]) -> [S::V; 6] {
        let (sum, difference) = (simd.add(m[1], m[2]), simd.sub(m[1], m[2]));
        let (sum2, difference2) = (simd.add(m[3], m[4]), simd.sub(m[3], m[4]));
        let (sum3, difference3) = (simd.add(m[5], m[6]), simd.sub(m[5], m[6]));
        [
            simd.add(simd.add(m[0], sum), simd.add(sum2, sum3)),
            two_terms(simd, 0.5, difference3, 2.0, difference2, difference),
            two_terms(simd, 0.25, sum3, 4.0, sum2, sum),
            two_terms(simd, 0.125, difference3, 8.0, difference2, difference),
            two_terms(simd, 0.0625, sum3, 16.0, sum2, sum),
            two_terms(
                simd,
                0.03125,
                difference3,
                32.0,
                difference2,
                simd.add(difference, m[7]),
            ),
        ]
    }
}

/// `a * x + (b * y + rest)`.
#[inline(always)]
fn two_terms<S: Simd>(simd: S, a: f32, x: S::V, b: f32, y: S::V, rest: S::V) -> S::V {
    simd.mul_add(simd.splat(a), x, simd.mul_add(simd.splat(b), y, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Isa, Kernel, LANES, Lanes};

    /// Coefficients of the product of `x - root`, lowest power first.
    fn polynomial(roots: impl Iterator<Item = f64>) -> Vec<f64> {
        let mut product = vec![1.0];
        for root in roots {
            product.insert(0, 0.0);
            for i in 1..product.len() {
                product[i - 1] -= root * product[i];
            }
        }
        product
    }

    struct Unit<'a, T, const O: usize, const I: usize> {
        tile: T,
        column: usize,
        input: &'a mut [Lanes; I],
        output: &'a mut [Lanes; O],
    }

    impl<T: Tile<O, I>, const O: usize, const I: usize> Kernel for Unit<'_, T, O, I> {
        fn run<S: Simd>(self, simd: S) {
            let _ = self.tile;
            let mut unit = [simd.splat(0.0); I];
            unit[self.column] = simd.splat(1.0);
            for (to, value) in self.input.iter_mut().zip(T::input(simd, unit)) {
                simd.store(to, value);
            }
            for (to, value) in self.output.iter_mut().zip(T::output(simd, unit)) {
                simd.store(to, value);
            }
        }
    }

    /// Both transforms are linear, so the images of the unit vectors are their matrices.
    fn matches_its_points<T: Tile<O, I>, const O: usize, const I: usize>(tile: T) {
        let points = T::POINTS;
        for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
            for column in 0..I {
                let mut input = [Lanes::ZERO; I];
                let mut output = [Lanes::ZERO; O];
                isa.arch().unwrap().run(Unit {
                    tile,
                    column,
                    input: &mut input,
                    output: &mut output,
                });
                for (j, actual) in input.iter().enumerate() {
                    let others = (0..points.len()).filter(|&l| l != j).map(|l| points[l]);
                    let row = polynomial(others);
                    let expected = row.get(column).copied().unwrap_or(0.0) as f32;
                    assert_eq!(actual.0, [expected; LANES], "{isa:?} Bt[{j}][{column}]");
                }
                for (i, actual) in output.iter().enumerate() {
                    let expected = match points.get(column) {
                        Some(point) => point.powi(i as i32) as f32,
                        None => f32::from(u8::from(i == O - 1)),
                    };
                    assert_eq!(actual.0, [expected; LANES], "{isa:?} At[{i}][{column}]");
                }
            }
        }
    }

    #[test]
    fn f4_matches_its_points() {
        matches_its_points(F4);
    }

    #[test]
    fn f6_matches_its_points() {
        matches_its_points(F6);
    }
}
