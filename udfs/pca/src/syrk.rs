//! A symmetric matrix that grows by products Z′Z: the symmetric rank-k update of BLAS (`syrk`).
//!
//! Faer's products of a few hundred rows at a time spend a third of their time on packing what is the
//! same left and right, and on a result that is larger than the caches and is met in short columns.
//! Here Z is packed once, for both sides, while the rows are centred, and the result is kept in the order
//! in which it is updated. The blocking is that of K. Goto and R. A. van de Geijn, "Anatomy of
//! high-performance matrix multiplication", ACM Transactions on Mathematical Software 34, 2008.
//!
//! Numbers do not depend on the machine's vectors ([`crate::tile`]) nor on the number of threads.

use crate::single_tile::{Half, add_single_products};
use crate::strips::{Lane, STRIP, SingleStrips, Strips};
use crate::tile::{Square, TALL, add_products};
use faer::Mat;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Bytes of rows that are to stay in the second level of the cache.
const CACHE: usize = 512 << 10;

/// The lower triangle of a symmetric matrix, in squares of [`STRIP`] rows and columns: from the square on
/// the diagonal downwards, strip of columns after strip. Each is kept column after column; those on the
/// diagonal are whole, and what lies beyond the last row and column is zero.
#[derive(Debug, Clone)]
pub(crate) struct LowerTriangle {
    width: usize,
    lanes: Vec<Lane>,
}

impl LowerTriangle {
    pub(crate) fn zeros(width: usize) -> Self {
        let strips = width.div_ceil(STRIP);
        Self {
            width,
            lanes: vec![Lane::ZERO; strips * (strips + 1) / 2 * STRIP],
        }
    }

    /// Bytes that the triangle of a matrix of this width takes: about 4 width².
    pub(crate) fn bytes(width: usize) -> usize {
        let strips = width.div_ceil(STRIP);
        strips
            .saturating_mul(strips + 1)
            .saturating_mul(STRIP * size_of::<Lane>() / 2)
    }

    /// The same numbers as [`Self::to_vec`] gave; `None` if they are not as many as the width asks for.
    pub(crate) fn from_slice(width: usize, values: &[f64]) -> Option<Self> {
        let strips = width.div_ceil(STRIP);
        let squares = strips.checked_mul(strips.checked_add(1)?)? / 2;
        let (lanes, rest) = values.as_chunks::<STRIP>();
        (rest.is_empty() && lanes.len() == squares.checked_mul(STRIP)?).then(|| Self {
            width,
            lanes: lanes.iter().map(|lane| Lane(*lane)).collect(),
        })
    }

    /// All numbers, in the order in which they are kept.
    pub(crate) fn to_vec(&self) -> Vec<f64> {
        self.lanes.iter().flat_map(|Lane(lane)| *lane).collect()
    }

    /// Adds another triangle of the same width.
    pub(crate) fn add(&mut self, other: &Self) {
        for (Lane(ours), Lane(theirs)) in self.lanes.iter_mut().zip(&other.lanes) {
            ours.iter_mut().zip(theirs).for_each(|(a, b)| *a += b);
        }
    }

    /// Adds Z′Z of rows of the same width; on all threads of rayon's if `threaded`.
    pub(crate) fn add_product(&mut self, z: &Strips, threaded: bool) {
        self.for_each_panel(threaded, |columns, first| {
            Arch::new().dispatch(Update { z, columns, first });
        });
    }

    /// As [`Self::add_product`] on all threads, of rows in single precision, in which their products are
    /// summed, too.
    pub(crate) fn add_single_product(&mut self, z: &SingleStrips) {
        self.for_each_panel(true, |columns, first| {
            Arch::new().dispatch(SingleUpdate { z, columns, first });
        });
    }

    /// Calls `update` with the squares of neighbouring strips of columns and the number of the first.
    fn for_each_panel(
        &mut self,
        threaded: bool,
        update: impl Fn(&mut [&mut [Square]], usize) + Sync,
    ) {
        /// Strips of columns that one thread works on.
        const PANEL: usize = if cfg!(test) { 1 } else { 16 };

        let mut columns = self.columns();
        if threaded {
            columns
                .par_chunks_mut(PANEL)
                .enumerate()
                .for_each(|(i, panel)| update(panel, i * PANEL));
        } else {
            update(&mut columns, 0);
        }
    }

    /// The squares of every strip of columns.
    fn columns(&mut self) -> Vec<&mut [Square]> {
        let strips = self.width.div_ceil(STRIP);
        let (mut rest, _) = self.lanes.as_chunks_mut();
        (0..strips)
            .map_while(|j| rest.split_off_mut(..strips - j))
            .collect()
    }

    /// The square at this strip of rows and this strip of columns, which is not to the right of it.
    fn square(&self, i: usize, j: usize) -> &[Lane] {
        let strips = self.width.div_ceil(STRIP);
        // Strips of columns before this one have strips, strips − 1, … squares.
        let before = j * strips - j * j.saturating_sub(1) / 2;
        let start = (before + i - j) * STRIP;
        self.lanes.get(start..start + STRIP).unwrap_or_default()
    }

    pub(crate) fn diagonal(&self) -> Vec<f64> {
        let strips = 0..self.width.div_ceil(STRIP);
        let squares = strips.flat_map(|s| self.square(s, s).iter().enumerate());
        let values = squares.filter_map(|(i, Lane(lane))| lane.get(i).copied());
        values.take(self.width).collect()
    }

    /// F A F / divisor, both triangles, where F is the diagonal matrix of `factor`.
    pub(crate) fn scaled(&self, factor: &[f64], divisor: f64) -> Mat<f64> {
        let mut full = Mat::zeros(self.width, self.width);
        full.par_col_chunks_mut(STRIP)
            .enumerate()
            .for_each(|(j, mut columns)| {
                for (i, rows) in factor.chunks(STRIP).enumerate() {
                    let transposed = i < j;
                    let square = self.square(i.max(j), i.min(j));
                    for (c, mut column) in columns.as_mut().col_iter_mut().enumerate() {
                        let by = factor.get(j * STRIP + c).copied().unwrap_or(0.0);
                        for (r, row) in rows.iter().enumerate() {
                            let (across, along) = if transposed { (r, c) } else { (c, r) };
                            let value = square
                                .get(across)
                                .and_then(|Lane(lane)| lane.get(along))
                                .copied()
                                .unwrap_or(0.0);
                            // By the larger index first, so that both triangles round alike; one after the other,
                            // as the product of both may be out of range.
                            let (first, last) = if transposed { (by, *row) } else { (*row, by) };
                            column[i * STRIP + r] = value * first * last / divisor;
                        }
                    }
                }
            });
        full
    }
}

/// Adds Z′Z to strips of columns, of which one is the `first`.
struct Update<'a, 'b> {
    z: &'a Strips,
    columns: &'a mut [&'b mut [Square]],
    first: usize,
}

impl WithSimd for Update<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { z, columns, first } = self;
        let block = cached(z.rows());
        for from in (first..z.len()).step_by(block) {
            let end = z.len().min(from + block);
            for (j, column) in (first..end).zip(columns.iter_mut()) {
                let from = from.max(j);
                let squares = column.get_mut(from - j..end - j).unwrap_or_default();
                add_products(simd, z, from, z.strip(j), squares);
            }
        }
    }
}

/// As [`Update`] in single precision, where a strip is two of the triangle's.
struct SingleUpdate<'a, 'b> {
    z: &'a SingleStrips,
    columns: &'a mut [&'b mut [Square]],
    first: usize,
}

impl WithSimd for SingleUpdate<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { z, columns, first } = self;
        let block = cached(z.rows());
        for from in (first / 2..z.len()).step_by(block) {
            let end = z.len().min(from + block);
            for (j, column) in (first..2 * end).zip(columns.iter_mut()) {
                let right = Half {
                    strip: z.strip(j / 2),
                    second: j % 2 == 1,
                };
                let from = from.max(j / 2);
                // The square above the diagonal is not there, nor is one below the last row.
                let above = 2 * from < j;
                let start = (2 * from).saturating_sub(j);
                let squares = column.get_mut(start..).unwrap_or_default();
                let count = (2 * (end - from) - usize::from(above)).min(squares.len());
                let (squares, _) = squares.split_at_mut(count);
                add_single_products(simd, z, from, right, above, squares);
            }
        }
    }
}

/// Strips of so many rows that stay in the second level of the cache together.
fn cached(rows: usize) -> usize {
    (CACHE / size_of::<Lane>() / rows.max(1) / TALL * TALL).max(TALL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values(n: usize, width: usize) -> Vec<Vec<f32>> {
        (0..n)
            .map(|i| {
                (0..width)
                    .map(|j| ((i * 31 + j * 17) % 23) as f32 - 7.5 + (i * j % 5) as f32)
                    .collect()
            })
            .collect()
    }

    fn product(data: &[Vec<f32>], last: Option<&[f64]>, threaded: bool) -> LowerTriangle {
        let width = data[0].len();
        let rows: Vec<&[f32]> = data.iter().map(Vec::as_slice).collect();
        let mut z = Strips::empty();
        // What was there before leaves no trace.
        z.fill(
            &[vec![9.0_f32; width].as_slice(); 3],
            &vec![0.0; width],
            &vec![0.0; width],
            None,
        );
        z.fill(&rows, &vec![0.5; width], &vec![0.25; width], last);
        let mut triangle = LowerTriangle::zeros(width);
        triangle.add_product(&z, threaded);
        triangle
    }

    proptest! {
        #[test]
        fn the_product_is_that_of_the_definition(
            n in 1_usize..40,
            width in 1_usize..70,
            last in any::<bool>(),
        ) {
            let data = values(n, width);
            let extra: Vec<f64> = (0..width).map(|j| j as f64 / 3.0).collect();
            let triangle = product(&data, last.then_some(&extra), false);
            let full = triangle.scaled(&vec![1.0; width], 1.0);
            let diagonal = triangle.diagonal();
            prop_assert_eq!(diagonal.len(), width);
            for i in 0..width {
                for j in 0..width {
                    let mut expected: f64 = data
                        .iter()
                        .map(|row| (f64::from(row[i]) - 0.75) * (f64::from(row[j]) - 0.75))
                        .sum();
                    if last {
                        expected += extra[i] * extra[j];
                    }
                    let found = full[(i, j)];
                    prop_assert!((found - expected).abs() < 1e-10, "({}, {}): {} {}", i, j, found, expected);
                    prop_assert_eq!(found, full[(j, i)]);
                }
                prop_assert_eq!(full[(i, i)], diagonal[i]);
            }
        }

        #[test]
        fn threads_change_nothing(n in 1_usize..20, width in 1_usize..70) {
            let data = values(n, width);
            prop_assert_eq!(product(&data, None, false).lanes, product(&data, None, true).lanes);
        }
    }

    proptest! {
        #[test]
        fn single_precision_gives_the_product_too(n in 1_usize..60, width in 1_usize..40) {
            // Numbers whose products and sums are exact.
            let data = values(n, width);
            let row = |i: usize, target: &mut [f32]| target.copy_from_slice(&data[i]);
            let mut z = SingleStrips::empty();
            z.fill_transposed(n, width, row);
            let mut triangle = LowerTriangle::zeros(n);
            for _ in 0..2 {
                triangle.add_single_product(&z);
            }
            let found = triangle.scaled(&vec![1.0; n], 2.0);
            for (i, left) in data.iter().enumerate() {
                for (j, right) in data.iter().enumerate() {
                    let products = left.iter().zip(right).map(|(a, b)| f64::from(a * b));
                    prop_assert_eq!(found[(i, j)], products.sum::<f64>(), "({}, {})", i, j);
                }
            }
            // Nothing is added beyond the last row.
            let all: f64 = triangle.to_vec().iter().map(|v| v.abs()).sum();
            let (mut inside, strip) = (0.0, |i: usize| i / STRIP);
            for i in 0..n {
                for j in (0..n).filter(|j| strip(*j) <= strip(i)) {
                    inside += 2.0 * found[(i, j)].abs();
                }
            }
            prop_assert!((all - inside).abs() <= 1e-9 * all);
        }
    }

    /// What this machine would not choose computes the same, but for the rounding of products where there
    /// are no fused instructions.
    #[test]
    fn every_instruction_set_agrees() {
        fn with<S: Simd>(simd: S, data: &[Vec<f32>]) -> Vec<f64> {
            let width = data[0].len();
            let rows: Vec<&[f32]> = data.iter().map(Vec::as_slice).collect();
            let mut z = Strips::empty();
            z.fill(&rows, &vec![0.5; width], &vec![0.25; width], None);
            let mut triangle = LowerTriangle::zeros(width);
            let (z, columns) = (&z, &mut triangle.columns()[..]);
            simd.vectorize(Update {
                z,
                columns,
                first: 0,
            });
            triangle.to_vec()
        }
        for width in [1, 8, 9, 31, 66, 250] {
            let data = values(19, width);
            let expected = product(&data, None, false).to_vec();
            let scalar = with(pulp::Scalar::new(), &data);
            assert_eq!(scalar.len(), expected.len());
            for (found, expected) in scalar.iter().zip(&expected) {
                assert!((found - expected).abs() <= 1e-12 * expected.abs().max(1.0));
            }
            #[cfg(target_arch = "x86_64")]
            if let Some(simd) = pulp::x86::V3::try_new() {
                assert_eq!(with(simd, &data), expected);
            }
        }
    }

    #[test]
    fn every_instruction_set_agrees_in_single_precision() {
        fn with<S: Simd>(simd: S, data: &[Vec<f32>]) -> Vec<f64> {
            let (n, width) = (data.len(), data[0].len());
            let mut z = SingleStrips::empty();
            z.fill_transposed(n, width, |i, target| target.copy_from_slice(&data[i]));
            let mut triangle = LowerTriangle::zeros(n);
            let (z, columns) = (&z, &mut triangle.columns()[..]);
            simd.vectorize(SingleUpdate {
                z,
                columns,
                first: 0,
            });
            triangle.to_vec()
        }
        for n in [1, 9, 16, 31, 250] {
            let data = values(n, 40);
            let expected = with(pulp::Scalar::new(), &data);
            #[cfg(target_arch = "x86_64")]
            if let Some(simd) = pulp::x86::V3::try_new() {
                assert_eq!(with(simd, &data), expected);
            }
            #[cfg(target_arch = "x86_64")]
            if let Some(simd) = pulp::x86::V4::try_new() {
                assert_eq!(with(simd, &data), expected);
            }
        }
    }

    #[test]
    fn numbers_come_back() {
        let triangle = product(&values(9, 21), None, false);
        let numbers = triangle.to_vec();
        assert_eq!(numbers.len() * 8, LowerTriangle::bytes(21));
        let back = LowerTriangle::from_slice(21, &numbers).unwrap();
        assert_eq!(back.lanes, triangle.lanes);
        for wrong in [&numbers[1..], &numbers[64..], &[]] {
            assert!(LowerTriangle::from_slice(21, wrong).is_none());
        }
        assert!(LowerTriangle::from_slice(usize::MAX, &numbers).is_none());
    }

    #[test]
    fn scales_and_sums() {
        let mut triangle = product(&values(9, 11), None, false);
        triangle.add(&triangle.clone());
        let factor: Vec<f64> = (0..11).map(f64::from).collect();
        let once = product(&values(9, 11), None, false).scaled(&[1.0; 11], 1.0);
        let scaled = triangle.scaled(&factor, 4.0);
        for i in 0..11 {
            for j in 0..11 {
                let expected = once[(i, j)] * (i * j) as f64 / 2.0;
                assert!((scaled[(i, j)] - expected).abs() <= 1e-12 * expected.abs());
            }
        }
    }
}
