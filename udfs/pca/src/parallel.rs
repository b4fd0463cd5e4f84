//! Work on whole matrices, spread over rayon's threads in pieces of fixed shape.
//!
//! Pieces are multiplied sequentially: what a number is summed from, and in which order, then does
//! not depend on the number of threads. Nor does a product spin in wait for cores that the other
//! partitions of a query keep busy.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef, Par};
use rayon::prelude::*;
use std::sync::{Mutex, PoisonError};

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

/// The lower triangle of a symmetric matrix in square tiles, to which products z zᵀ are added.
#[derive(Debug)]
pub(crate) struct SymmetricTiles {
    dimension: usize,
    tile: usize,
    /// Row and column of the tile, and its values.
    tiles: Vec<(usize, usize, Mat<f64>)>,
    /// Products in single precision, one for each thread, kept between calls.
    pieces: Vec<Mutex<Vec<f32>>>,
}

impl SymmetricTiles {
    pub(crate) fn zeros(dimension: usize, tile: usize) -> Self {
        let blocks = dimension.div_ceil(tile);
        let size = |b: usize| tile.min(dimension - b * tile);
        let tiles = (0..blocks)
            .flat_map(|i| (0..=i).map(move |j| (i, j, Mat::zeros(size(i), size(j)))))
            .collect();
        Self {
            dimension,
            tile,
            tiles,
            pieces: (0..=rayon::current_num_threads())
                .map(|_| Mutex::default())
                .collect(),
        }
    }

    /// Adds z zᵀ, where `z` has as many rows as the matrix.
    pub(crate) fn add_f64(&mut self, z: MatRef<'_, f64>) {
        let tile = self.tile;
        self.tiles.par_iter_mut().for_each(|(i, j, values)| {
            let left = z.subrows(*i * tile, values.nrows());
            let right = z.subrows(*j * tile, values.ncols());
            matmul(
                values.as_mut(),
                Accum::Add,
                left,
                right.transpose(),
                1.0,
                Par::Seq,
            );
        });
    }

    /// Adds z zᵀ computed in single precision: the sum over the columns of one `z` is rounded to
    /// 24 bits, sums over several are not.
    pub(crate) fn add_f32(&mut self, z: MatRef<'_, f32>) {
        let tile = self.tile;
        let pieces = &self.pieces;
        self.tiles.par_iter_mut().for_each(|(i, j, values)| {
            let (m, n) = (values.nrows(), values.ncols());
            let left = z.subrows(*i * tile, m);
            let right = z.subrows(*j * tile, n);
            let piece = rayon::current_thread_index().and_then(|thread| pieces.get(thread));
            // A thread has its own, so nobody waits; one that is none of rayon's takes the last.
            let piece = piece.or_else(|| pieces.last());
            let mut piece = piece.map(|piece| piece.lock().unwrap_or_else(PoisonError::into_inner));
            let mut spare = vec![];
            let piece = piece.as_deref_mut().unwrap_or(&mut spare);
            piece.resize(m * n, 0.0);
            let mut piece = MatMut::from_column_major_slice_mut(piece, m, n);
            matmul(
                piece.as_mut(),
                Accum::Replace,
                left,
                right.transpose(),
                1.0,
                Par::Seq,
            );
            for (target, source) in values.col_iter_mut().zip(piece.as_ref().col_iter()) {
                for (t, s) in target.iter_mut().zip(source.iter()) {
                    *t += f64::from(*s);
                }
            }
        });
    }

    /// The whole matrix, both triangles.
    pub(crate) fn into_full(self) -> Mat<f64> {
        let mut full = Mat::zeros(self.dimension, self.dimension);
        for (i, j, values) in self.tiles {
            let (row, col) = (i * self.tile, j * self.tile);
            let (m, n) = (values.nrows(), values.ncols());
            full.as_mut()
                .submatrix_mut(row, col, m, n)
                .copy_from(&values);
            if i != j {
                full.as_mut()
                    .submatrix_mut(col, row, n, m)
                    .copy_from(values.transpose());
            }
        }
        full
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_add_up_to_the_product() {
        let z = Mat::from_fn(23, 9, |i, j| ((i * 7 + j * 5) % 11) as f64 - 3.0);
        let expected = &z * z.transpose();
        let mut tiles = SymmetricTiles::zeros(23, 8);
        tiles.add_f64(z.subcols(0, 4));
        tiles.add_f64(z.subcols(4, 5));
        assert_eq!(tiles.into_full(), expected);

        let z = Mat::from_fn(23, 9, |i, j| z[(i, j)] as f32);
        let mut tiles = SymmetricTiles::zeros(23, 8);
        tiles.add_f32(z.as_ref());
        assert_eq!(tiles.into_full(), expected);
    }

    #[test]
    fn products_agree_with_one_piece() {
        let a = Mat::from_fn(600, 30, |i, j| ((i * 3 + j) % 13) as f64);
        let b = Mat::from_fn(30, 4, |i, j| ((i + j * 2) % 5) as f64);
        assert_eq!(product(a.as_ref(), b.as_ref()), &a * &b);
        let (a, b) = (&a * a.transpose(), &a * &b);
        assert_eq!(symmetric_product(a.as_ref(), b.as_ref()), &a * &b);
    }
}
