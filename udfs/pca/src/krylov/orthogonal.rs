//! Orthonormal blocks of vectors, by which a Krylov space grows.

use crate::linalg::products::product;
use faer::linalg::matmul::matmul;
use faer::linalg::triangular_solve::solve_lower_triangular_in_place;
use faer::{Accum, Mat, MatRef, Par, Side};

/// Removes the parts of `block` along the orthonormal `basis`, and returns them.
fn orthogonalise_once(block: &mut Mat<f64>, basis: MatRef<'_, f64>) -> Mat<f64> {
    let parts = product(basis.transpose(), block.as_ref());
    *block -= product(basis, parts.as_ref());
    parts
}

/// As [`orthogonalise_once`], where nearly all there is lies along the last `recent` vectors of the basis:
/// A times a block of a Krylov space is, but for rounding, a combination of that block, the one before it
/// and what is new (unless the space has just started anew). Those go first, since removing what is
/// large leaves rounding errors along all others.
pub(crate) fn orthogonalise(
    block: &mut Mat<f64>,
    basis: MatRef<'_, f64>,
    recent: usize,
) -> Mat<f64> {
    let (used, recent) = (basis.ncols(), recent.min(basis.ncols()));
    let first = orthogonalise_once(block, basis.subcols(used - recent, recent));
    let mut parts = orthogonalise_once(block, basis);
    let mut last = parts.subrows_mut(used - recent, recent);
    last += &first;
    parts
}

/// An orthonormal block of so many columns that spans `next`, or as much of it as there is room for
/// beside the basis, and is orthogonal to the basis, as `next` is already up to rounding.
pub(crate) fn next_block(
    next: &Mat<f64>,
    basis: MatRef<'_, f64>,
    size: f64,
    columns: usize,
) -> Mat<f64> {
    let independent = |mut block: Mat<f64>| {
        block.truncate(next.nrows(), columns);
        // Making the columns longer has made what is left along the basis longer, too.
        orthogonalise_once(&mut block, basis);
        cholesky_qr(&block, 0.0)
    };
    cholesky_qr(next, size * NOISE)
        .and_then(independent)
        .unwrap_or_else(|| next_block_of_dependent(next, basis, size, columns))
}

/// [`next_block`] of any `next`.
///
/// Once the space holds an invariant subspace, columns of `next` are rounding noise, much of it along
/// the basis. Those are replaced by arbitrary directions, with which the space goes on growing.
fn next_block_of_dependent(
    next: &Mat<f64>,
    basis: MatRef<'_, f64>,
    size: f64,
    columns: usize,
) -> Mat<f64> {
    let qr = next.qr();
    let mut block = qr.compute_thin_Q();
    block.truncate(next.nrows(), columns);
    let spare = arbitrary(next.nrows(), columns, basis.ncols());
    let pivots = qr.R().diagonal().column_vector().to_owned();
    for (j, pivot) in pivots.iter().enumerate().take(columns) {
        if pivot.abs() <= NOISE * size {
            block.col_mut(j).copy_from(spare.col(j));
        }
    }
    orthogonalise_once(&mut block, basis);
    orthogonalise_once(&mut block, basis);
    let mut block = block.qr().compute_thin_Q();
    orthogonalise_once(&mut block, basis);
    orthogonalise_once(&mut block, basis);
    block.qr().compute_thin_Q()
}

/// Length, relative to the size of the matrix, up to which a column is taken for rounding noise. What is
/// longer by a little may be the only trace of variances that one a billion times larger overshadows.
pub(crate) const NOISE: f64 = 1e-14;

/// Ratio of the pivots of a block below which [`cholesky_qr`], which squares it, is not accurate.
const DEPENDENT: f64 = 1e-5;

/// An orthonormal basis of the columns of `block` by the Cholesky decomposition of their Gram matrix,
/// which for a few long columns is much faster than Householder's reflections; `None` if a column is
/// not longer than `noise` or nearly a combination of the others. Applied twice it is as accurate
/// (Y. Yamamoto, Y. Nakatsukasa, Y. Yanagisawa and T. Fukaya, "Roundoff error analysis of the
/// CholeskyQR2 algorithm", Electronic Transactions on Numerical Analysis 44, 2015).
fn cholesky_qr(block: &Mat<f64>, noise: f64) -> Option<Mat<f64>> {
    let columns = block.ncols();
    let mut gram = Mat::zeros(columns, columns);
    matmul(
        gram.as_mut(),
        Accum::Replace,
        block.transpose(),
        block,
        1.0,
        Par::Seq,
    );
    let factor = gram.llt(Side::Lower).ok()?;
    let pivots = factor.L().diagonal().column_vector();
    let largest = pivots.iter().fold(0.0_f64, |m, p| m.max(*p));
    let least = pivots.iter().fold(f64::INFINITY, |m, p| m.min(*p));
    if least <= noise || least <= DEPENDENT * largest || !largest.is_finite() {
        return None;
    }
    let mut q = block.to_owned();
    solve_lower_triangular_in_place(factor.L(), q.transpose_mut(), Par::Seq);
    Some(q)
}

/// A block that favours no direction and is the same on every machine.
pub(crate) fn arbitrary(n: usize, columns: usize, seed: usize) -> Mat<f64> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(2 * seed as u64 + 1);
    Mat::from_fn(n, columns, |_, _| {
        // xorshift64*
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deviation(a: &Mat<f64>, b: &Mat<f64>) -> f64 {
        let gram = a.transpose() * b;
        (0..gram.nrows())
            .flat_map(|i| (0..gram.ncols()).map(move |j| (i, j)))
            .map(|(i, j)| gram[(i, j)].abs())
            .fold(0.0, f64::max)
    }

    fn is_orthonormal(q: &Mat<f64>) -> bool {
        let gram = q.transpose() * q;
        (gram - Mat::<f64>::identity(q.ncols(), q.ncols())).norm_max() < 1e-14
    }

    #[test]
    fn next_blocks_are_orthonormal_whatever_comes_next() {
        let basis = arbitrary(300, 40, 1).qr().compute_thin_Q();
        let mut next = arbitrary(300, 8, 2);
        let recent = orthogonalise(&mut next, basis.as_ref(), 16);
        assert_eq!((recent.nrows(), recent.ncols()), (40, 8));
        let parts = basis.transpose() * arbitrary(300, 8, 2);
        assert!((&recent - parts).norm_max() < 1e-13);

        let mut dependent = next.clone();
        dependent.col_mut(5).copy_from(next.col(1));
        let noise = &next * faer::Scale(1e-15);
        for (case, next) in [next, dependent, noise, Mat::zeros(300, 8)]
            .iter()
            .enumerate()
        {
            assert_eq!(cholesky_qr(next, NOISE).is_some(), case == 0);
            for columns in [8, 3] {
                let block = next_block(next, basis.as_ref(), 1.0, columns);
                assert_eq!(block.ncols(), columns);
                assert!(is_orthonormal(&block), "case {case}");
                assert!(deviation(&basis, &block) < 1e-14, "case {case}");
            }
        }
    }
}
