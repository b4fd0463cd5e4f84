//! Applies a model to rows: centre, scale, project.

use crate::linalg::elementwise;
use crate::model::PcaModel;
use crate::value::Value;
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

/// Rows that are best transformed together.
pub(crate) const BLOCK_ROWS: usize = 256;

/// Columns of a panel: one of the rows and one of the components fit in the cache of a core. The
/// panels are the same for any number of rows, so that a score does not depend on the batch.
const PANEL: usize = 1024;

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
        let (k, d) = (self.n_components(), self.n_features());
        let components = MatRef::from_row_major_slice(&self.components, k, d);
        let mut rows = rows.into_iter();
        scores.reserve(rows.size_hint().0.saturating_mul(k));
        let mut block: Vec<&[T]> = Vec::with_capacity(BLOCK_ROWS);
        let mut panel = Vec::new();
        loop {
            block.clear();
            block.extend(rows.by_ref().take(BLOCK_ROWS));
            if block.is_empty() {
                return;
            }
            let n = block.len();
            let start = scores.len();
            scores.resize(start + n * k, 0.0);
            let (_, target) = scores.split_at_mut(start);
            let mut target = MatMut::from_column_major_slice_mut(target, k, n);
            for column in (0..d).step_by(PANEL) {
                let width = PANEL.min(d - column);
                panel.resize(n * width, 0.0);
                for (z, row) in panel.chunks_exact_mut(width).zip(&block) {
                    self.standardise(row, column, z);
                }
                matmul(
                    target.as_mut(),
                    Accum::Add,
                    components.subcols(column, width),
                    MatRef::from_column_major_slice(&panel, width, n),
                    1.0,
                    Par::Seq,
                );
            }
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
        let mut rows = scores.into_iter();
        let mut block = Vec::new();
        loop {
            block.clear();
            for (i, row) in rows.by_ref().take(BLOCK_ROWS).enumerate() {
                block.extend(row.iter().take(k).map(|&x| -> f64 { x.into() }));
                block.resize((i + 1) * k, 0.0);
            }
            let n = block.len() / k;
            if n == 0 {
                return;
            }
            let start = features.len();
            features.resize(start + n * d, 0.0);
            let (_, target) = features.split_at_mut(start);
            matmul(
                MatMut::from_column_major_slice_mut(target, d, n),
                Accum::Replace,
                MatRef::from_row_major_slice(&self.components, k, d).transpose(),
                MatRef::from_column_major_slice(&block, k, n),
                1.0,
                Par::Seq,
            );
            for row in target.chunks_exact_mut(d) {
                for ((x, scale), mean) in row.iter_mut().zip(&self.scale).zip(&self.mean) {
                    *x = *x * scale + if self.centred { *mean } else { 0.0 };
                }
            }
        }
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
        let (k, d) = (self.n_components(), self.n_features());
        let components = MatRef::from_row_major_slice(&self.components, k, d);
        let mut rows = rows.into_iter();
        let (mut block, mut scores, mut panel) = (Vec::with_capacity(BLOCK_ROWS), vec![], vec![]);
        loop {
            block.clear();
            block.extend(rows.by_ref().take(BLOCK_ROWS));
            if block.is_empty() {
                return;
            }
            let n = block.len();
            scores.clear();
            self.transform(block.iter().copied(), &mut scores);
            let start = errors.len();
            errors.resize(start + n, 0.0);
            let (_, errors) = errors.split_at_mut(start);
            for column in (0..d).step_by(PANEL) {
                let width = PANEL.min(d - column);
                panel.resize(n * width, 0.0);
                for (z, row) in panel.chunks_exact_mut(width).zip(&block) {
                    self.standardise(row, column, z);
                }
                matmul(
                    MatMut::from_column_major_slice_mut(&mut panel, width, n),
                    Accum::Add,
                    components.subcols(column, width).transpose(),
                    MatRef::from_column_major_slice(&scores, k, n),
                    -1.0,
                    Par::Seq,
                );
                for (error, residual) in errors.iter_mut().zip(panel.chunks_exact(width)) {
                    *error += residual.iter().map(|r| r * r).sum::<f64>() / d as f64;
                }
            }
        }
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
