//! Eigendecomposition of symmetric matrices and the sign convention of components.

use crate::error::{PcaError, Result};
use crate::krylov::Wanted;
use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::{Mat, MatRef, Par, Spec};

/// Eigenvalues in descending order, negative rounding noise set to 0, and the unit eigenvectors as
/// the columns of a matrix in the same order.
pub(crate) struct Eigen {
    pub(crate) values: Vec<f64>,
    pub(crate) vectors: Mat<f64>,
}

impl Eigen {
    /// The leading pairs that are wanted; all if there are too few.
    pub(crate) fn leading(mut self, wanted: Wanted) -> Self {
        if let Some(count) = wanted.enough(&self.values) {
            self.values.truncate(count);
            self.vectors.truncate(self.vectors.nrows(), count);
        }
        self
    }
}

/// Dimension from which a decomposition is spread over threads; below, handing over work costs more
/// than it saves, above all while the other partitions of a query keep the cores busy.
const THREADED: usize = 1024;

/// Sizes of matrices that are decomposed as they are; those of others lose digits.
const ORDINARY: std::ops::Range<f64> = 1e-6..1e6;

/// All eigenpairs of a positive semidefinite matrix of which only the lower triangle is read.
pub(crate) fn self_adjoint(matrix: MatRef<'_, f64>) -> Result<Eigen> {
    let dimension = matrix.nrows();
    let size = matrix.norm_max();
    if size.is_normal() && !ORDINARY.contains(&size) {
        // By a power of two, which rounds nothing.
        let unit = 2_f64.powi(size.log2() as i32);
        let mut eigen = self_adjoint((matrix * faer::Scale(1.0 / unit)).as_ref())?;
        eigen.values.iter_mut().for_each(|v| *v *= unit);
        return Ok(eigen);
    }
    let par = if dimension < THREADED {
        Par::Seq
    } else {
        Par::rayon(0)
    };
    let mut ascending = Diag::zeros(dimension);
    let mut vectors = Mat::zeros(dimension, dimension);
    let params = Spec::default();
    let scratch = self_adjoint_evd_scratch::<f64>(dimension, ComputeEigenvectors::Yes, par, params);
    self_adjoint_evd(
        matrix,
        ascending.as_mut(),
        Some(vectors.as_mut()),
        par,
        MemStack::new(&mut MemBuffer::new(scratch)),
        params,
    )
    .map_err(|_| PcaError::NoConvergence { dimension })?;
    let values = ascending
        .column_vector()
        .iter()
        .rev()
        .map(|v| v.max(0.0))
        .collect();
    let vectors = vectors.as_ref().reverse_cols().to_owned();
    Ok(Eigen { values, vectors })
}

/// Relative distance within which two magnitudes count as a tie.
///
/// Exact ties are common (two standardised columns always give (1, ±1)/√2) and rounding breaks them
/// differently for every partitioning; with a margin the sign is the same for all.
const TIE: f64 = 1e-9;

/// Turns each component (row of a `k × width` matrix) so that its entry of largest magnitude, the
/// first on ties, is positive.
pub(crate) fn orient(components: &mut [f64], width: usize) {
    for row in components.chunks_exact_mut(width.max(1)) {
        let largest = row.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        let leader = row.iter().find(|v| v.abs() >= largest * (1.0 - TIE));
        if leader.is_some_and(|v| *v < 0.0) {
            row.iter_mut().for_each(|v| *v = -*v);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descending_and_orthonormal() {
        let a = Mat::from_fn(5, 5, |i, j| 1.0 / (1.0 + (i + j) as f64));
        let eigen = self_adjoint(a.as_ref()).unwrap();
        assert!(eigen.values.is_sorted_by(|a, b| a >= b));
        let u = &eigen.vectors;
        let gram = u.transpose() * u;
        for i in 0..5 {
            for j in 0..5 {
                let expected = f64::from(u8::from(i == j));
                assert!((gram[(i, j)] - expected).abs() < 1e-14);
            }
        }
        let residual = &a * u.col(0) - u.col(0) * faer::Scale(eigen.values[0]);
        assert!(residual.norm_l2() < 1e-14);
    }

    #[test]
    fn units_do_not_matter() {
        let a = Mat::from_fn(40, 40, |i, j| 1.0 / (1.0 + (i + j) as f64));
        let expected = self_adjoint(a.as_ref()).unwrap();
        for unit in [1e-200, 1e-9, 1e60, 1e250] {
            let eigen = self_adjoint((&a * faer::Scale(unit)).as_ref()).unwrap();
            for (found, expected) in eigen.values.iter().zip(&expected.values) {
                assert!((found / unit - expected).abs() < 1e-14, "{unit}");
            }
        }
    }

    #[test]
    fn largest_entry_is_positive() {
        let mut c = [0.1, -0.9, 0.3, 0.5, 0.2, -0.1];
        orient(&mut c, 3);
        assert_eq!(c, [-0.1, 0.9, -0.3, 0.5, 0.2, -0.1]);
    }

    #[test]
    fn ties_go_to_the_first() {
        let s = 0.5_f64.sqrt();
        let mut c = [-s, s * (1.0 + 1e-15)];
        orient(&mut c, 2);
        assert!(c[0] > 0.0 && c[1] < 0.0);
    }
}
