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
use crate::error::{PcaError, Result};
use crate::fit::rows::Rows;
use crate::fit::standard::{STRIP, Standard, Statistics};
use crate::krylov::leading::leading;
use crate::krylov::operator::Wanted;
use crate::linalg::eigen::{Eigen, self_adjoint};
use crate::linalg::elementwise::{self, Precision};
use crate::linalg::products::product;
use crate::linalg::triangle::LowerTriangle;
use crate::model::pca::PcaModel;
use crate::options::{FitOptions, NComponents};
use crate::value::Value;
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef, Par};
use rayon::prelude::*;
use std::cmp::Ordering;

/// Multiplications above which the Gram matrix is tried in single precision: fewer in tests, which
/// could not afford the work.
const LARGE: f64 = if cfg!(test) { 3e8 } else { 2e10 };

/// Ratio of the largest to the smallest wanted eigenvalue up to which single precision selects the
/// subspace well enough.
const SPAN: f64 = 1e4;

/// Residual of eigenpairs, relative to the largest eigenvalue, in single precision: it leaves to the
/// smallest, by [`SPAN`], five digits of the subspace, more than the matrix itself holds of it.
const SINGLE: f64 = 1e-9;

/// The same in double precision: what it leaves of the subspace is squared in the variances.
const DOUBLE: f64 = 1e-12;

/// Bytes that a fit of this many rows of this width needs beside the rows: the Gram matrix, its copy
/// or Krylov space, and strips of Z.
pub(crate) fn bytes(rows: usize, width: usize) -> usize {
    let matrix = rows.saturating_mul(rows).saturating_mul(2);
    let strips = rows.saturating_mul(STRIP.min(width)).saturating_mul(2);
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
    let (eigen, single) = data.eigen(options.n_components, cancellation)?;
    // One more than a ratio seems to need: the final variances decide.
    let spare = usize::from(matches!(options.n_components, NComponents::Ratio(_)));
    let k = data.standard.select(options.n_components, &eigen.values)? + spare;
    let k = k.min(eigen.values.len());

    let projected = data.project(eigen.vectors.subcols(0, k));
    let projected = MatRef::from_row_major_slice(&projected, rows.width(), k);
    let Eigen { values, vectors } = match single {
        true => of_similar_columns(projected)?,
        false => of_any_columns(projected)?,
    };
    data.standard
        .model(&values, vectors.as_ref(), null_rows, options)
}

/// Squares of the singular values, and the left singular vectors, of columns whose lengths differ by no more
/// than the root of [`SPAN`]: by their small Gram matrix, which costs a fraction of [`of_any_columns`] and
/// one part in 10¹² of the smallest.
fn of_similar_columns(columns: MatRef<'_, f64>) -> Result<Eigen> {
    let gram = product(columns.transpose(), columns);
    let Eigen { values, vectors } = self_adjoint(gram.as_ref())?;
    let rotation = Mat::from_fn(vectors.nrows(), values.len(), |i, j| {
        vectors[(i, j)] / values[j].sqrt()
    });
    let vectors = product(columns, rotation.as_ref());
    Ok(Eigen { values, vectors })
}

/// The same of any columns, by their singular value decomposition.
fn of_any_columns(columns: MatRef<'_, f64>) -> Result<Eigen> {
    let dimension = columns.ncols();
    let svd = columns
        .thin_svd()
        .map_err(|_| PcaError::NoConvergence { dimension })?;
    Ok(Eigen {
        values: svd.S().column_vector().iter().map(|s| s * s).collect(),
        vectors: svd.U().to_owned(),
    })
}

/// The rows in an order of their own, and how they are standardised.
///
/// Sorting the rows makes the fit independent, to the last bit, of how they were partitioned.
struct Standardised<'a, T> {
    rows: Vec<&'a [T]>,
    standard: Standard,
}

impl<'a, T: Value> Standardised<'a, T> {
    fn new(rows: &'a Rows<T>, options: &FitOptions) -> Result<Self> {
        let mut sorted: Vec<&[T]> = rows.in_memory().collect();
        sorted.sort_unstable_by(|a, b| compare(a, b));
        let mut statistics = Statistics::default();
        statistics.add(&sorted, true);
        Ok(Self {
            rows: sorted,
            standard: statistics.standard(options)?,
        })
    }

    /// Eigenpairs of the Gram matrix, at least as many as are wanted, and whether they are of a matrix in
    /// single precision, and so of similar size.
    fn eigen(&self, wanted: NComponents, cancellation: &Cancellation) -> Result<(Eigen, bool)> {
        let (n, width) = (self.rows.len(), self.standard.width());
        let few = match wanted {
            NComponents::Count(k) => k <= n / 6,
            NComponents::Ratio(_) => true,
            NComponents::All => false,
        };
        let mut is_cheap = true;
        if few && (n * n) as f64 * width as f64 > LARGE {
            match self.eigen_in_single_precision(wanted, cancellation)? {
                Single::Enough(eigen) => return Ok((eigen, true)),
                Single::TooSteep { krylov } => is_cheap = krylov,
            }
        }
        let gram = self.gram::<f64>(1.0, cancellation)?.full(|a, _, _| a);
        let wanted = Wanted::new(wanted, self.standard.total);
        let leading = match is_cheap {
            true => leading(gram.as_ref(), wanted, DOUBLE, cancellation)?,
            false => None,
        };
        let eigen = leading.map_or_else(|| self_adjoint(gram.as_ref()), Ok)?;
        Ok((eigen, false))
    }

    /// The wanted eigenpairs, if the Gram matrix in single precision holds them.
    fn eigen_in_single_precision(
        &self,
        wanted: NComponents,
        cancellation: &Cancellation,
    ) -> Result<Single> {
        let values = self.rows.len() as f64 * self.standard.width() as f64;
        // In units of the root mean square, which single precision neither overflows nor loses.
        let unit = (self.standard.total / values).sqrt();
        let unit = if unit > 0.0 { unit } else { 1.0 };
        let gram = self.gram::<f32>(unit, cancellation)?.full(|a, _, _| a);
        // With a margin for what single precision makes of the sum.
        let wanted = Wanted::new(wanted, values * (1.0 + 1e-6));
        let leading = leading(gram.as_ref(), wanted, SINGLE, cancellation)?;
        let krylov = leading.is_some();
        let mut eigen = match leading {
            Some(eigen) => eigen,
            None => wanted.leading(self_adjoint(gram.as_ref())?),
        };
        eigen.values.iter_mut().for_each(|v| *v *= unit * unit);
        match (eigen.values.first(), eigen.values.last()) {
            (Some(first), Some(last)) if *last > 0.0 && *first <= last * SPAN => {
                Ok(Single::Enough(eigen))
            }
            _ => Ok(Single::TooSteep { krylov }),
        }
    }

    /// Z Z′ / unit², computed panel by panel of the columns in the precision F.
    fn gram<F: Precision>(
        &self,
        unit: f64,
        cancellation: &Cancellation,
    ) -> Result<LowerTriangle<F>> {
        let (n, width) = (self.rows.len(), self.standard.width());
        let scale: Vec<f64> = self.standard.scale.iter().map(|s| s * unit).collect();
        let mut triangle = LowerTriangle::zeros(n);
        let step = STRIP * size_of::<f64>() / size_of::<F>();
        let mut panel = vec![F::ZERO; n * step.min(width)];
        for start in (0..width).step_by(step) {
            cancellation.check()?;
            let columns = step.min(width - start);
            panel.truncate(n * columns);
            panel
                .par_chunks_mut(columns)
                .zip(&self.rows)
                .for_each(|(z, row)| self.standardise(row, &scale, start, z));
            let transposed = MatRef::from_column_major_slice(&panel, columns, n);
            triangle.add_product(transposed, true);
        }
        Ok(triangle)
    }

    /// Z′U, d × k, row-major.
    fn project(&self, u: MatRef<'_, f64>) -> Vec<f64> {
        let (n, width, k) = (self.rows.len(), self.standard.width(), u.ncols());
        // Narrower than the panels of the Gram matrix, because each thread has one of its own.
        let step = STRIP / 2;
        let mut projected = vec![0.0; width * k];
        projected
            .par_chunks_mut(step * k)
            .enumerate()
            .for_each_init(Vec::new, |strip: &mut Vec<f64>, (i, target)| {
                let len = target.len() / k;
                strip.resize(n * len, 0.0);
                for (z, row) in strip.chunks_exact_mut(len).zip(&self.rows) {
                    self.standardise(row, &self.standard.scale, i * step, z);
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

    /// Centres and scales the columns of a row from `start` on, as many as the target has.
    fn standardise<F: Precision>(&self, row: &[T], scale: &[f64], start: usize, target: &mut [F]) {
        let columns = start..start + target.len();
        let Standard { shift, mean, .. } = &self.standard;
        elementwise::standardise_shifted(
            target,
            &row[columns.clone()],
            &shift[columns.clone()],
            &mean[columns.clone()],
            &scale[columns],
        );
    }
}

/// What single precision makes of the Gram matrix.
enum Single {
    Enough(Eigen),
    /// The wanted eigenvalues differ too much in size; whether the Krylov method found them cheaply, which
    /// in double precision will be no different.
    TooSteep {
        krylov: bool,
    },
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
        let all = self_adjoint(
            data.gram::<f64>(1.0, &Cancellation::default())
                .unwrap()
                .full(|a, _, _| a)
                .as_ref(),
        )
        .unwrap();
        let degrees = rows.len() as f64 - 1.0;
        for (found, expected) in model.explained_variance().iter().zip(&all.values) {
            let error = (found * degrees / expected - 1.0).abs();
            assert!(error < tolerance, "{error}");
        }
        let sum = |k: usize| all.values.iter().take(k).sum::<f64>() / data.standard.total;
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
