//! Columns that lie together, in the order in which [`crate::tile`] multiplies them.

use crate::elementwise::Precision;
use crate::value::Value;
use pulp::Arch;
use rayon::prelude::*;

/// Columns of `f64` that lie together.
pub(crate) const STRIP: usize = 8;

/// Columns of `f32` that lie together.
pub(crate) const SINGLE_STRIP: usize = 16;

/// As many values of a row or of a column as a strip is wide: a line of the cache.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(align(64))]
pub(crate) struct Lane<F = f64, const N: usize = STRIP>(pub(crate) [F; N]);

impl<F: Precision, const N: usize> Lane<F, N> {
    pub(crate) const ZERO: Self = Self([F::ZERO; N]);
}

/// A matrix in strips of N columns: all rows of the first strip, then those of the second. The last strip is
/// filled up with zeros.
#[derive(Debug, Clone)]
pub(crate) struct Strips<F = f64, const N: usize = STRIP> {
    lanes: Vec<Lane<F, N>>,
    rows: usize,
}

/// In single precision.
pub(crate) type SingleStrips = Strips<f32, SINGLE_STRIP>;

impl<F: Precision, const N: usize> Strips<F, N> {
    pub(crate) fn empty() -> Self {
        Self {
            lanes: vec![],
            rows: 0,
        }
    }

    /// Bytes held.
    pub(crate) fn size(&self) -> usize {
        self.lanes.capacity() * size_of::<Lane<F, N>>()
    }

    /// Rows of every strip.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Number of strips.
    pub(crate) fn len(&self) -> usize {
        self.lanes.len().checked_div(self.rows).unwrap_or(0)
    }

    /// All rows of a strip; none if there is no such strip.
    pub(crate) fn strip(&self, s: usize) -> &[Lane<F, N>] {
        let rows = s * self.rows..(s + 1) * self.rows;
        self.lanes.get(rows).unwrap_or_default()
    }

    /// Makes room for a matrix of this size. The last strip is zero, others hold what was there before.
    fn resize(&mut self, rows: usize, columns: usize) {
        self.rows = rows;
        self.lanes.resize(rows * columns.div_ceil(N), Lane::ZERO);
        let others = rows * (columns / N);
        let last = self.lanes.get_mut(others..).unwrap_or_default();
        last.fill(Lane::ZERO);
    }

    /// Replaces what is held by the transpose of a matrix of so many columns, whose rows `write` writes,
    /// given their number; on all threads of rayon's.
    pub(crate) fn fill_transposed(
        &mut self,
        rows: usize,
        columns: usize,
        write: impl Fn(usize, &mut [F]) + Sync,
    ) {
        self.resize(columns, rows);
        let strips = self.lanes.par_chunks_mut(columns.max(1)).enumerate();
        strips.for_each_init(
            || vec![F::ZERO; columns],
            |row, (s, strip)| {
                for c in 0..N.min(rows - s * N) {
                    write(s * N + c, row);
                    for (Lane(lane), value) in strip.iter_mut().zip(&*row) {
                        lane[c] = *value;
                    }
                }
            },
        );
    }
}

impl Strips {
    /// Replaces what is held by `(row − shift) − mean` of these rows and, after them, `last`.
    pub(crate) fn fill<T: Value>(
        &mut self,
        rows: &[&[T]],
        shift: &[f64],
        mean: &[f64],
        last: Option<&[f64]>,
    ) {
        self.resize(rows.len() + usize::from(last.is_some()), shift.len());
        Arch::new().dispatch(
            #[inline(always)]
            || self.centre(rows, shift, mean),
        );
        let strips = self.lanes.chunks_exact_mut(self.rows);
        for (strip, values) in strips.zip(last.unwrap_or_default().chunks(STRIP)) {
            if let Some(Lane(lane)) = strip.last_mut() {
                lane.iter_mut()
                    .zip(values)
                    .for_each(|(x, value)| *x = *value);
            }
        }
    }

    #[inline(always)]
    fn centre<T: Value>(&mut self, rows: &[&[T]], shift: &[f64], mean: &[f64]) {
        // A few rows at a time, so that a page of a strip is met once.
        for (block, rows) in rows.chunks(STRIP).enumerate() {
            let strips = self.lanes.chunks_exact_mut(self.rows);
            let columns = shift.chunks(STRIP).zip(mean.chunks(STRIP));
            for (s, (strip, (shift, mean))) in strips.zip(columns).enumerate() {
                let lanes = strip.iter_mut().skip(block * STRIP);
                for (Lane(lane), row) in lanes.zip(rows) {
                    let row = row.get(s * STRIP..).unwrap_or_default();
                    let whole = (row.first_chunk(), shift.first_chunk(), mean.first_chunk());
                    if let (Some(row), Some(shift), Some(mean)) = whole {
                        whole_deviations(lane, row, shift, mean);
                    } else {
                        deviations(lane, row, shift, mean);
                    }
                }
            }
        }
    }
}

/// As [`deviations`], of lengths that the compiler knows.
#[inline(always)]
fn whole_deviations<T: Value>(
    target: &mut [f64; STRIP],
    row: &[T; STRIP],
    shift: &[f64; STRIP],
    mean: &[f64; STRIP],
) {
    deviations(target, row, shift, mean);
}

/// `target = (row − shift) − mean`.
#[inline(always)]
fn deviations<T: Value>(target: &mut [f64; STRIP], row: &[T], shift: &[f64], mean: &[f64]) {
    for (((z, &x), shift), mean) in target.iter_mut().zip(row).zip(shift).zip(mean) {
        *z = (x.into() - shift) - mean;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Element of the matrix; zero beyond its end.
    fn at(strips: &Strips, row: usize, column: usize) -> f64 {
        strips.strip(column / STRIP)[row].0[column % STRIP]
    }

    #[test]
    fn strips_hold_what_they_are_filled_with_and_zeros() {
        let mut strips = Strips::empty();
        assert_eq!((strips.len(), strips.size()), (0, 0));
        for (n, d) in [(9, 20), (3, 8), (1, 1), (20, 3)] {
            let data: Vec<Vec<f32>> = (0..n)
                .map(|i| (0..d).map(|j| (i * 100 + j) as f32).collect())
                .collect();
            let rows: Vec<&[f32]> = data.iter().map(Vec::as_slice).collect();
            let (shift, mean, last) = (vec![2.0; d], vec![3.0; d], vec![7.0; d]);
            strips.fill(&rows, &shift, &mean, Some(&last));
            assert_eq!((strips.rows(), strips.len()), (n + 1, d.div_ceil(STRIP)));
            assert!(strips.strip(strips.len()).is_empty());
            for i in 0..=n {
                for j in 0..strips.len() * STRIP {
                    let value = data.get(i).map_or(Some(&12.0), |row| row.get(j));
                    let value = value.filter(|_| j < d);
                    let expected = value.map_or(0.0, |value| f64::from(*value) - 5.0);
                    assert_eq!(at(&strips, i, j), expected);
                }
            }
            check_transposed::<f64, STRIP>(&data);
            check_transposed::<f32, SINGLE_STRIP>(&data);
        }
    }

    fn check_transposed<F, const N: usize>(data: &[Vec<f32>])
    where
        F: Precision + std::fmt::Debug + PartialEq + Default,
    {
        let (n, d) = (data.len(), data[0].len());
        let mut strips = Strips::<F, N>::empty();
        // What was there before leaves no trace.
        strips.fill_transposed(n + 20, d, |_, row| row.fill(F::round(9.0)));
        strips.fill_transposed(n, d, |i, row| {
            for (target, value) in row.iter_mut().zip(&data[i]) {
                *target = F::round(f64::from(*value) + 1.0);
            }
        });
        assert_eq!((strips.rows(), strips.len()), (d, n.div_ceil(N)));
        for i in 0..strips.len() * N {
            for j in 0..d {
                let value = data.get(i).map_or(0.0, |row| f64::from(row[j]) + 1.0);
                assert_eq!(strips.strip(i / N)[j].0[i % N], F::round(value));
            }
        }
    }
}
