//! Mean and centred second moments of a set of rows, updated block by block and merged pairwise.
//!
//! The representation is (n, mean, M₂) with M₂ = Σ (x − mean)(x − mean)ᵀ, a d × d matrix of `f64`,
//! of which one triangle is kept, whatever the precision of the rows. Two sets merge exactly as in T. F. Chan, G. H. Golub and
//! R. J. LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances"
//! (Stanford STAN-CS-79-773, 1979): with δ = mean_b − mean_a,
//!
//! ```text
//! mean = mean_a + δ · n_b / n
//! M₂   = M₂_a + M₂_b + δ δᵀ · n_a n_b / n
//! ```
//!
//! Centring each block by its own mean before squaring avoids the cancellation of the textbook
//! formula Σxxᵀ − n·mean·meanᵀ. Means are kept relative to the first row seen, since δ would otherwise
//! lose as many digits as the means are larger than the deviations.

use crate::error::Result;
use crate::fit::standard::Standard;
use crate::linalg::elementwise;
use crate::linalg::triangle::LowerTriangle;
use crate::options::FitOptions;
use crate::value::Value;
use faer::{Mat, MatRef};

/// Sufficient statistics of a PCA: row count, column means, centred second moments.
#[derive(Debug, Clone)]
pub(crate) struct Moments {
    n: u64,
    /// The first row, or zeros.
    shift: Vec<f64>,
    /// Relative to the shift.
    mean: Vec<f64>,
    m2: LowerTriangle,
}

impl Moments {
    pub(crate) fn new(width: usize) -> Self {
        Self {
            n: 0,
            shift: vec![0.0; width],
            mean: vec![0.0; width],
            m2: LowerTriangle::zeros(width),
        }
    }

    /// Bytes that the moments of rows of this width take: about 4 width².
    pub(crate) fn bytes(width: usize) -> usize {
        LowerTriangle::<f64>::bytes(width)
            .saturating_add(width.saturating_mul(2 * size_of::<f64>()))
    }

    pub(crate) fn n(&self) -> u64 {
        self.n
    }

    /// The standardisation that the options ask for.
    pub(crate) fn standard(&self, options: &FitOptions) -> Result<Standard> {
        let (shift, mean) = (self.shift.clone(), self.mean.clone());
        Standard::try_new(self.n, shift, mean, &self.m2.diagonal(), options)
    }

    /// Z′Z of the standardised rows.
    pub(crate) fn products(&self, scale: &[f64]) -> Mat<f64> {
        let invert = |s: &f64| if *s == 0.0 { 0.0 } else { 1.0 / s };
        let factor: Vec<f64> = scale.iter().map(invert).collect();
        // One after the other, as the product of both may be out of range.
        self.m2.full(|m, i, j| m * factor[i] * factor[j])
    }

    pub(crate) fn size(&self) -> usize {
        Self::bytes(self.mean.len())
    }

    /// Adds one block of rows. All rows have the width of these moments.
    ///
    /// `scratch` holds the centred block between calls, one row more than these. It is not `threaded`
    /// where the other partitions of the query keep the other cores busy.
    pub(crate) fn update<T: Value>(
        &mut self,
        rows: &[&[T]],
        scratch: &mut Vec<f64>,
        threaded: bool,
    ) {
        let Some(first) = rows.first() else {
            return;
        };
        if self.n == 0 {
            self.shift = first.iter().map(|&x| x.into()).collect();
        }
        let width = self.mean.len();
        let mut mean = vec![0.0_f64; width];
        for row in rows {
            elementwise::add_deviations(&mut mean, row, &self.shift);
        }
        for sum in &mut mean {
            *sum /= rows.len() as f64;
        }
        // The correction of the merge is one more row of the same product.
        let correction = self.merge_means(rows.len() as u64, &mean);
        scratch.resize(rows.len() * width, 0.0);
        for (z, row) in scratch.chunks_exact_mut(width).zip(rows) {
            elementwise::centre(z, row, &self.shift, &mean);
        }
        scratch.extend(correction.iter().flatten());
        let z = MatRef::from_row_major_slice(scratch, scratch.len() / width, width);
        self.m2.add_product(z, threaded);
    }

    /// Adds the moments of another set of rows of the same width.
    pub(crate) fn merge(&mut self, other: &Self) {
        if other.n == 0 {
            return;
        }
        if self.n == 0 {
            self.shift.clone_from(&other.shift);
        }
        let shifts = other.shift.iter().zip(&self.shift);
        let mean: Vec<f64> = shifts
            .zip(&other.mean)
            .map(|((theirs, ours), mean)| (theirs - ours) + mean)
            .collect();
        let correction = self.merge_means(other.n, &mean);
        self.m2.add(&other.m2);
        if let Some(correction) = correction {
            let row = MatRef::from_row_major_slice(&correction, 1, correction.len());
            self.m2.add_product(row, false);
        }
    }

    /// Merges count and means, and returns √(n_a n_b / n) δ, unless one side is empty.
    fn merge_means(&mut self, n_b: u64, mean_b: &[f64]) -> Option<Vec<f64>> {
        let (n_a, n) = (self.n, self.n + n_b);
        self.n = n;
        if n_a == 0 {
            self.mean.clear();
            self.mean.extend_from_slice(mean_b);
            return None;
        }
        let share = n_b as f64 / n as f64;
        let root = (n_a as f64 * share).sqrt();
        let means = self.mean.iter_mut().zip(mean_b);
        let correction = means.map(|(mean, b)| {
            let delta = b - *mean;
            *mean += delta * share;
            delta * root
        });
        Some(correction.collect())
    }

    /// The numbers of M₂.
    pub(crate) fn packed_m2(&self) -> Vec<f64> {
        self.m2.to_vec()
    }

    /// The shift, and the means relative to it.
    pub(crate) fn packed_means(&self) -> Vec<f64> {
        [self.shift.as_slice(), &self.mean].concat()
    }

    /// Rebuilds moments from what [`Self::packed_means`] and [`Self::packed_m2`] wrote; `None` if the
    /// lengths do not agree.
    pub(crate) fn from_packed(n: u64, width: usize, means: &[f64], packed: &[f64]) -> Option<Self> {
        let (shift, mean) = means.split_at_checked(width)?;
        if mean.len() != width {
            return None;
        }
        Some(Self {
            n,
            shift: shift.to_vec(),
            mean: mean.to_vec(),
            m2: LowerTriangle::from_slice(width, packed)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(rows: &[Vec<f64>]) -> Moments {
        let mut m = Moments::new(rows[0].len());
        update(&mut m, rows, false);
        m
    }

    fn update(moments: &mut Moments, rows: &[Vec<f64>], threaded: bool) {
        let rows: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
        moments.update(&rows, &mut vec![], threaded);
    }

    fn m2(moments: &Moments) -> Mat<f64> {
        moments.products(&vec![1.0; moments.mean.len()])
    }

    fn rows(n: usize, width: usize) -> Vec<Vec<f64>> {
        (0..n)
            .map(|i| {
                (0..width)
                    .map(|j| 1e3 + ((i * 7 + j * 13) % 17) as f64 + ((i * j) % 5) as f64)
                    .collect()
            })
            .collect()
    }

    fn mean(moments: &Moments) -> Vec<f64> {
        let both = moments.shift.iter().zip(&moments.mean);
        both.map(|(shift, mean)| shift + mean).collect()
    }

    #[test]
    fn one_block_equals_the_definition() {
        let data = rows(9, 3);
        let m = moments(&data);
        for a in 0..3 {
            let mean_a = data.iter().map(|r| r[a]).sum::<f64>() / 9.0;
            assert!((mean(&m)[a] - mean_a).abs() < 1e-12);
            for b in 0..=a {
                let mean_b = data.iter().map(|r| r[b]).sum::<f64>() / 9.0;
                let expected: f64 = data.iter().map(|r| (r[a] - mean_a) * (r[b] - mean_b)).sum();
                assert!((m2(&m)[(a, b)] - expected).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn merging_equals_one_pass() {
        let data = rows(40, 10);
        let whole = moments(&data);
        let mut merged = moments(&data[..1]);
        merged.merge(&moments(&data[1..13]));
        merged.merge(&Moments::new(10));
        update(&mut merged, &data[13..], true);
        assert_eq!(merged.n(), 40);
        for i in 0..10 {
            assert!((mean(&merged)[i] - mean(&whole)[i]).abs() < 1e-11);
            for j in 0..=i {
                let (a, b) = (m2(&merged)[(i, j)], m2(&whole)[(i, j)]);
                assert!((a - b).abs() < 1e-9, "({i}, {j}): {a} and {b}");
            }
        }
    }

    #[test]
    fn large_means_cost_no_digits() {
        // The same deviations around 0 and around 2³⁰, where they are still exact.
        let deviations: Vec<Vec<f64>> = rows(200, 5)
            .iter()
            .map(|row| row.iter().map(|x| (x - 1e3) / 8.0).collect())
            .collect();
        let far: Vec<Vec<f64>> = deviations
            .iter()
            .map(|row| row.iter().map(|x| x + 2_f64.powi(30)).collect())
            .collect();
        let near = moments(&deviations);
        let mut merged = moments(&far[..70]);
        update(&mut merged, &far[70..90], false);
        merged.merge(&moments(&far[90..]));
        for i in 0..5 {
            assert!((mean(&merged)[i] - mean(&near)[i] - 2_f64.powi(30)).abs() < 1e-6);
            for j in 0..=i {
                let (a, b) = (m2(&merged)[(i, j)], m2(&near)[(i, j)]);
                assert!((a - b).abs() < 1e-11, "({i}, {j}): {a} and {b}");
            }
        }
    }

    #[test]
    fn packing_round_trips() {
        let m = moments(&rows(8, 5));
        let packed = m.packed_m2();
        let back = Moments::from_packed(m.n(), 5, &m.packed_means(), &packed).unwrap();
        assert_eq!((back.packed_m2(), mean(&back)), (packed.clone(), mean(&m)));
        for width in [9, 11, 18, 3] {
            assert!(Moments::from_packed(8, 5, &vec![0.0; width], &packed).is_none());
        }
    }
}
