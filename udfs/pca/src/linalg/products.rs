//! Work on whole matrices, spread over rayon's threads in pieces of fixed shape.
//!
//! Pieces are multiplied sequentially: what a number is summed from, and in which order, then does
//! not depend on the number of threads. Nor does a product spin in wait for cores that the other
//! partitions of a query keep busy.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};
use rayon::prelude::*;

/// Rows of a piece: few enough that a matrix of a thousand rows is shared evenly.
const ROWS: usize = 128;

/// a · b, for a tall or square `a` and a narrow `b`.
pub(crate) fn product(a: MatRef<'_, f64>, b: MatRef<'_, f64>) -> Mat<f64> {
    let mut result = Mat::zeros(a.nrows(), b.ncols());
    result
        .par_row_chunks_mut(ROWS)
        .enumerate()
        .for_each(|(i, piece)| {
            let rows = a.subrows(i * ROWS, piece.nrows());
            matmul(piece, Accum::Replace, rows, b, 1.0, Par::Seq);
        });
    result
}

/// As [`product`], of a symmetric `a`: by its columns, which lie in one piece.
pub(crate) fn symmetric_product(a: MatRef<'_, f64>, b: MatRef<'_, f64>) -> Mat<f64> {
    let mut transposed = Mat::zeros(b.ncols(), a.ncols());
    transposed
        .par_col_chunks_mut(ROWS)
        .enumerate()
        .for_each(|(i, piece)| {
            let columns = a.subcols(i * ROWS, piece.ncols());
            matmul(piece, Accum::Replace, b.transpose(), columns, 1.0, Par::Seq);
        });
    transposed.transpose().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_agree_with_one_piece() {
        let a = Mat::from_fn(600, 30, |i, j| ((i * 3 + j) % 13) as f64);
        let b = Mat::from_fn(30, 4, |i, j| ((i + j * 2) % 5) as f64);
        assert_eq!(product(a.as_ref(), b.as_ref()), &a * &b);
        let (a, b) = (&a * a.transpose(), &a * &b);
        assert_eq!(symmetric_product(a.as_ref(), b.as_ref()), &a * &b);
    }
}
