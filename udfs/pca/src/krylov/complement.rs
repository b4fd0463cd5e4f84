//! A look at what a Krylov space may have missed.
//!
//! Small residuals prove that pairs are eigenpairs, not that they are the leading ones. A space grown
//! from a block of b columns holds no more than b directions of an eigenspace of higher dimension, as
//! data of symmetric design have it. So a few vectors that the space knows nothing of are started from
//! outside of the pairs found: what they see there, to be missed no more, has to be smaller than the
//! smallest of these.

use crate::error::Result;
use crate::krylov::operator::Operator;
use crate::krylov::orthogonal::{arbitrary, next_block, orthogonalise};
use crate::linalg::eigen::self_adjoint;
use crate::linalg::products::product;
use faer::{Mat, MatRef};

/// Vectors that look.
const VECTORS: usize = 16;

/// Orthonormal vectors, orthogonal to `found`, along which the matrix is larger than `least` by more
/// than rounding; `None` if `steps` steps of the block Lanczos method from arbitrary vectors see none.
///
/// `found` are eigenvectors in columns, `largest` the largest eigenvalue; `seed` differs from look to
/// look.
pub(crate) fn missed(
    operator: &mut impl Operator,
    found: MatRef<'_, f64>,
    (largest, least): (f64, f64),
    steps: usize,
    seed: usize,
) -> Result<Option<Mat<f64>>> {
    let (n, count) = (found.nrows(), found.ncols());
    let vectors = VECTORS.min(n - count);
    if vectors == 0 {
        return Ok(None);
    }
    let capacity = (steps * vectors).min(n - count);
    // The pairs found first, then the vectors that look.
    let mut basis = Mat::zeros(n, count + capacity);
    basis.subcols_mut(0, count).copy_from(found);
    let mut images = Mat::zeros(n, capacity);
    let mut used = 0;
    let mut next = arbitrary(n, vectors, seed);
    while used < capacity {
        let known = basis.subcols(0, count + used);
        orthogonalise(&mut next, known, 0);
        let block = next_block(&next, known, largest, vectors.min(capacity - used));
        let added = block.ncols();
        basis.subcols_mut(count + used, added).copy_from(&block);
        next = operator.apply(block.as_ref())?;
        images.subcols_mut(used, added).copy_from(&next);
        used += added;
    }
    let seen = basis.subcols(count, used);
    let projected = product(seen.transpose(), images.subcols(0, used));
    let ritz = self_adjoint(projected.as_ref())?;
    let rounding = 1e-8 * least + 1e-13 * largest;
    if ritz
        .values
        .first()
        .is_none_or(|top| *top <= least + rounding)
    {
        return Ok(None);
    }
    Ok(Some(product(seen, ritz.vectors.subcols(0, vectors))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_seen_and_nothing_else() {
        // Eigenvalues 5, 5, 5, 5, 1, 1, … along the axes, of which three fives have been found.
        let matrix = Mat::from_fn(60, 60, |i, j| match (i == j, i < 4) {
            (true, true) => 5.0,
            (true, false) => 1.0,
            _ => 0.0,
        });
        let axes = Mat::<f64>::identity(60, 60);
        let mut operator = matrix.as_ref();
        let look = |operator: &mut MatRef<'_, f64>, count, least| {
            missed(operator, axes.subcols(0, count), (5.0, least), 2, 7).unwrap()
        };
        let block = look(&mut operator, 3, 5.0);
        assert!(block.is_none(), "a tie is not larger");
        let block = look(&mut operator, 3, 1.0).unwrap();
        assert!((block[(3, 0)].abs() - 1.0).abs() < 1e-12);
        let gram = block.transpose() * &block;
        assert!((gram - Mat::<f64>::identity(16, 16)).norm_max() < 1e-13);
        assert!(look(&mut operator, 4, 1.0).is_none());
        assert!(look(&mut operator, 60, 1.0).is_none());
    }
}
