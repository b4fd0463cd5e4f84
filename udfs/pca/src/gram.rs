//! PCA of fewer rows than columns, from the n × n Gram matrix of the rows.
//!
//! With Z the centred and scaled rows, Z Zᵀ (n × n) and Zᵀ Z (d × d) have the same non-zero
//! eigenvalues, and Zᵀ u is an eigenvector of the second for each eigenvector u of the first
//! (L. Sirovich, "Turbulence and the dynamics of coherent structures", Quarterly of Applied
//! Mathematics 45, 1987; the same step as in M. Turk and A. Pentland, "Eigenfaces for recognition",
//! Journal of Cognitive Neuroscience 3, 1991). 48 rows of 25,088 values thus need a 48 × 48 matrix
//! instead of one of 5 GB.
//!
//! Squaring halves the digits of small eigenvalues. The Gram matrix therefore only selects the
//! subspace; variances and components come from the singular value decomposition of Zᵀ U, which is
//! the Rayleigh–Ritz step: an error of ε in the subspace is one of ε² in the variances.
//!
//! That is also why a large Gram matrix is first computed in single precision, at twice the speed.
//! It is computed again in double precision if the wanted eigenvalues span more than four decades, so
//! that what single precision loses reaches no more than the seventh digit of the smallest of them.

use crate::cancellation::Cancellation;
use crate::eigen::{Eigen, orient, self_adjoint};
use crate::elementwise::{self, Precision};
use crate::error::{PcaError, Result, check_total};
use crate::krylov::{self, Wanted};
use crate::model::PcaModel;
use crate::options::{FitOptions, NComponents};
use crate::rows::Rows;
use crate::strips::Strips;
use crate::syrk::LowerTriangle;
use crate::value::Value;
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef, Par};
use rayon::prelude::*;
use std::cmp::Ordering;
use std::ops::Range;

/// Columns of the panels that Z is worked through in.
const PANEL: usize = 512;

/// Multiplications above which the Gram matrix is tried in single precision: fewer in tests, which
/// could not afford the work.
const LARGE: f64 = if cfg!(test) { 3e8 } else { 2e10 };

/// Ratio of the largest to the smallest wanted eigenvalue up to which single precision selects the
/// subspace well enough.
const SPAN: f64 = 1e4;

/// Bytes that a fit of this many rows of this width needs beside the rows: the Gram matrix, its copy
/// or Krylov space, and strips of Z.
pub(crate) fn bytes(rows: usize, width: usize) -> usize {
    let matrix = rows.saturating_mul(rows).saturating_mul(2);
    let strips = rows.saturating_mul(PANEL.min(width)).saturating_mul(2);
    matrix
        .saturating_add(strips)
        .saturating_mul(size_of::<f64>())
}

/// Fits a model to buffered rows, all in memory. There are at least two.
pub(crate) fn fit<T: Value>(
    rows: &Rows<T>,
    null_rows: u64,
    options: &FitOptions,
    cancellation: &Cancellation,
) -> Result<PcaModel> {
    let data = Standardised::new(rows, options)?;
    let (n, width) = (data.rows.len(), rows.width());
    let degrees = n as f64 - 1.0;
    let total = data.total / degrees;
    let eigen = data.eigen(options.n_components, cancellation)?;
    let select = |squares: &[f64]| {
        let variances: Vec<f64> = squares.iter().map(|v| v / degrees).collect();
        let available = n.min(width);
        options
            .n_components
            .select(&variances, total, available, n as u64, width)
    };
    // One more than a ratio seems to need: the final variances decide.
    let spare = usize::from(matches!(options.n_components, NComponents::Ratio(_)));
    let k = (select(&eigen.values)? + spare).min(eigen.values.len());

    let projected = data.project(eigen.vectors.subcols(0, k));
    let svd = MatRef::from_row_major_slice(&projected, width, k)
        .thin_svd()
        .map_err(|_| PcaError::NoConvergence { dimension: k })?;
    drop(projected);
    let mut squares: Vec<f64> = svd.S().column_vector().iter().map(|s| s * s).collect();
    let k = select(&squares)?.min(k);
    squares.truncate(k);
    let mut components = Vec::with_capacity(k * width);
    for column in svd.U().subcols(0, k).col_iter() {
        components.extend(column.iter());
    }
    orient(&mut components, width);
    let variances = squares.iter().map(|s| s / degrees).collect();
    let means = data.shift.iter().zip(&data.mean);
    let mean = means.map(|(shift, mean)| shift + mean).collect();
    PcaModel::try_new(mean, data.scale, components, variances, total, n as u64)
        .map(|m| m.with_null_rows(null_rows).with_options(options))
}

/// The rows in an order of their own, with the statistics of their columns.
///
/// Sorting the rows makes the fit independent, to the last bit, of how they were partitioned.
struct Standardised<'a, T> {
    rows: Vec<&'a [T]>,
    /// The first row: what is left of a mean after rounding would look like a component where means are
    /// much larger than deviations.
    shift: Vec<f64>,
    /// Relative to the shift.
    mean: Vec<f64>,
    scale: Vec<f64>,
    /// Sum of the squares of Z, which is the sum of all eigenvalues.
    total: f64,
}

impl<'a, T: Value> Standardised<'a, T> {
    fn new(rows: &'a Rows<T>, options: &FitOptions) -> Result<Self> {
        let mut sorted: Vec<&[T]> = rows.in_memory().collect();
        sorted.sort_unstable_by(|a, b| compare(a, b));
        let (count, width) = (sorted.len() as u64, rows.width());
        let first = sorted.first().copied().unwrap_or_default();
        let shift: Vec<f64> = first.iter().map(|&x| x.into()).collect();
        let mut mean = vec![0.0_f64; width];
        let mut squares = vec![0.0_f64; width];
        mean.par_chunks_mut(PANEL)
            .zip(squares.par_chunks_mut(PANEL))
            .zip(shift.par_chunks(PANEL))
            .enumerate()
            .for_each(|(strip, ((mean, squares), shift))| {
                let start = strip * PANEL;
                let columns = || {
                    sorted
                        .iter()
                        .filter_map(|row| row.get(start..start + strip_len(width, start)))
                };
                for row in columns() {
                    elementwise::add_deviations(mean, row, shift);
                }
                mean.iter_mut().for_each(|sum| *sum /= count as f64);
                for row in columns() {
                    elementwise::add_squares(squares, row, shift, mean);
                }
            });
        if let Some(column) = squares.iter().position(|s| !s.is_finite()) {
            return Err(PcaError::Overflow { column });
        }
        let scale: Vec<f64> = squares
            .iter()
            .zip(shift.iter().zip(&mean))
            .map(|(&s, (shift, mean))| options.column_scale(count, shift + mean, s))
            .collect();
        let standardised = squares
            .iter()
            .zip(&scale)
            .filter(|(_, scale)| **scale != 0.0);
        let total = standardised
            .map(|(squares, scale)| squares / (scale * scale))
            .sum();
        check_total(total)?;
        Ok(Self {
            rows: sorted,
            shift,
            mean,
            scale,
            total,
        })
    }

    /// Eigenpairs of the Gram matrix, at least as many as are wanted.
    fn eigen(&self, wanted: NComponents, cancellation: &Cancellation) -> Result<Eigen> {
        let (n, width) = (self.rows.len(), self.mean.len());
        let few = match wanted {
            NComponents::Count(k) => k * 6 <= n,
            NComponents::Ratio(_) => true,
        };
        if few && (n * n) as f64 * width as f64 > LARGE {
            let mut triangle = LowerTriangle::zeros(n);
            // In units of the root mean square, which single precision neither overflows nor loses.
            let unit = (self.total / (n * width) as f64).sqrt();
            if unit > 0.0 {
                self.for_each_panel(unit, cancellation, |z| triangle.add_single_product(z))?;
            }
            let gram = triangle.scaled(&vec![1.0; n], 1.0);
            drop(triangle);
            // With a margin for what single precision makes of the sum.
            let margin = Wanted::new(wanted, (n * width) as f64 * (1.0 + 1e-6));
            let leading = krylov::leading(gram.as_ref(), margin, 1e-9, cancellation)?;
            // Whether it is cheap to find the few; in double precision it will be no different.
            let cheap = leading.is_some();
            let mut eigen = match leading {
                Some(eigen) => eigen,
                None => self_adjoint(gram.as_ref())?.leading(margin),
            };
            eigen.values.iter_mut().for_each(|v| *v *= unit * unit);
            if let (Some(first), Some(last)) = (eigen.values.first(), eigen.values.last())
                && *first <= last * SPAN
            {
                return Ok(eigen);
            }
            drop(gram);
            if !cheap {
                return self_adjoint(self.gram(cancellation)?.as_ref());
            }
        }
        let gram = self.gram(cancellation)?;
        let wanted = Wanted::new(wanted, self.total);
        match krylov::leading(gram.as_ref(), wanted, 1e-12, cancellation)? {
            Some(eigen) => Ok(eigen),
            None => self_adjoint(gram.as_ref()),
        }
    }

    /// Z Zᵀ in double precision.
    fn gram(&self, cancellation: &Cancellation) -> Result<Mat<f64>> {
        let n = self.rows.len();
        let mut triangle = LowerTriangle::zeros(n);
        self.for_each_panel(1.0, cancellation, |z| triangle.add_product(z, true))?;
        Ok(triangle.scaled(&vec![1.0; n], 1.0))
    }

    /// Calls `f` with the transposes of panels of Z / unit, each all rows of a range of columns.
    fn for_each_panel<F: Precision, const N: usize>(
        &self,
        unit: f64,
        cancellation: &Cancellation,
        mut f: impl FnMut(&Strips<F, N>),
    ) -> Result<()> {
        let (n, width) = (self.rows.len(), self.mean.len());
        let scale: Vec<f64> = self.scale.iter().map(|scale| scale * unit).collect();
        let mut strips = Strips::empty();
        for start in (0..width).step_by(PANEL) {
            let columns = start..width.min(start + PANEL);
            strips.fill_transposed(n, columns.len(), |i, target| {
                let row = self.rows.get(i).copied().unwrap_or_default();
                self.standardise(row, &scale, columns.clone(), target);
            });
            cancellation.check()?;
            f(&strips);
        }
        Ok(())
    }

    /// Zᵀ U, d × k, row-major.
    fn project(&self, u: MatRef<'_, f64>) -> Vec<f64> {
        let (n, width, k) = (self.rows.len(), self.mean.len(), u.ncols());
        // Narrower than the strips of the Gram matrix, because each thread has one of its own.
        let step = PANEL / 2;
        let mut projected = vec![0.0; width * k];
        projected
            .par_chunks_mut(step * k)
            .enumerate()
            .for_each_init(Vec::new, |strip: &mut Vec<f64>, (i, target)| {
                let (start, len) = (i * step, target.len() / k);
                strip.resize(n * len, 0.0);
                for (z, row) in strip.chunks_exact_mut(len).zip(&self.rows) {
                    self.standardise(row, &self.scale, start..start + len, z);
                }
                matmul(
                    MatMut::from_row_major_slice_mut(target, len, k),
                    Accum::Replace,
                    MatRef::from_column_major_slice(strip, len, n),
                    u,
                    1.0,
                    Par::Seq,
                );
            });
        projected
    }

    /// Centres and scales some columns of a row; a scale of 0 (Spark's constant column) gives 0.
    fn standardise<F: Precision>(
        &self,
        row: &[T],
        scale: &[f64],
        columns: Range<usize>,
        target: &mut [F],
    ) {
        let slices = (
            row.get(columns.clone()),
            self.shift.get(columns.clone()),
            self.mean.get(columns.clone()),
            scale.get(columns),
        );
        if let (Some(row), Some(shift), Some(mean), Some(scale)) = slices {
            elementwise::standardise_shifted(target, row, shift, mean, scale);
        }
    }
}

/// Columns of the strip that starts here.
fn strip_len(width: usize, start: usize) -> usize {
    PANEL.min(width - start)
}

fn compare<T: Value>(a: &[T], b: &[T]) -> Ordering {
    a.iter()
        .zip(b)
        .map(|(&a, &b)| Into::<f64>::into(a).total_cmp(&b.into()))
        .find(|o| o.is_ne())
        .unwrap_or(Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows whose variances along the directions of a cosine basis are given.
    fn rows(n: usize, d: usize, deviations: &[f64]) -> Rows<f64> {
        let mut rows = Rows::new(d);
        let basis: Vec<Vec<f64>> = (0..deviations.len())
            .map(|c| {
                let angle = std::f64::consts::PI / d as f64 * c as f64;
                (0..d).map(|j| (angle * (j as f64 + 0.5)).cos()).collect()
            })
            .collect();
        let mut state = 1_u64;
        for _ in 0..n {
            let scores: Vec<f64> = deviations
                .iter()
                .map(|s| {
                    // xorshift64*
                    state ^= state >> 12;
                    state ^= state << 25;
                    state ^= state >> 27;
                    let bits = state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11;
                    s * (bits as f64 / (1_u64 << 53) as f64 - 0.5)
                })
                .collect();
            let mut row = vec![0.0; d];
            for (score, vector) in scores.iter().zip(&basis) {
                for (x, v) in row.iter_mut().zip(vector) {
                    *x += score * v;
                }
            }
            rows.push(&row);
        }
        rows
    }

    /// The components that the full decomposition of the covariance matrix gives.
    fn check(rows: &Rows<f64>, n_components: NComponents, tolerance: f64) -> usize {
        let options = FitOptions::new(n_components).with_scale(false);
        let model = fit(rows, 0, &options, &Cancellation::default()).unwrap();
        let data = Standardised::new(rows, &options).unwrap();
        let all = self_adjoint(data.gram(&Cancellation::default()).unwrap().as_ref()).unwrap();
        let degrees = rows.len() as f64 - 1.0;
        for (found, expected) in model.explained_variance().iter().zip(&all.values) {
            let error = (found * degrees / expected - 1.0).abs();
            assert!(error < tolerance, "{error}");
        }
        let sum = |k: usize| all.values.iter().take(k).sum::<f64>() / data.total;
        let k = model.n_components();
        if let NComponents::Ratio(ratio) = n_components {
            assert!(sum(k) > ratio && sum(k - 1) <= ratio, "{k}");
        }
        k
    }

    #[test]
    fn single_precision_selects_few_components_or_many() {
        // 520² × 1,200 multiplications are more than a test takes for large.
        let slow: Vec<f64> = (1..400).map(|i| f64::from(i).powf(-0.3)).collect();
        let rows = rows(520, 1200, &slow);
        assert_eq!(check(&rows, NComponents::Count(20), 1e-9), 20);
        // More than a quarter of the rows: all eigenpairs, of which the leading ones are kept.
        assert!(check(&rows, NComponents::Ratio(0.9), 1e-9) > 130);
        assert!(check(&rows, NComponents::Ratio(0.2), 1e-9) < 60);
    }

    #[test]
    fn single_precision_neither_overflows_nor_underflows() {
        let slow: Vec<f64> = (1..400).map(|i| f64::from(i).powf(-0.3)).collect();
        let ordinary = rows(520, 1200, &slow);
        for unit in [1e-30, 1e30] {
            let mut scaled = Rows::new(1200);
            for row in ordinary.in_memory() {
                scaled.push(&row.iter().map(|x| x * unit).collect::<Vec<f64>>());
            }
            let options = FitOptions::new(NComponents::Count(20)).with_scale(false);
            let expected = fit(&ordinary, 0, &options, &Cancellation::default()).unwrap();
            let model = fit(&scaled, 0, &options, &Cancellation::default()).unwrap();
            let variances = model.explained_variance().iter();
            for (found, expected) in variances.zip(expected.explained_variance()) {
                let error = found / (unit * unit) / expected - 1.0;
                assert!(error.abs() < 1e-8, "{unit}: {error}");
            }
        }
        let mut constant = Rows::new(1200);
        (0..520).for_each(|_| constant.push(&[3.0; 1200]));
        let model = fit(
            &constant,
            0,
            &FitOptions::new(NComponents::Count(2)),
            &Cancellation::default(),
        )
        .unwrap();
        assert_eq!(model.explained_variance(), [0.0; 2]);
    }

    #[test]
    fn small_eigenvalues_are_found_in_double_precision() {
        // Variances over nine decades, which single precision cannot hold.
        let steep: Vec<f64> = (0..40).map(|i| 10_f64.powf(f64::from(i) * -0.12)).collect();
        let rows = rows(520, 1200, &steep);
        // What the Gram matrix itself holds of the smallest.
        assert_eq!(check(&rows, NComponents::Count(38), 1e-6), 38);
    }
}
