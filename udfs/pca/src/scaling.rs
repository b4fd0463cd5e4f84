//! What happens to columns before they are analysed: whose definitions, divided or not, centred or not.

use crate::error::{PcaError, Result};

/// Whose definitions of scaler and PCA a model follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Convention {
    /// scikit-learn's `StandardScaler` and `PCA`: the scaler divides by the standard deviation over
    /// n, a constant column has scale 1, and the mean is subtracted before projecting.
    #[default]
    ScikitLearn,
    /// Spark ML's `StandardScaler` and `PCA`: the scaler divides by the standard deviation over n − 1, a
    /// constant column becomes 0, and the mean is subtracted before projecting only if it is asked for.
    Spark,
}

impl Convention {
    /// Name in SQL and in the metadata of a model.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ScikitLearn => "scikit-learn",
            Self::Spark => "spark",
        }
    }

    /// Whether its scaler subtracts the mean unless told otherwise.
    pub(crate) fn centres(self) -> bool {
        self == Self::ScikitLearn
    }

    /// The convention of this name.
    ///
    /// # Errors
    /// If there is none.
    pub fn try_from_name(name: &str) -> Result<Self> {
        match name {
            "scikit-learn" | "sklearn" => Ok(Self::ScikitLearn),
            "spark" => Ok(Self::Spark),
            _ => Err(PcaError::Argument(format!(
                "convention must be 'scikit-learn' or 'spark', got '{name}'"
            ))),
        }
    }
}

/// What a `StandardScaler` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scaling {
    /// Whose definitions to follow.
    pub convention: Convention,
    /// Divide each column by its standard deviation (default true).
    pub scale: bool,
    /// Subtract the mean of each column (default: true in scikit-learn, false in Spark).
    pub with_mean: Option<bool>,
}

impl Default for Scaling {
    fn default() -> Self {
        Self {
            convention: Convention::default(),
            scale: true,
            with_mean: None,
        }
    }
}

impl Scaling {
    /// True if a scaler of this kind subtracts the mean.
    pub(crate) fn centres(&self) -> bool {
        self.with_mean.unwrap_or_else(|| self.convention.centres())
    }

    /// True if a scaler of this kind or the analysis after it subtracts the mean.
    pub(crate) fn analysis_centres(&self) -> bool {
        self.convention.centres() || self.centres()
    }

    /// Scales of columns of these means and sums of squared deviations over `n` rows.
    ///
    /// # Errors
    /// If values were too large to be squared.
    pub(crate) fn scales(&self, n: u64, means: &[f64], squares: &[f64]) -> Result<Vec<f64>> {
        if let Some(column) = squares.iter().position(|s| !s.is_finite()) {
            return Err(PcaError::Overflow { column });
        }
        let columns = means.iter().zip(squares);
        Ok(columns.map(|(m, s)| self.column_scale(n, *m, *s)).collect())
    }

    /// Scale of a column of this mean and sum of squared deviations over `n` rows.
    fn column_scale(&self, n: u64, mean: f64, squares: f64) -> f64 {
        let n = n as f64;
        if !self.scale {
            return 1.0;
        }
        let variance = squares / n;
        if is_constant(n, mean, variance) {
            return match self.convention {
                Convention::ScikitLearn => 1.0,
                // A scale of 0 stands for "multiply by 0", as Spark does.
                Convention::Spark => 0.0,
            };
        }
        match self.convention {
            Convention::ScikitLearn => variance.sqrt(),
            Convention::Spark => (squares / (n - 1.0)).sqrt(),
        }
    }
}

/// scikit-learn's test for a column whose variance is rounding noise: the error bound of the
/// two-pass algorithm in T. F. Chan, G. H. Golub and R. J. LeVeque, "Algorithms for computing the
/// sample variance: analysis and recommendations" (The American Statistician 37, 1983).
fn is_constant(n: f64, mean: f64, variance: f64) -> bool {
    let noise = n * mean * f64::EPSILON;
    variance <= n * f64::EPSILON * variance + noise * noise
}
