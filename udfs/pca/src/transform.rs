//! Applies a model to rows: centre, scale, project.

use crate::model::PcaModel;
use crate::options::Convention;
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
                panel.clear();
                for (i, row) in block.iter().enumerate() {
                    self.standardise(row, column, width, &mut panel);
                    panel.resize((i + 1) * width, 0.0);
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

    /// Appends columns of the centred and scaled row; Spark's convention only scales.
    fn standardise<T: Value>(&self, row: &[T], start: usize, width: usize, panel: &mut Vec<f64>) {
        let end = start + width;
        let row = row.get(start..end.min(row.len())).unwrap_or_default();
        let scale = self.scale.get(start..end).unwrap_or_default();
        let mean = self.mean.get(start..end).unwrap_or_default();
        let columns = row.iter().zip(scale);
        match self.convention {
            Convention::ScikitLearn => panel.extend(
                columns
                    .zip(mean)
                    .map(|((&x, scale), mean)| (Into::<f64>::into(x) - mean) / scale),
            ),
            Convention::Spark => panel.extend(columns.map(|(&x, &scale)| {
                if scale == 0.0 {
                    0.0
                } else {
                    Into::<f64>::into(x) / scale
                }
            })),
        }
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
}
