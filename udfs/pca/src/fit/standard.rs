//! What every way of fitting begins and ends with: the standardisation of the columns, and the model.

use crate::error::{PcaError, Result, check_total};
use crate::linalg::elementwise;
use crate::model::pca::PcaModel;
use crate::options::{FitOptions, NComponents};
use crate::value::Value;
use faer::MatRef;
use rayon::prelude::*;

/// Columns of a strip, the unit of parallel work: of 256 rows of `f64` it is a megabyte, which the second
/// level of the cache holds.
pub(crate) const STRIP: usize = 512;

/// Means and squared deviations of each column, of blocks of rows, merged as [`crate::fit::moments`] does.
#[derive(Debug, Default)]
pub(crate) struct Statistics {
    pub(crate) rows: u64,
    /// The first row: what is left of a mean after rounding would look like a component where means are
    /// much larger than deviations.
    pub(crate) shift: Vec<f64>,
    /// Relative to the shift.
    pub(crate) mean: Vec<f64>,
    pub(crate) squares: Vec<f64>,
}

impl Statistics {
    /// Checks what another accumulator has sent: columns that one list lacks would pass for ones that
    /// are always the same.
    ///
    /// # Errors
    /// If the lists have different lengths.
    pub(crate) fn check(&self) -> Result<()> {
        let lengths = [&self.shift, &self.mean, &self.squares].map(Vec::len);
        match lengths.iter().all(|length| *length == lengths[0]) {
            true => Ok(()),
            false => Err(PcaError::State(format!(
                "its lists have {lengths:?} numbers instead of equally many"
            ))),
        }
    }

    /// Number of columns, once there are rows.
    pub(crate) fn width(&self) -> Option<usize> {
        (self.rows > 0).then_some(self.mean.len())
    }

    /// Bytes held.
    pub(crate) fn size(&self) -> usize {
        3 * self.mean.capacity() * size_of::<f64>()
    }

    /// The means.
    pub(crate) fn means(&self) -> Vec<f64> {
        sums(&self.shift, &self.mean)
    }

    /// Adds a block of rows of the same width; on all threads of rayon's if `threaded`.
    pub(crate) fn add<T: Value>(&mut self, block: &[&[T]], threaded: bool) {
        let Some(first) = block.first() else {
            return;
        };
        if self.rows == 0 {
            self.start(first.iter().map(|&x| x.into()).collect());
        }
        let seen = self.rows as f64;
        let columns = self
            .mean
            .chunks_mut(STRIP)
            .zip(self.squares.chunks_mut(STRIP));
        let columns = columns.zip(self.shift.chunks(STRIP)).enumerate();
        let add = |(strip, ((mean, squares), shift)): Strip<'_>| {
            let columns = strip * STRIP..strip * STRIP + mean.len();
            let rows = block.iter().map(|row| &row[columns.clone()]);
            add_strip(rows, seen, shift, mean, squares);
        };
        if threaded {
            columns.collect::<Vec<_>>().into_par_iter().for_each(add);
        } else {
            columns.for_each(add);
        }
        self.rows += block.len() as u64;
    }

    fn start(&mut self, shift: Vec<f64>) {
        self.mean = vec![0.0; shift.len()];
        self.squares = vec![0.0; shift.len()];
        self.shift = shift;
    }

    /// Adds the statistics of other rows of the same width.
    pub(crate) fn merge(&mut self, other: &Self) {
        if other.rows == 0 {
            return;
        }
        if self.rows == 0 {
            self.start(other.shift.clone());
        }
        let (seen, count) = (self.rows as f64, other.rows as f64);
        let shifts = other.shift.iter().zip(&self.shift);
        let theirs = other.mean.iter().zip(&other.squares).zip(shifts);
        let ours = self.mean.iter_mut().zip(&mut self.squares);
        for ((mean, squares), ((m, s), (their_shift, our_shift))) in ours.zip(theirs) {
            let delta = (their_shift - our_shift) + m - *mean;
            *mean += delta * (count / (seen + count));
            *squares += s + delta * delta * (seen * count / (seen + count));
        }
        self.rows += other.rows;
    }

    /// The standardisation that the options ask for.
    pub(crate) fn standard(self, options: &FitOptions) -> Result<Standard> {
        Standard::try_new(self.rows, self.shift, self.mean, &self.squares, options)
    }
}

/// A strip: its number, its means, its squared deviations and its part of the first row.
type Strip<'a> = (usize, ((&'a mut [f64], &'a mut [f64]), &'a [f64]));

/// Adds a strip of a block of rows to what is known of its columns from the rows `seen` before.
fn add_strip<'a, T: Value>(
    rows: impl ExactSizeIterator<Item = &'a [T]> + Clone,
    seen: f64,
    shift: &[f64],
    mean: &mut [f64],
    squares: &mut [f64],
) {
    let count = rows.len() as f64;
    let share = count / (seen + count);
    let mut own_mean = vec![0.0_f64; mean.len()];
    for row in rows.clone() {
        elementwise::add_deviations(&mut own_mean, row, shift);
    }
    own_mean.iter_mut().for_each(|sum| *sum /= count);
    for row in rows {
        elementwise::add_squares(squares, row, shift, &own_mean);
    }
    for ((mean, squares), own) in mean.iter_mut().zip(squares).zip(&own_mean) {
        let delta = own - *mean;
        *mean += delta * share;
        *squares += delta * delta * seen * share;
    }
}

fn sums(shift: &[f64], mean: &[f64]) -> Vec<f64> {
    shift.iter().zip(mean).map(|(s, m)| s + m).collect()
}

/// How the columns of the rows are standardised: Z = (x − shift − mean) / scale.
#[derive(Debug)]
pub(crate) struct Standard {
    /// Rows.
    pub(crate) n: u64,
    pub(crate) shift: Vec<f64>,
    /// Relative to the shift.
    pub(crate) mean: Vec<f64>,
    pub(crate) scale: Vec<f64>,
    /// Sum of the squares of Z, which is the sum of all eigenvalues of Z′Z.
    pub(crate) total: f64,
}

impl Standard {
    /// From the squared deviations of each column.
    pub(crate) fn try_new(
        n: u64,
        shift: Vec<f64>,
        mean: Vec<f64>,
        squares: &[f64],
        options: &FitOptions,
    ) -> Result<Self> {
        let scale = options.scaling.scales(n, &sums(&shift, &mean), squares)?;
        // A scale of 0, Spark's for a constant column, makes the column 0.
        let standardised = squares.iter().zip(&scale).filter(|(_, s)| **s != 0.0);
        let total = standardised.map(|(squares, s)| squares / (s * s)).sum();
        check_total(total)?;
        Ok(Self {
            n,
            shift,
            mean,
            scale,
            total,
        })
    }

    /// Number of columns.
    pub(crate) fn width(&self) -> usize {
        self.mean.len()
    }

    /// How many components to keep, given the leading eigenvalues of Z′Z, or as many as are known.
    pub(crate) fn select(&self, n_components: NComponents, values: &[f64]) -> Result<usize> {
        let rows = usize::try_from(self.n).unwrap_or(usize::MAX);
        let available = rows.min(self.width());
        n_components.select(values, self.total, available, self.n, self.width())
    }

    /// The model, of the leading eigenpairs of Z′Z, at least as many as are kept.
    pub(crate) fn model(
        self,
        values: &[f64],
        vectors: MatRef<'_, f64>,
        null_rows: u64,
        options: &FitOptions,
    ) -> Result<PcaModel> {
        let k = self.select(options.n_components, values)?.min(values.len());
        let width = self.width();
        let mut components = Vec::with_capacity(k * width);
        for column in vectors.subcols(0, k).col_iter() {
            components.extend(column.iter());
        }
        orient(&mut components, width);
        let degrees = self.n as f64 - 1.0;
        let variances = values.iter().take(k).map(|v| v / degrees).collect();
        let mean = sums(&self.shift, &self.mean);
        let total = self.total / degrees;
        PcaModel::try_new(mean, self.scale, components, variances, total, self.n)
            .map(|m| m.with_null_rows(null_rows).with_options(options))
    }
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

    #[test]
    fn blocks_add_up() {
        let rows: Vec<Vec<f64>> = (0..40)
            .map(|i| {
                (0..600)
                    .map(|j| f64::from((i * 7 + j * 13) % 17) + 1e6)
                    .collect()
            })
            .collect();
        let rows: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
        let (mut whole, mut parts) = (Statistics::default(), Statistics::default());
        whole.add(&rows, true);
        rows.chunks(7).for_each(|block| parts.add(block, false));
        assert_eq!(whole.rows, parts.rows);
        for (a, b) in whole.mean.iter().zip(&parts.mean) {
            assert!((a - b).abs() < 1e-12, "{a} {b}");
        }
        for (a, b) in whole.squares.iter().zip(&parts.squares) {
            assert!((a - b).abs() < 1e-9, "{a} {b}");
        }
    }
}
