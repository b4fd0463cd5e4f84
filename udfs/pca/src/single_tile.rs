//! [`crate::tile`] in single precision: sums are those of `f32`, what they are added to is of `f64`.

use crate::strips::{Lane, SINGLE_STRIP, STRIP, SingleStrips};
use crate::tile::{Square, TALL};
use featurize_kernels::prefetch;
use pulp::Simd;

type SingleLane = Lane<f32, SINGLE_STRIP>;

/// As many columns of a strip as a square is wide.
#[derive(Clone, Copy)]
pub(crate) struct Half<'a> {
    pub(crate) strip: &'a [SingleLane],
    pub(crate) second: bool,
}

/// Adds to `squares` the products of the columns of the strips from the `first` on with those of `right`.
/// Every strip has two squares, but for the first if the one `above` is missing, and for the last.
#[inline(always)]
pub(crate) fn add_single_products<S: Simd>(
    simd: S,
    strips: &SingleStrips,
    first: usize,
    right: Half<'_>,
    above: bool,
    squares: &mut [Square],
) {
    let (lower, squares) = squares.split_at_mut(squares.len().min(usize::from(above)));
    if let [square] = lower {
        let mut both = [[[Lane::ZERO; STRIP]; 2]];
        add::<S>(simd, strips, first, right, &mut both);
        let [[_, second]] = both;
        add_square(square, &second);
    }
    let first = first + usize::from(above);
    let (pairs, last) = squares.as_chunks_mut();
    add::<S>(simd, strips, first, right, pairs);
    if let [square] = last {
        let mut both = [[[Lane::ZERO; STRIP]; 2]];
        add::<S>(simd, strips, first + pairs.len(), right, &mut both);
        let [[upper, _]] = both;
        add_square(square, &upper);
    }
}

fn add_square(square: &mut Square, other: &Square) {
    for (Lane(target), Lane(values)) in square.iter_mut().zip(other) {
        target.iter_mut().zip(values).for_each(|(t, v)| *t += v);
    }
}

#[inline(always)]
fn add<S: Simd>(
    simd: S,
    strips: &SingleStrips,
    first: usize,
    right: Half<'_>,
    squares: &mut [[Square; 2]],
) {
    // As many sums as fill most of the registers.
    match S::F32_LANES {
        16 => tiles::<S, TALL, 1, 8>(simd, strips, first, right, squares),
        8 => tiles::<S, 1, 2, 4>(simd, strips, first, right, squares),
        4 => tiles::<S, 1, 4, 2>(simd, strips, first, right, squares),
        _ => tiles::<S, 1, 16, 1>(simd, strips, first, right, squares),
    }
}

/// In tiles of `HEIGHT` strips by `COLUMNS` columns, where a strip is `VECTORS` vectors.
#[inline(always)]
fn tiles<S: Simd, const HEIGHT: usize, const VECTORS: usize, const COLUMNS: usize>(
    simd: S,
    strips: &SingleStrips,
    first: usize,
    right: Half<'_>,
    squares: &mut [[Square; 2]],
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
    left: [&[SingleLane]; HEIGHT],
    right: Half<'_>,
    squares: &mut [[Square; 2]; HEIGHT],
) {
    prefetch(squares);
    let Half { strip, second } = right;
    let left = left.map(|left| left.get(..strip.len()).unwrap_or_default());
    let offset = if second { STRIP } else { 0 };
    let zero = simd.splat_f32s(0.0);
    for start in (0..STRIP).step_by(COLUMNS) {
        let mut sums = [[[zero; VECTORS]; HEIGHT]; COLUMNS];
        for (k, Lane(factors)) in strip.iter().enumerate() {
            let mut values = [[zero; VECTORS]; HEIGHT];
            for (values, left) in values.iter_mut().zip(&left) {
                let (vectors, _) = S::as_simd_f32s(&left[k].0);
                values.copy_from_slice(vectors);
            }
            for (sums, factor) in sums.iter_mut().zip(&factors[offset + start..]) {
                let factor = simd.splat_f32s(*factor);
                for (sums, values) in sums.iter_mut().zip(&values) {
                    for (sum, value) in sums.iter_mut().zip(values) {
                        *sum = simd.mul_add_e_f32s(*value, factor, *sum);
                    }
                }
            }
        }
        for (c, sums) in sums.iter().enumerate() {
            for (squares, sums) in squares.iter_mut().zip(sums) {
                let mut column = SingleLane::ZERO;
                let (target, _) = S::as_mut_simd_f32s(&mut column.0);
                target.copy_from_slice(sums);
                for (square, sums) in squares.iter_mut().zip(column.0.chunks(STRIP)) {
                    let Lane(target) = &mut square[start + c];
                    target
                        .iter_mut()
                        .zip(sums)
                        .for_each(|(t, s)| *t += f64::from(*s));
                }
            }
        }
    }
}
