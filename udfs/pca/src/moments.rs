//! Mean and centred second moments of a set of rows, updated block by block and merged pairwise.
//!
//! The representation is (n, mean, M₂) with M₂ = Σ (x − mean)(x − mean)ᵀ, a d × d matrix of `f64`
//! whatever the precision of the rows. Two sets merge exactly as in T. F. Chan, G. H. Golub and
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

use crate::elementwise;
use crate::value::Value;
use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::{Accum, Mat, MatMut, MatRef, Par};
use rayon::prelude::*;

/// Columns of M₂ that one thread works on.
const PANEL: usize = if cfg!(test) { 4 } else { 256 };

/// Sufficient statistics of a PCA: row count, column means, centred second moments.
#[derive(Debug, Clone)]
pub(crate) struct Moments {
    n: u64,
    /// The first row, or zeros.
    shift: Vec<f64>,
    /// Relative to the shift.
    mean: Vec<f64>,
    /// Lower triangle; what lies above the diagonal is not defined.
    m2: Mat<f64>,
}

impl Moments {
    pub(crate) fn new(width: usize) -> Self {
        Self {
            n: 0,
            shift: vec![0.0; width],
            mean: vec![0.0; width],
            m2: Mat::zeros(width, width),
        }
    }

    /// Bytes that the moments of rows of this width take.
    pub(crate) fn bytes(width: usize) -> usize {
        width
            .saturating_mul(width.saturating_add(2))
            .saturating_mul(8)
    }

    pub(crate) fn n(&self) -> u64 {
        self.n
    }

    pub(crate) fn width(&self) -> usize {
        self.mean.len()
    }

    pub(crate) fn mean(&self) -> Vec<f64> {
        let both = self.shift.iter().zip(&self.mean);
        both.map(|(shift, mean)| shift + mean).collect()
    }

    /// Lower triangle of M₂.
    pub(crate) fn m2(&self) -> MatRef<'_, f64> {
        self.m2.as_ref()
    }

    pub(crate) fn size(&self) -> usize {
        Self::bytes(self.mean.len())
    }

    /// Adds one block of rows. All rows have the width of these moments.
    ///
    /// `scratch` holds the centred block between calls, `(rows + 1) × width` values. `par` is
    /// [`Par::Seq`] where the other partitions of the query keep the other cores busy.
    pub(crate) fn update<'a, T: Value>(
        &mut self,
        rows: impl Iterator<Item = &'a [T]> + Clone,
        scratch: &mut Vec<f64>,
        par: Par,
    ) {
        let width = self.mean.len();
        if self.n == 0
            && let Some(first) = rows.clone().next()
        {
            self.shift = first.iter().map(|&x| x.into()).collect();
        }
        let mut n_b = 0_u64;
        let mut mean_b = vec![0.0_f64; width];
        for row in rows.clone() {
            n_b += 1;
            elementwise::add_deviations(&mut mean_b, row, &self.shift);
        }
        if n_b == 0 {
            return;
        }
        for sum in &mut mean_b {
            *sum /= n_b as f64;
        }
        scratch.resize(n_b as usize * width, 0.0);
        for (z, row) in scratch.chunks_exact_mut(width).zip(rows) {
            elementwise::centre(z, row, &self.shift, &mean_b);
        }
        // The correction of the merge is one more row of the same product.
        let weight = self.merge_means(n_b, &mean_b);
        let columns = match weight {
            Some((root, delta)) => {
                scratch.extend(delta.iter().map(|d| d * root));
                n_b as usize + 1
            }
            None => n_b as usize,
        };
        let z = MatRef::from_column_major_slice(scratch, width, columns);
        self.add_product(z, par);
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
        let mean_b: Vec<f64> = shifts
            .zip(&other.mean)
            .map(|((theirs, ours), mean)| (theirs - ours) + mean)
            .collect();
        let weight = self.merge_means(other.n, &mean_b);
        for j in 0..self.mean.len() {
            let theirs = other.m2.col(j);
            for (i, m) in self.m2.col_mut(j).iter_mut().enumerate().skip(j) {
                *m += theirs[i];
            }
        }
        if let Some((root, delta)) = weight {
            let z: Vec<f64> = delta.iter().map(|d| d * root).collect();
            self.add_product(MatRef::from_column_major_slice(&z, z.len(), 1), Par::Seq);
        }
    }

    /// Merges count and means, and returns √(n_a n_b / n) with δ, unless one side is empty.
    fn merge_means(&mut self, n_b: u64, mean_b: &[f64]) -> Option<(f64, Vec<f64>)> {
        let (n_a, n) = (self.n, self.n + n_b);
        self.n = n;
        if n_a == 0 {
            self.mean.clear();
            self.mean.extend_from_slice(mean_b);
            return None;
        }
        let delta: Vec<f64> = mean_b.iter().zip(&self.mean).map(|(b, a)| b - a).collect();
        let share = n_b as f64 / n as f64;
        for (mean, d) in self.mean.iter_mut().zip(&delta) {
            *mean += d * share;
        }
        Some(((n_a as f64 * share).sqrt(), delta))
    }

    /// M₂ += z zᵀ, lower triangle only.
    fn add_product(&mut self, z: MatRef<'_, f64>, par: Par) {
        if par == Par::Seq {
            add_lower(self.m2.as_mut(), z);
            return;
        }
        // A number is summed from the same products in the same order, whatever the threads.
        self.m2
            .par_col_chunks_mut(PANEL)
            .enumerate()
            .for_each(|(i, panel)| {
                let (start, columns) = (i * PANEL, panel.ncols());
                let (_, panel) = panel.split_at_row_mut(start);
                let (diagonal, below) = panel.split_at_row_mut(columns);
                let z = z.subrows(start, z.nrows() - start);
                let (upper, lower) = z.split_at_row(columns);
                add_lower(diagonal, upper);
                matmul(below, Accum::Add, lower, upper.transpose(), 1.0, Par::Seq);
            });
    }

    /// The lower triangle of M₂, column after column.
    pub(crate) fn packed_m2(&self) -> Vec<f64> {
        let width = self.mean.len();
        let mut packed = Vec::with_capacity(width * (width + 1) / 2);
        for j in 0..width {
            packed.extend(self.m2.col(j).iter().skip(j));
        }
        packed
    }

    /// The shift, and the means relative to it.
    pub(crate) fn packed_means(&self) -> Vec<f64> {
        [self.shift.as_slice(), &self.mean].concat()
    }

    /// Rebuilds moments from what [`Self::packed_means`] and [`Self::packed_m2`] wrote; `None` if the
    /// lengths do not agree.
    pub(crate) fn from_packed(n: u64, means: &[f64], packed: &[f64]) -> Option<Self> {
        let width = means.len() / 2;
        let (shift, mean) = means.split_at(width);
        if mean.len() != width {
            return None;
        }
        if packed.len() != width.checked_mul(width.checked_add(1)?)? / 2 {
            return None;
        }
        let mut m2 = Mat::zeros(width, width);
        let mut rest = packed;
        for j in 0..width {
            let (column, tail) = rest.split_at_checked(width - j)?;
            for (m, &p) in m2.col_mut(j).iter_mut().skip(j).zip(column) {
                *m = p;
            }
            rest = tail;
        }
        Some(Self {
            n,
            shift: shift.to_vec(),
            mean: mean.to_vec(),
            m2,
        })
    }
}

/// `m += z zᵀ`, lower triangle only.
fn add_lower(m: MatMut<'_, f64>, z: MatRef<'_, f64>) {
    triangular::matmul(
        m,
        BlockStructure::TriangularLower,
        Accum::Add,
        z,
        BlockStructure::Rectangular,
        z.transpose(),
        BlockStructure::Rectangular,
        1.0,
        Par::Seq,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(rows: &[Vec<f64>]) -> Moments {
        let mut m = Moments::new(rows[0].len());
        m.update(rows.iter().map(Vec::as_slice), &mut vec![], Par::Seq);
        m
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

    #[test]
    fn one_block_equals_the_definition() {
        let data = rows(9, 3);
        let m = moments(&data);
        for a in 0..3 {
            let mean_a = data.iter().map(|r| r[a]).sum::<f64>() / 9.0;
            assert!((m.mean()[a] - mean_a).abs() < 1e-12);
            for b in 0..=a {
                let mean_b = data.iter().map(|r| r[b]).sum::<f64>() / 9.0;
                let expected: f64 = data.iter().map(|r| (r[a] - mean_a) * (r[b] - mean_b)).sum();
                assert!((m.m2()[(a, b)] - expected).abs() < 1e-9);
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
        merged.update(
            data[13..].iter().map(Vec::as_slice),
            &mut vec![],
            Par::rayon(0),
        );
        assert_eq!(merged.n(), 40);
        for i in 0..10 {
            assert!((merged.mean()[i] - whole.mean()[i]).abs() < 1e-11);
            for j in 0..=i {
                let (a, b) = (merged.m2()[(i, j)], whole.m2()[(i, j)]);
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
        merged.update(far[70..90].iter().map(Vec::as_slice), &mut vec![], Par::Seq);
        merged.merge(&moments(&far[90..]));
        for i in 0..5 {
            assert!((merged.mean()[i] - near.mean()[i] - 2_f64.powi(30)).abs() < 1e-6);
            for j in 0..=i {
                let (a, b) = (merged.m2()[(i, j)], near.m2()[(i, j)]);
                assert!((a - b).abs() < 1e-11, "({i}, {j}): {a} and {b}");
            }
        }
    }

    #[test]
    fn packing_round_trips() {
        let m = moments(&rows(8, 5));
        let packed = m.packed_m2();
        let back = Moments::from_packed(m.n(), &m.packed_means(), &packed).unwrap();
        assert_eq!((back.packed_m2(), back.mean()), (packed.clone(), m.mean()));
        for width in [8, 9, 11] {
            assert!(Moments::from_packed(8, &vec![0.0; width], &packed).is_none());
        }
    }
}
