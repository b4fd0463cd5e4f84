//! A symmetric matrix that grows by products Z′Z.
//!
//! The products are faer's, square by square, each on one thread: what a number is summed from, and in
//! which order, does not depend on the number of threads. A rank-k update of our own, in tiles of
//! AVX-512 and AVX2 registers, stood here before. Its processor time was 0.78 × that of faer's with
//! AVX-512 and 0.93 × with AVX2 in double precision (22,688 × 1,280), 1.04 × and 1.09 × in single
//! (3,110 × 25,088; both on an AMD EPYC of 2024): too little for 860 lines.

use crate::linalg::elementwise::Precision;
use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::{Accum, Mat, MatRef, Par};
use rayon::prelude::*;
use std::ops::Range;

/// Rows and columns of a square: the larger, the less time goes into packing it; the smaller, the more
/// evenly threads share the work. A multiple of the rows of a tile in either precision (24 and 12 with
/// AVX2, 48 and 24 with AVX-512), so that no tile is cut. Small in tests, so that there are several.
const SIDE: usize = if cfg!(test) { 8 } else { 384 };

/// The lower triangle of a symmetric matrix, in squares from the diagonal downwards, column of squares
/// after column of squares. Nothing reads what lies above the diagonal in those on it.
#[derive(Debug, Clone)]
pub(crate) struct LowerTriangle<F: Precision = f64> {
    width: usize,
    squares: Vec<Square<F>>,
}

#[derive(Debug, Clone)]
struct Square<F: Precision> {
    rows: Range<usize>,
    columns: Range<usize>,
    values: Mat<F>,
}

impl<F: Precision> Square<F> {
    fn is_on_diagonal(&self) -> bool {
        self.rows == self.columns
    }

    /// Adds the products of the columns of Z.
    fn add_product(&mut self, z: MatRef<'_, F>) {
        let strip = |columns: &Range<usize>| z.subcols(columns.start, columns.len());
        let (left, right) = (strip(&self.rows).transpose(), strip(&self.columns));
        let on_diagonal = self.is_on_diagonal();
        let target = self.values.as_mut();
        if on_diagonal {
            let (lower, full) = (BlockStructure::TriangularLower, BlockStructure::Rectangular);
            triangular::matmul(
                target,
                lower,
                Accum::Add,
                left,
                full,
                right,
                full,
                F::ONE,
                Par::Seq,
            );
        } else {
            matmul(target, Accum::Add, left, right, F::ONE, Par::Seq);
        }
    }

    /// Calls `f` with the row, the column and the value of each element of the triangle.
    fn for_each(
        &self,
        value: impl Fn(f64, usize, usize) -> f64,
        mut f: impl FnMut(usize, usize, f64),
    ) {
        for (j, column) in self.columns.clone().zip(self.columns()) {
            for (i, a) in (self.rows.end - column.len()..).zip(column) {
                f(i, j, value((*a).into(), i, j));
            }
        }
    }

    /// The values of each column that belong to the triangle.
    fn columns(&self) -> impl Iterator<Item = &[F]> {
        let on_diagonal = self.is_on_diagonal();
        self.values
            .col_iter()
            .enumerate()
            .filter_map(move |(c, column)| {
                let first = if on_diagonal { c } else { 0 };
                column.try_as_col_major()?.as_slice().get(first..)
            })
    }
}

impl<F: Precision> LowerTriangle<F> {
    pub(crate) fn zeros(width: usize) -> Self {
        let sides = || (0..width).step_by(SIDE).map(|at| at..width.min(at + SIDE));
        let squares = sides().flat_map(|columns| {
            let below = sides().skip(columns.start / SIDE);
            below.map(move |rows| Square {
                values: Mat::zeros(rows.len(), columns.len()),
                columns: columns.clone(),
                rows,
            })
        });
        Self {
            width,
            squares: squares.collect(),
        }
    }

    /// Bytes that the triangle of a matrix of this width takes: about half of the matrix.
    pub(crate) fn bytes(width: usize) -> usize {
        let diagonal = width.saturating_mul(SIDE.min(width));
        width
            .saturating_mul(width)
            .saturating_add(diagonal)
            .saturating_mul(size_of::<F>() / 2)
    }

    /// Adds Z′Z, of rows of this width; on all threads of rayon's if `threaded`.
    pub(crate) fn add_product(&mut self, z: MatRef<'_, F>, threaded: bool) {
        if threaded {
            self.squares.par_iter_mut().for_each(|s| s.add_product(z));
        } else {
            self.squares.iter_mut().for_each(|s| s.add_product(z));
        }
    }

    /// Both triangles: `value(a, row, column)` of each element a of the lower one, in double precision.
    pub(crate) fn full(&self, value: impl Fn(f64, usize, usize) -> f64 + Sync) -> Mat<f64> {
        let mut full = Mat::zeros(self.width, self.width);
        full.par_col_chunks_mut(SIDE)
            .enumerate()
            .for_each(|(strip, mut target)| {
                let first = strip * SIDE;
                for square in &self.squares {
                    if square.columns.start == first {
                        square.for_each(&value, |i, j, a| target[(i, j - first)] = a);
                    }
                    if square.rows.start == first {
                        square.for_each(&value, |i, j, a| target[(j, i - first)] = a);
                    }
                }
            });
        full
    }
}

impl LowerTriangle {
    /// All numbers, in the order in which they are kept.
    pub(crate) fn to_vec(&self) -> Vec<f64> {
        let columns = self.squares.iter().flat_map(Square::columns);
        columns.flatten().copied().collect()
    }

    /// The same numbers as [`Self::to_vec`] gave; `None` if they are not as many as the width asks for.
    pub(crate) fn from_slice(width: usize, values: &[f64]) -> Option<Self> {
        let expected = width.checked_mul(width.checked_add(1)?)? / 2;
        if values.len() != expected {
            return None;
        }
        let mut triangle = Self::zeros(width);
        let mut values = values.iter();
        for square in &mut triangle.squares {
            let on_diagonal = square.is_on_diagonal();
            for (c, column) in square.values.as_mut().col_iter_mut().enumerate() {
                let first = if on_diagonal { c } else { 0 };
                let column = column.get_mut(first..);
                column
                    .iter_mut()
                    .zip(values.by_ref())
                    .for_each(|(a, value)| *a = *value);
            }
        }
        Some(triangle)
    }

    /// Adds another triangle of the same width.
    pub(crate) fn add(&mut self, other: &Self) {
        for (ours, theirs) in self.squares.iter_mut().zip(&other.squares) {
            ours.values += &theirs.values;
        }
    }

    pub(crate) fn diagonal(&self) -> Vec<f64> {
        let on_diagonal = self.squares.iter().filter(|s| s.is_on_diagonal());
        let values = on_diagonal.flat_map(|s| s.values.diagonal().column_vector().iter());
        values.copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Whole numbers, whose products and sums are exact in either precision.
    fn values<F: Precision>(n: usize, width: usize) -> Mat<F> {
        Mat::from_fn(n, width, |i, j| {
            F::round((i * 31 + j * 17) as f64 % 23.0 - 7.0 + (i * j % 5) as f64)
        })
    }

    fn product<F: Precision>(z: &Mat<F>, threaded: bool) -> LowerTriangle<F> {
        let mut triangle = LowerTriangle::zeros(z.ncols());
        for _ in 0..2 {
            triangle.add_product(z.as_ref(), threaded);
        }
        triangle
    }

    fn check<F: Precision>(n: usize, width: usize) -> Result<(), TestCaseError> {
        let z = values::<F>(n, width);
        let full = product(&z, true).full(|a, _, _| a);
        let at = |r: usize, j: usize| -> f64 { z[(r, j)].into() };
        for i in 0..width {
            for j in 0..width {
                let products = (0..n).map(|r| at(r, i) * at(r, j));
                prop_assert_eq!(full[(i, j)], 2.0 * products.sum::<f64>(), "({}, {})", i, j);
            }
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn the_product_is_that_of_the_definition(n in 1_usize..40, width in 1_usize..40) {
            check::<f64>(n, width)?;
            check::<f32>(n, width)?;
        }

        #[test]
        fn threads_change_nothing(n in 1_usize..20, width in 1_usize..40) {
            let z = values::<f64>(n, width) * faer::Scale(1.0 / 3.0);
            prop_assert_eq!(product(&z, true).to_vec(), product(&z, false).to_vec());
        }

        #[test]
        fn numbers_come_back(width in 0_usize..40) {
            let triangle = product(&values::<f64>(9, width), false);
            let numbers = triangle.to_vec();
            prop_assert_eq!(numbers.len(), width * (width + 1) / 2);
            let back = LowerTriangle::from_slice(width, &numbers).unwrap();
            prop_assert_eq!(back.full(|a, _, _| a), triangle.full(|a, _, _| a));
            prop_assert!(LowerTriangle::from_slice(width + 1, &numbers).is_none());
            prop_assert!(LowerTriangle::from_slice(usize::MAX, &numbers).is_none());
        }
    }

    #[test]
    fn sums_and_the_diagonal() {
        let once = product(&values::<f64>(9, 21), false);
        let mut twice = once.clone();
        twice.add(&once);
        assert_eq!(twice.full(|a, _, _| a), once.full(|a, _, _| 2.0 * a));
        let diagonal = once.diagonal();
        assert_eq!(diagonal.len(), 21);
        let full = once.full(|a, i, j| if i == j { a } else { 0.0 });
        assert!((0..21).all(|i| full[(i, i)] == diagonal[i]));
        assert!((0..21).all(|i| i == 3 || full[(i, 3)] == 0.0));
    }

    #[test]
    fn its_bytes_are_those_of_its_squares() {
        for width in [0, 5, 8, 21, 64] {
            let triangle = LowerTriangle::<f32>::zeros(width);
            let held: usize = triangle
                .squares
                .iter()
                .map(|s| s.values.nrows() * s.values.ncols())
                .sum();
            let bytes = LowerTriangle::<f32>::bytes(width);
            assert!(
                held * 4 <= bytes.next_multiple_of(8 * 8 * 4),
                "{width}: {held} {bytes}"
            );
        }
    }
}
