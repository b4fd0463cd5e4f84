//! The inner matrix multiplication: a few strips by one, the sums in registers.
//!
//! Every number is the sum of its products in the order of the rows of the strips, by fused
//! multiplications and additions where the machine has them, whatever the width of its vectors. The sum is
//! then added to what was there.

use crate::strips::{Lane, STRIP, Strips};
use featurize_kernels::prefetch;
use pulp::Simd;

/// Products of the columns of one strip with those of another: a lane for each of the latter.
pub(crate) type Square = [Lane; STRIP];

/// Strips that are best multiplied together: so many, or a multiple.
pub(crate) const TALL: usize = 3;

/// Adds to `squares`, of which there is one for each strip from the `first` on, the products of the columns
/// of these strips with those of the strip `right`.
#[inline(always)]
pub(crate) fn add_products<S: Simd>(
    simd: S,
    strips: &Strips,
    first: usize,
    right: &[Lane],
    squares: &mut [Square],
) {
    // The sums of a tile fill most of the registers: 24 of 32, 8 of 16.
    match S::F64_LANES {
        8 => add::<S, TALL, 1, 8>(simd, strips, first, right, squares),
        4 => add::<S, 1, 2, 4>(simd, strips, first, right, squares),
        2 => add::<S, 1, 4, 4>(simd, strips, first, right, squares),
        _ => add::<S, 1, 8, 1>(simd, strips, first, right, squares),
    }
}

/// In tiles of `HEIGHT` strips by `COLUMNS` factors, where a strip is `VECTORS` vectors.
#[inline(always)]
fn add<S: Simd, const HEIGHT: usize, const VECTORS: usize, const COLUMNS: usize>(
    simd: S,
    strips: &Strips,
    first: usize,
    right: &[Lane],
    squares: &mut [Square],
) {
    let (tall, rest) = squares.as_chunks_mut::<HEIGHT>();
    let mut s = first;
    for squares in tall {
        let left = std::array::from_fn(|h| strips.strip(s + h));
        tile::<S, HEIGHT, VECTORS, COLUMNS>(simd, left, right, squares);
        s += HEIGHT;
    }
    for square in rest {
        let left = [strips.strip(s)];
        tile::<S, 1, VECTORS, COLUMNS>(simd, left, right, std::array::from_mut(square));
        s += 1;
    }
}

#[inline(always)]
fn tile<S: Simd, const HEIGHT: usize, const VECTORS: usize, const COLUMNS: usize>(
    simd: S,
    left: [&[Lane]; HEIGHT],
    right: &[Lane],
    squares: &mut [Square; HEIGHT],
) {
    // They lie far apart, where no processor expects them, and are needed when the sums are done.
    squares.iter().for_each(|square| prefetch(square));
    let left = left.map(|strip| strip.get(..right.len()).unwrap_or_default());
    let zero = simd.splat_f64s(0.0);
    for start in (0..STRIP).step_by(COLUMNS) {
        let mut sums = [[[zero; VECTORS]; HEIGHT]; COLUMNS];
        for (k, Lane(factors)) in right.iter().enumerate() {
            let mut values = [[zero; VECTORS]; HEIGHT];
            for (values, strip) in values.iter_mut().zip(&left) {
                let (vectors, _) = S::as_simd_f64s(&strip[k].0);
                values.copy_from_slice(vectors);
            }
            for (sums, factor) in sums.iter_mut().zip(&factors[start..]) {
                let factor = simd.splat_f64s(*factor);
                for (sums, values) in sums.iter_mut().zip(&values) {
                    for (sum, value) in sums.iter_mut().zip(values) {
                        *sum = simd.mul_add_e_f64s(*value, factor, *sum);
                    }
                }
            }
        }
        for (c, sums) in sums.iter().enumerate() {
            for (square, sums) in squares.iter_mut().zip(sums) {
                let (target, _) = S::as_mut_simd_f64s(&mut square[start + c].0);
                for (target, sum) in target.iter_mut().zip(sums) {
                    *target = simd.add_f64s(*target, *sum);
                }
            }
        }
    }
}
