//! Loops over the values of a row, compiled for the vector instructions of the machine they run on.
//!
//! Every value is computed by itself, by the same operations in the same order whatever the width of a
//! vector, so that all machines get the same bits. The variable `FEATURIZE_KERNELS_ISA` chooses their instruction
//! set, as it does for the networks. The products and decompositions are faer's, which takes the best that
//! the machine has: no variable changes that.

use crate::value::Value;
use faer::traits::RealField;
use featurize_kernels::vectorize;

/// `squares += ((row − shift) − mean)²`.
pub(crate) fn add_squares<T: Value>(squares: &mut [f64], row: &[T], shift: &[f64], mean: &[f64]) {
    vectorize(
        #[inline(always)]
        || {
            for (((sum, &x), shift), mean) in squares.iter_mut().zip(row).zip(shift).zip(mean) {
                let deviation = (x.into() - shift) - mean;
                *sum += deviation * deviation;
            }
        },
    );
}

/// `sums += row − shift`.
pub(crate) fn add_deviations<T: Value>(sums: &mut [f64], row: &[T], shift: &[f64]) {
    vectorize(
        #[inline(always)]
        || {
            for ((sum, &x), shift) in sums.iter_mut().zip(row).zip(shift) {
                *sum += x.into() - shift;
            }
        },
    );
}

/// `target = row / scale`, 0 where the scale is 0.
pub(crate) fn divide<T: Value>(target: &mut [f64], row: &[T], scale: &[f64]) {
    vectorize(
        #[inline(always)]
        || {
            for ((z, &x), &scale) in target.iter_mut().zip(row).zip(scale) {
                let quotient = x.into() / scale;
                *z = if scale == 0.0 { 0.0 } else { quotient };
            }
        },
    );
}

/// `target = (row − shift) − mean`.
pub(crate) fn centre<T: Value>(target: &mut [f64], row: &[T], shift: &[f64], mean: &[f64]) {
    vectorize(
        #[inline(always)]
        || {
            for (((z, &x), shift), mean) in target.iter_mut().zip(row).zip(shift).zip(mean) {
                *z = (x.into() - shift) - mean;
            }
        },
    );
}

/// `target = (row − mean) / scale`, 0 where the scale is 0, in the precision of the target.
pub(crate) fn standardise<T: Value, F: Precision>(
    target: &mut [F],
    row: &[T],
    mean: &[f64],
    scale: &[f64],
) {
    vectorize(
        #[inline(always)]
        || {
            for (((z, &x), mean), &scale) in target.iter_mut().zip(row).zip(mean).zip(scale) {
                let quotient = (x.into() - mean) / scale;
                *z = F::round(if scale == 0.0 { 0.0 } else { quotient });
            }
        },
    );
}

/// `target = ((row − shift) − mean) / scale`, 0 where the scale is 0, in the precision of the target.
pub(crate) fn standardise_shifted<T: Value, F: Precision>(
    target: &mut [F],
    row: &[T],
    shift: &[f64],
    mean: &[f64],
    scale: &[f64],
) {
    vectorize(
        #[inline(always)]
        || {
            let columns = shift.iter().zip(mean).zip(scale);
            for ((z, &x), ((shift, mean), &scale)) in target.iter_mut().zip(row).zip(columns) {
                let quotient = ((x.into() - shift) - mean) / scale;
                *z = F::round(if scale == 0.0 { 0.0 } else { quotient });
            }
        },
    );
}

/// What an `f64` may be rounded to.
pub(crate) trait Precision: RealField + Copy + Into<f64> {
    const ZERO: Self;
    const ONE: Self;

    fn round(value: f64) -> Self;
}

impl Precision for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;

    #[inline(always)]
    fn round(value: f64) -> Self {
        value as Self
    }
}

impl Precision for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;

    #[inline(always)]
    fn round(value: f64) -> Self {
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_agree_with_the_formula() {
        // Longer than a vector, and not a multiple of one.
        let row: Vec<f32> = (0..37).map(|i| (i * i) as f32 / 7.0).collect();
        let mean: Vec<f64> = (0..37).map(|i| f64::from(i) / 3.0).collect();
        let scale: Vec<f64> = (0..37).map(|i| f64::from(i % 5)).collect();
        let check = |found: &[f64], formula: &dyn Fn(f64, f64, f64) -> f64| {
            for (i, z) in found.iter().enumerate() {
                assert_eq!(*z, formula(row[i].into(), mean[i], scale[i]), "{i}");
            }
        };
        let or_zero = |value: f64, scale: f64| if scale == 0.0 { 0.0 } else { value / scale };
        let mut z = scale.clone();
        add_squares(&mut z, &row, &mean, &mean);
        check(&z, &|x, m, s| s + (x - m - m) * (x - m - m));
        z.copy_from_slice(&mean);
        add_deviations(&mut z, &row, &scale);
        check(&z, &|x, m, s| m + (x - s));
        centre(&mut z, &row, &scale, &mean);
        check(&z, &|x, m, s| x - s - m);
        divide(&mut z, &row, &scale);
        check(&z, &|x, _, s| or_zero(x, s));
        standardise(&mut z, &row, &mean, &scale);
        check(&z, &|x, m, s| or_zero(x - m, s));
        standardise_shifted(&mut z, &row, &mean, &mean, &scale);
        check(&z, &|x, m, s| or_zero(x - m - m, s));
        standardise(&mut z, &row, &mean, &scale);
        let mut single = [0.0_f32; 37];
        standardise(&mut single, &row, &mean, &scale);
        assert!(single.iter().zip(&z).all(|(s, z)| *s == *z as f32));
    }
}
