//! Applies a model to rows: centre, scale, project.

use crate::linalg::elementwise;
use crate::model::pca::PcaModel;
use crate::value::Value;
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef, Par};

/// Rows that are best transformed together.
pub(crate) const BLOCK_ROWS: usize = 256;

/// Columns of a panel: one of the rows and one of the components fit in the cache of a core. The
/// panels are the same for any number of rows, so that a score does not depend on the batch.
const PANEL: usize = 1024;

/// Calls `f` with the rows, [`BLOCK_ROWS`] at a time.
fn for_each_block<'a, T: Value>(
    mut rows: impl Iterator<Item = &'a [T]>,
    mut f: impl FnMut(&[&'a [T]]),
) {
    let mut block = Vec::with_capacity(BLOCK_ROWS);
    loop {
        block.clear();
        block.extend(rows.by_ref().take(BLOCK_ROWS));
        if block.is_empty() {
            return;
        }
        f(&block);
    }
}

/// Appends so many zeros, and gives them back to be written to.
fn append(values: &mut Vec<f64>, count: usize) -> &mut [f64] {
    let start = values.len();
    values.resize(start + count, 0.0);
    &mut values[start..]
}

impl PcaModel {
    /// Projects rows of [`Self::n_features`] values on the components and appends
    /// [`Self::n_components`] scores for each to `scores`, row-major. Values beyond the width of the
    /// model are not read, missing ones count as the mean; the SQL functions check the length first.
    ///
    /// Runs on the calling thread: partitions and batches are what queries run in parallel.
    pub fn transform<'a, T: Value>(
        &self,
        rows: impl IntoIterator<Item = &'a [T]>,
        scores: &mut Vec<f64>,
    ) {
        let rows = rows.into_iter();
        scores.reserve(rows.size_hint().0.saturating_mul(self.n_components()));
        let mut panel = Vec::new();
        for_each_block(rows, |block| self.project(block, scores, &mut panel));
    }

    /// Appends the scores of a block of rows.
    fn project<T: Value>(&self, block: &[&[T]], scores: &mut Vec<f64>, panel: &mut Vec<f64>) {
        let (k, n) = (self.n_components(), block.len());
        let mut target = MatMut::from_column_major_slice_mut(append(scores, n * k), k, n);
        self.for_each_panel(block, panel, |panel, components| {
            matmul(
                target.as_mut(),
                Accum::Add,
                components,
                MatRef::from_column_major_slice(panel, components.ncols(), n),
                1.0,
                Par::Seq,
            );
        });
    }

    /// Calls `f` with the standardised rows of a block, panel by panel of the columns, and with those columns
    /// of the components.
    fn for_each_panel<T: Value>(
        &self,
        block: &[&[T]],
        panel: &mut Vec<f64>,
        mut f: impl FnMut(&mut [f64], MatRef<'_, f64>),
    ) {
        let (k, d) = (self.n_components(), self.n_features());
        let components = MatRef::from_row_major_slice(&self.components, k, d);
        for column in (0..d).step_by(PANEL) {
            let width = PANEL.min(d - column);
            panel.resize(block.len() * width, 0.0);
            for (z, row) in panel.chunks_exact_mut(width).zip(block) {
                self.standardise(row, column, z);
            }
            f(panel, components.subcols(column, width));
        }
    }

    /// Turns rows of [`Self::n_components`] scores back into [`Self::n_features`] values each, appended
    /// to `features`, row-major: the inverse of [`Self::transform`] but for what the components that
    /// were dropped explained.
    pub fn inverse_transform<'a, T: Value>(
        &self,
        scores: impl IntoIterator<Item = &'a [T]>,
        features: &mut Vec<f64>,
    ) {
        let (k, d) = (self.n_components(), self.n_features());
        let components = MatRef::from_row_major_slice(&self.components, k, d);
        for_each_block(scores.into_iter(), |block| {
            let scores = Mat::from_fn(k, block.len(), |c, row| {
                block[row].get(c).map_or(0.0, |&score| score.into())
            });
            let target = append(features, block.len() * d);
            matmul(
                MatMut::from_column_major_slice_mut(target, d, block.len()),
                Accum::Replace,
                components.transpose(),
                &scores,
                1.0,
                Par::Seq,
            );
            for row in target.chunks_exact_mut(d) {
                for ((x, scale), mean) in row.iter_mut().zip(&self.scale).zip(&self.mean) {
                    *x = *x * scale + if self.centred { *mean } else { 0.0 };
                }
            }
        });
    }

    /// Appends for each row the mean over the columns of (z − ẑ)², where z is the standardised row and
    /// ẑ its reconstruction from its scores: the squared prediction error (J. E. Jackson and
    /// G. S. Mudholkar, "Control procedures for residuals associated with principal component
    /// analysis", Technometrics 21, 1979) divided by the number of columns.
    pub fn reconstruction_errors<'a, T: Value>(
        &self,
        rows: impl IntoIterator<Item = &'a [T]>,
        errors: &mut Vec<f64>,
    ) {
        let (mut scores, mut panel) = (vec![], vec![]);
        for_each_block(rows.into_iter(), |block| {
            let n = block.len();
            scores.clear();
            self.project(block, &mut scores, &mut panel);
            let scores = MatRef::from_column_major_slice(&scores, self.n_components(), n);
            let errors = append(errors, n);
            self.for_each_panel(block, &mut panel, |panel, components| {
                let width = components.ncols();
                matmul(
                    MatMut::from_column_major_slice_mut(panel, width, n),
                    Accum::Add,
                    components.transpose(),
                    scores,
                    -1.0,
                    Par::Seq,
                );
                for (error, residual) in errors.iter_mut().zip(panel.chunks_exact(width)) {
                    let squares = residual.iter().map(|r| r * r).sum::<f64>();
                    *error += squares / self.n_features() as f64;
                }
            });
        });
    }

    /// Columns of the scaled row from `start` on, centred if the model is, 0 beyond its end.
    fn standardise<T: Value>(&self, row: &[T], start: usize, target: &mut [f64]) {
        let end = row.len().min(self.mean.len()).min(start + target.len());
        let columns = start..end.max(start);
        let (target, beyond) = target.split_at_mut(columns.len());
        let (row, scale) = (&row[columns.clone()], &self.scale[columns.clone()]);
        if self.centred {
            elementwise::standardise(target, row, &self.mean[columns], scale);
        } else {
            elementwise::divide(target, row, scale);
        }
        beyond.fill(0.0);
    }
}

#[cfg(test)]
mod tests {
    use crate::{FitOptions, NComponents, PcaFitter};

    fn rows(n: usize, d: usize) -> Vec<Vec<f64>> {
        (0..n)
            .map(|i| {
                (0..d)
                    .map(|j| ((i * 31 + j * 17) % 23) as f64 + (i * j) as f64 * 0.1)
                    .collect()
            })
            .collect()
    }

    #[test]
    fn the_mean_goes_to_the_origin_and_scores_have_the_variances() {
        for d in [4, 60] {
            let data = rows(30, d);
            let mut fitter = PcaFitter::<f64>::new(FitOptions::new(NComponents::Count(3)));
            data.iter().for_each(|r| fitter.push(r).unwrap());
            let model = fitter.fit().unwrap();
            let mut origin = vec![];
            model.transform([model.mean()], &mut origin);
            assert_eq!(origin, [0.0; 3]);

            let mut scores = vec![];
            model.transform(data.iter().map(Vec::as_slice), &mut scores);
            for c in 0..3 {
                let sum: f64 = scores.iter().skip(c).step_by(3).sum();
                let squares: f64 = scores.iter().skip(c).step_by(3).map(|s| s * s).sum();
                assert!(sum.abs() < 1e-10);
                let variance = squares / 29.0;
                let expected = model.explained_variance()[c];
                assert!(
                    (variance / expected - 1.0).abs() < 1e-12,
                    "{variance} {expected}"
                );
            }
        }
    }

    #[test]
    fn what_is_kept_comes_back_and_what_is_dropped_is_the_error() {
        let data = rows(30, 4);
        let model = |k| {
            let mut fitter = PcaFitter::<f64>::new(FitOptions::new(NComponents::Count(k)));
            data.iter().for_each(|r| fitter.push(r).unwrap());
            fitter.fit().unwrap()
        };
        let slices = || data.iter().map(Vec::as_slice);
        let (mut scores, mut back, mut errors) = (vec![], vec![], vec![]);
        let all = model(4);
        all.transform(slices(), &mut scores);
        all.inverse_transform(scores.chunks_exact(4), &mut back);
        for (x, y) in back.iter().zip(data.iter().flatten()) {
            assert!((x - y).abs() < 1e-12 * 100.0, "{x} {y}");
        }
        all.reconstruction_errors(slices(), &mut errors);
        assert!(errors.iter().all(|e| *e < 1e-28));

        errors.clear();
        model(2).reconstruction_errors(slices(), &mut errors);
        let dropped: f64 = all.explained_variance().iter().skip(2).sum();
        let mean = errors.iter().sum::<f64>() / 29.0 * 4.0;
        assert!((mean / dropped - 1.0).abs() < 1e-12, "{mean} {dropped}");
    }
}
