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
//! the Rayleigh–Ritz step and restores them.

use crate::eigen::{orient, self_adjoint};
use crate::error::{PcaError, Result};
use crate::model::PcaModel;
use crate::options::FitOptions;
use crate::rows::Rows;
use crate::value::Value;
use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::{Accum, Mat, MatRef, Par};
use std::cmp::Ordering;
use std::ops::Range;

/// Bytes of the strip of Z that is held at a time.
const STRIP_BYTES: usize = 8 << 20;

/// Bytes that a fit of this many rows needs beside the rows: the Gram matrix, its eigenvectors and
/// the workspace of the decomposition.
pub(crate) fn bytes(rows: usize) -> usize {
    rows.saturating_mul(rows)
        .saturating_mul(3 * size_of::<f64>())
}

/// Fits a model to buffered rows. There are at least two.
pub(crate) fn fit<T: Value>(
    rows: &Rows<T>,
    null_rows: u64,
    options: &FitOptions,
) -> Result<PcaModel> {
    let data = Standardised::new(rows, options)?;
    let (n, width) = (data.rows.len(), rows.width());
    let degrees = n as f64 - 1.0;

    let mut gram = Mat::<f64>::zeros(n, n);
    data.for_each_strip(|_, z| {
        triangular::matmul(
            gram.as_mut(),
            BlockStructure::TriangularLower,
            Accum::Add,
            z,
            BlockStructure::Rectangular,
            z.transpose(),
            BlockStructure::Rectangular,
            1.0,
            Par::rayon(0),
        );
    });
    let total = gram.diagonal().column_vector().iter().sum::<f64>() / degrees;
    let eigen = self_adjoint(gram.as_ref())?;
    drop(gram);
    let variances: Vec<f64> = eigen.values.iter().map(|v| v / degrees).collect();
    let k = options
        .n_components
        .select(&variances, total, n.min(width), n as u64, width)?;

    let u = eigen.vectors.subcols(0, k);
    let mut projected = Mat::<f64>::zeros(width, k);
    data.for_each_strip(|columns, z| {
        matmul(
            projected.as_mut().subrows_mut(columns.start, columns.len()),
            Accum::Replace,
            z.transpose(),
            u,
            1.0,
            Par::rayon(0),
        );
    });
    let svd = projected
        .thin_svd()
        .map_err(|_| PcaError::NoConvergence { dimension: k })?;
    let mut components = Vec::with_capacity(k * width);
    for column in svd.U().subcols(0, k).col_iter() {
        components.extend(column.iter());
    }
    orient(&mut components, width);
    let variances = svd
        .S()
        .column_vector()
        .iter()
        .map(|s| s * s / degrees)
        .collect();
    PcaModel::try_new(
        data.mean, data.scale, components, variances, total, n as u64,
    )
    .map(|m| m.with_null_rows(null_rows).with_options(options))
}

/// The rows in an order of their own, with the statistics of their columns.
///
/// Sorting the rows makes the fit independent, to the last bit, of how they were partitioned.
struct Standardised<'a, T> {
    rows: Vec<&'a [T]>,
    mean: Vec<f64>,
    scale: Vec<f64>,
}

impl<'a, T: Value> Standardised<'a, T> {
    fn new(rows: &'a Rows<T>, options: &FitOptions) -> Result<Self> {
        let mut sorted: Vec<&[T]> = rows.iter().collect();
        sorted.sort_unstable_by(|a, b| compare(a, b));
        let n = sorted.len() as f64;
        let mut mean = vec![0.0_f64; rows.width()];
        for row in &sorted {
            for (sum, &x) in mean.iter_mut().zip(*row) {
                *sum += x.into();
            }
        }
        mean.iter_mut().for_each(|sum| *sum /= n);
        let mut squares = vec![0.0_f64; rows.width()];
        for row in &sorted {
            for ((sum, &x), m) in squares.iter_mut().zip(*row).zip(&mean) {
                let deviation = x.into() - m;
                *sum += deviation * deviation;
            }
        }
        if let Some(column) = squares.iter().position(|s| !s.is_finite()) {
            return Err(PcaError::Overflow { column });
        }
        let scale = squares
            .iter()
            .zip(&mean)
            .map(|(&s, &m)| options.column_scale(sorted.len() as u64, m, s))
            .collect();
        Ok(Self {
            rows: sorted,
            mean,
            scale,
        })
    }

    /// Calls `f` with strips of Z: a range of columns, and those columns of all rows.
    fn for_each_strip(&self, mut f: impl FnMut(Range<usize>, MatRef<'_, f64>)) {
        let (n, width) = (self.rows.len(), self.mean.len());
        let step = (STRIP_BYTES / size_of::<f64>() / n.max(1)).clamp(64, width.max(64));
        let mut strip = Vec::with_capacity(n * step.min(width));
        for start in (0..width).step_by(step) {
            let columns = start..(start + step).min(width);
            strip.clear();
            for row in &self.rows {
                let values = row.iter().zip(&self.mean).zip(&self.scale);
                strip.extend(
                    values
                        .skip(columns.start)
                        .take(columns.len())
                        .map(|((&x, m), s)| standardise(x.into(), *m, *s)),
                );
            }
            f(
                columns.clone(),
                MatRef::from_row_major_slice(&strip, n, columns.len()),
            );
        }
    }
}

/// Centres and scales one value; a scale of 0 (Spark's constant column) gives 0.
pub(crate) fn standardise(x: f64, mean: f64, scale: f64) -> f64 {
    if scale == 0.0 {
        0.0
    } else {
        (x - mean) / scale
    }
}

fn compare<T: Value>(a: &[T], b: &[T]) -> Ordering {
    a.iter()
        .zip(b)
        .map(|(&a, &b)| Into::<f64>::into(a).total_cmp(&b.into()))
        .find(|o| o.is_ne())
        .unwrap_or(Ordering::Equal)
}
