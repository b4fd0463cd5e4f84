//! Applies a model to rows: centre, scale, project.

use crate::model::PcaModel;
use crate::options::Convention;
use crate::value::Value;
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

/// Bytes of the standardised block that goes through one matrix product.
const BLOCK_BYTES: usize = 8 << 20;

impl PcaModel {
    /// Number of rows that are best transformed together.
    #[must_use]
    pub fn block_rows(&self) -> usize {
        (BLOCK_BYTES / size_of::<f64>() / self.n_features()).clamp(16, 1024)
    }

    /// Projects rows of [`Self::n_features`] values on the components and appends
    /// [`Self::n_components`] scores for each to `scores`, row-major. Values beyond the width of the
    /// model are not read, missing ones count as the mean; the SQL functions check the length first.
    pub fn transform<'a, T: Value>(
        &self,
        rows: impl IntoIterator<Item = &'a [T]>,
        scores: &mut Vec<f64>,
    ) {
        let (k, d) = (self.n_components(), self.n_features());
        let block_rows = self.block_rows();
        let mut rows = rows.into_iter().peekable();
        let mut block = Vec::new();
        while rows.peek().is_some() {
            block.clear();
            let mut n = 0;
            for row in rows.by_ref().take(block_rows) {
                n += 1;
                self.standardise(row, &mut block);
                block.resize(n * d, 0.0);
            }
            let start = scores.len();
            scores.resize(start + n * k, 0.0);
            let (_, target) = scores.split_at_mut(start);
            matmul(
                MatMut::from_column_major_slice_mut(target, k, n),
                Accum::Replace,
                MatRef::from_row_major_slice(&self.components, k, d),
                MatRef::from_column_major_slice(&block, d, n),
                1.0,
                Par::rayon(0),
            );
        }
    }

    /// Appends the centred and scaled row; Spark's convention only scales.
    fn standardise<T: Value>(&self, row: &[T], block: &mut Vec<f64>) {
        let columns = row.iter().zip(&self.scale);
        match self.convention {
            Convention::ScikitLearn => block.extend(
                columns
                    .zip(&self.mean)
                    .map(|((&x, scale), mean)| (Into::<f64>::into(x) - mean) / scale),
            ),
            Convention::Spark => block.extend(columns.map(|(&x, &scale)| {
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
