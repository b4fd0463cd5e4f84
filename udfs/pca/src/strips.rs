//! Columns that lie together, in the order in which [`crate::tile`] multiplies them.

use crate::value::Value;
use pulp::Arch;

/// Columns that lie together.
pub(crate) const STRIP: usize = 8;

/// As many values of a row or of a column as a strip is wide: a line of the cache.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(align(64))]
pub(crate) struct Lane(pub(crate) [f64; STRIP]);

impl Lane {
    pub(crate) const ZERO: Self = Self([0.0; STRIP]);
}

/// A matrix in strips of [`STRIP`] columns: all rows of the first strip, then those of the second. The last
/// strip is filled up with zeros.
#[derive(Debug, Clone, Default)]
pub(crate) struct Strips {
    lanes: Vec<Lane>,
    rows: usize,
}

impl Strips {
    /// Bytes held.
    pub(crate) fn size(&self) -> usize {
        self.lanes.capacity() * size_of::<Lane>()
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
    pub(crate) fn strip(&self, s: usize) -> &[Lane] {
        let rows = s * self.rows..(s + 1) * self.rows;
        self.lanes.get(rows).unwrap_or_default()
    }

    /// Makes room for a matrix of this size. The last strip is zero, others hold what was there before.
    fn resize(&mut self, rows: usize, columns: usize) {
        self.rows = rows;
        self.lanes
            .resize(rows * columns.div_ceil(STRIP), Lane::ZERO);
        let others = rows * (columns / STRIP);
        let last = self.lanes.get_mut(others..).unwrap_or_default();
        last.fill(Lane::ZERO);
    }

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
        let mut strips = Strips::default();
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
                    let expected = match (i < n, j < d) {
                        (true, true) => f64::from(data[i][j]) - 5.0,
                        (false, true) => 7.0,
                        (_, false) => 0.0,
                    };
                    assert_eq!(at(&strips, i, j), expected);
                }
            }
        }
    }
}
