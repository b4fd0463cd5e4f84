//! Eigendecomposition of symmetric matrices and the sign convention of components.

use crate::error::{PcaError, Result};
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
}
