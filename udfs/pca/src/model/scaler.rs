//! The standardisation of a PCA by itself: the `StandardScaler` of scikit-learn and of Spark ML.

use crate::error::{PcaError, Result};
use crate::fit::standard::Statistics;
use crate::linalg::elementwise;
use crate::model::container::{self, Reader, Tensor, WITH_MEAN};
use crate::scaling::{Convention, Scaling};
use crate::value::{Value, check_row};

const FORMAT: &str = "datafusion-featurize.scaler";
const MEAN: &str = "mean";
const SCALE: &str = "scale";

/// Means and scales of columns: what `scaler_fit` returns and `scaler_transform` applies.
#[derive(Debug, Clone, PartialEq)]
pub struct Scaler {
    n_samples: u64,
    null_rows: u64,
    convention: Convention,
    centred: bool,
    mean: Vec<f64>,
    scale: Vec<f64>,
}

impl Scaler {
    /// Number of values in a row.
    #[must_use]
    pub fn n_features(&self) -> usize {
        self.mean.len()
    }

    /// Number of rows that the scaler was fitted on, NULL rows not counted.
    #[must_use]
    pub fn n_samples(&self) -> u64 {
        self.n_samples
    }

    /// Mean of each column.
    #[must_use]
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// What each column is divided by; 1 for a constant one (0, for "becomes 0", if the convention is
    /// Spark's).
    #[must_use]
    pub fn scale(&self) -> &[f64] {
        &self.scale
    }

    /// Appends the standardised rows, row-major. Values beyond the width of the scaler are not read;
    /// the SQL function checks the length first.
    pub fn transform<'a, T: Value>(
        &self,
        rows: impl IntoIterator<Item = &'a [T]>,
        standardised: &mut Vec<f64>,
    ) {
        for row in rows {
            let start = standardised.len();
            standardised.resize(start + row.len().min(self.n_features()), 0.0);
            let (_, target) = standardised.split_at_mut(start);
            if self.centred {
                elementwise::standardise(target, row, &self.mean, &self.scale);
            } else {
                elementwise::divide(target, row, &self.scale);
            }
        }
    }

    /// Writes the scaler in the safetensors layout: tensors `mean` and `scale`, F64.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let shape = [self.n_features()];
        container::encode(FORMAT, &self.metadata(), &self.tensors(&shape))
    }

    /// Reads a scaler that [`Self::encode`] wrote.
    ///
    /// # Errors
    /// As [`crate::PcaModel::decode`].
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        Self::read(bytes).map_err(|e| match e {
            PcaError::Format(reason) => PcaError::ScalerFormat(reason),
            e => e,
        })
    }

    fn read(bytes: &[u8]) -> Result<Self> {
        let reader = Reader::try_new(bytes, FORMAT)?;
        let (mean, mean_shape) = reader.tensor(MEAN)?;
        let (scale, scale_shape) = reader.tensor(SCALE)?;
        if mean_shape != scale_shape || mean_shape.len() != 1 || mean.is_empty() {
            return Err(PcaError::Format(format!(
                "tensors mean and scale have the shapes {mean_shape:?} and {scale_shape:?} instead of [d]"
            )));
        }
        let convention = Convention::try_from_name(reader.text("convention")?)
            .map_err(|e| PcaError::Format(e.to_string()))?;
        let scaler = Self {
            n_samples: reader.parse("n_samples")?,
            null_rows: reader.parse("n_null_rows")?,
            convention,
            centred: reader
                .parse_if_there(WITH_MEAN)?
                .unwrap_or_else(|| convention.centres()),
            mean,
            scale,
        };
        reader.verify(FORMAT, &scaler.metadata(), &scaler.tensors(&mean_shape))?;
        Ok(scaler)
    }

    fn metadata(&self) -> Vec<(&'static str, String)> {
        let mut metadata = vec![
            ("n_samples", self.n_samples.to_string()),
            ("n_null_rows", self.null_rows.to_string()),
            ("convention", self.convention.name().to_string()),
        ];
        if self.centred != self.convention.centres() {
            metadata.push((WITH_MEAN, self.centred.to_string()));
        }
        metadata
    }

    fn tensors<'a>(&'a self, shape: &'a [usize]) -> [Tensor<'a>; 2] {
        [(MEAN, shape, &self.mean), (SCALE, shape, &self.scale)]
    }
}

/// Collects rows for a [`Scaler`], and merges as [`crate::PcaFitter`] does.
#[derive(Debug, Default)]
pub struct ScalerFitter {
    pub(crate) seen: Statistics,
    pub(crate) null_rows: u64,
}

impl ScalerFitter {
    /// An empty fitter.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one row.
    ///
    /// # Errors
    /// If the row is empty, differs in length from the rows before it, or holds a NaN or an infinity.
    pub fn push<T: Value>(&mut self, row: &[T]) -> Result<()> {
        check_row(row, self.seen.rows + self.null_rows, self.seen.width())?;
        self.seen.add(&[row], false);
        Ok(())
    }

    /// Fits the scaler.
    ///
    /// # Errors
    /// If there are fewer than two rows, or values too large to be squared.
    pub fn fit(&self, scaling: Scaling) -> Result<Scaler> {
        let Statistics { rows, squares, .. } = &self.seen;
        if *rows < 2 {
            return Err(PcaError::TooFewRows {
                rows: *rows,
                null_rows: self.null_rows,
            });
        }
        let mean = self.seen.means();
        Ok(Scaler {
            n_samples: *rows,
            null_rows: self.null_rows,
            convention: scaling.convention,
            centred: scaling.centres(),
            scale: scaling.scales(*rows, &mean, squares)?,
            mean,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FitOptions, NComponents, PcaFitter};

    fn rows() -> Vec<Vec<f64>> {
        (0..50)
            .map(|i| {
                (0..6)
                    .map(|j| ((i * 7 + j * 3) % 11) as f64 + f64::from(j))
                    .collect()
            })
            .collect()
    }

    fn seen(rows: &[Vec<f64>]) -> Statistics {
        let mut seen = Statistics::default();
        let rows: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
        rows.chunks(8).for_each(|block| seen.add(block, false));
        seen
    }

    fn scaler(seen: Statistics, scaling: Scaling) -> Scaler {
        let null_rows = 0;
        ScalerFitter { seen, null_rows }.fit(scaling).unwrap()
    }

    #[test]
    fn it_is_the_scaler_of_the_pca() {
        let mut pca = PcaFitter::<f64>::new(FitOptions::new(NComponents::Count(1)));
        rows().iter().for_each(|r| pca.push(r).unwrap());
        let model = pca.fit().unwrap();
        let scaler = scaler(seen(&rows()), Scaling::default());
        for (a, b) in scaler.mean().iter().zip(model.mean()) {
            assert!((a - b).abs() < 1e-13);
        }
        for (a, b) in scaler.scale().iter().zip(model.scale()) {
            assert!((a - b).abs() < 1e-13);
        }
    }

    #[test]
    fn means_much_larger_than_deviations_cost_no_digits() {
        let small = rows();
        let large: Vec<Vec<f64>> = small
            .iter()
            .map(|row| row.iter().map(|x| x + 1e12).collect())
            .collect();
        let expected = scaler(seen(&small), Scaling::default());
        let mut merged = seen(&large[..20]);
        merged.merge(&seen(&large[20..]));
        for seen in [seen(&large), merged] {
            let scaler = scaler(seen, Scaling::default());
            for (found, expected) in scaler.scale().iter().zip(expected.scale()) {
                assert!((found - expected).abs() < 1e-13, "{found} {expected}");
            }
        }
    }

    #[test]
    fn merging_equals_one_pass() {
        let rows = rows();
        let mut merged = Statistics::default();
        merged.merge(&seen(&rows[..7]));
        merged.merge(&Statistics::default());
        merged.merge(&seen(&rows[7..]));
        let whole = seen(&rows);
        assert_eq!(merged.rows, whole.rows);
        for (a, b) in merged.squares.iter().zip(&whole.squares) {
            assert!((a - b).abs() < 1e-10);
        }
    }

    #[test]
    fn standardised_columns_have_mean_0_and_variance_1() {
        let rows = rows();
        let scaler = scaler(seen(&rows), Scaling::default());
        let mut z = vec![];
        scaler.transform(rows.iter().map(Vec::as_slice), &mut z);
        for j in 0..6 {
            let column = || z.iter().skip(j).step_by(6);
            assert!(column().sum::<f64>().abs() < 1e-12);
            assert!((column().map(|v| v * v).sum::<f64>() / 50.0 - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn round_trip_and_damage() {
        let spark = Scaling {
            convention: Convention::Spark,
            with_mean: Some(true),
            ..Scaling::default()
        };
        let scaler = scaler(seen(&rows()), spark);
        let mut bytes = scaler.encode();
        assert_eq!(Scaler::decode(&bytes).unwrap(), scaler);
        if let Some(last) = bytes.last_mut() {
            *last ^= 1;
        }
        let error = Scaler::decode(&bytes).unwrap_err().to_string();
        assert!(error.starts_with("not a scaler: its checksum"), "{error}");
        let model = crate::PcaModel::decode(&scaler.encode())
            .unwrap_err()
            .to_string();
        assert!(
            model.contains("'datafusion-featurize.scaler' instead of"),
            "{model}"
        );
    }
}
