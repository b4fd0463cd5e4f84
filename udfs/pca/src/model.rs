//! A fitted model.

use crate::error::{PcaError, Result};
use crate::options::{Convention, FitOptions};

/// A fitted principal component analysis: what [`crate::PcaFitter::fit`] returns and `pca_transform`
/// applies.
///
/// Names and meanings are those of scikit-learn's `StandardScaler` and `PCA`.
#[derive(Debug, Clone, PartialEq)]
pub struct PcaModel {
    pub(crate) n_samples: u64,
    pub(crate) null_rows: u64,
    pub(crate) convention: Convention,
    pub(crate) scaled: bool,
    pub(crate) mean: Vec<f64>,
    pub(crate) scale: Vec<f64>,
    /// `k × d`, row-major.
    pub(crate) components: Vec<f64>,
    pub(crate) explained_variance: Vec<f64>,
    pub(crate) explained_variance_ratio: Vec<f64>,
}

impl PcaModel {
    /// Assembles a model of `k = explained_variance.len()` components over `d = mean.len()` columns,
    /// whose total variance is `total`.
    pub(crate) fn try_new(
        mean: Vec<f64>,
        scale: Vec<f64>,
        components: Vec<f64>,
        explained_variance: Vec<f64>,
        total: f64,
        n_samples: u64,
    ) -> Result<Self> {
        let ratio = |v: &f64| if total > 0.0 { v / total } else { 0.0 };
        let model = Self {
            n_samples,
            null_rows: 0,
            convention: Convention::default(),
            scaled: true,
            explained_variance_ratio: explained_variance.iter().map(ratio).collect(),
            mean,
            scale,
            components,
            explained_variance,
        };
        model.validate()?;
        Ok(model)
    }

    pub(crate) fn with_null_rows(mut self, null_rows: u64) -> Self {
        self.null_rows = null_rows;
        self
    }

    pub(crate) fn with_options(mut self, options: &FitOptions) -> Self {
        self.convention = options.convention;
        self.scaled = options.scale;
        self
    }

    /// Checks what every consumer relies on: shapes that agree, finite numbers.
    pub(crate) fn validate(&self) -> Result<()> {
        let (k, d) = (self.n_components(), self.n_features());
        if k == 0 || d == 0 {
            return Err(PcaError::Format(format!(
                "it has {k} components over {d} columns"
            )));
        }
        let shapes = [
            ("scale", self.scale.len(), d),
            ("components", self.components.len(), k.saturating_mul(d)),
            (
                "explained_variance_ratio",
                self.explained_variance_ratio.len(),
                k,
            ),
        ];
        for (name, found, expected) in shapes {
            if found != expected {
                return Err(PcaError::Format(format!(
                    "tensor {name} has {found} values instead of {expected}"
                )));
            }
        }
        let tensors = [
            ("mean", &self.mean),
            ("scale", &self.scale),
            ("components", &self.components),
            ("explained_variance", &self.explained_variance),
            ("explained_variance_ratio", &self.explained_variance_ratio),
        ];
        for (name, values) in tensors {
            if values.iter().any(|v| !v.is_finite()) {
                return Err(PcaError::Format(format!(
                    "tensor {name} has a value that is not finite"
                )));
            }
        }
        Ok(())
    }

    /// Number of components kept, k.
    #[must_use]
    pub fn n_components(&self) -> usize {
        self.explained_variance.len()
    }

    /// Number of values in a row, d.
    #[must_use]
    pub fn n_features(&self) -> usize {
        self.mean.len()
    }

    /// Number of rows that the model was fitted on, NULL rows not counted.
    #[must_use]
    pub fn n_samples(&self) -> u64 {
        self.n_samples
    }

    /// Number of NULL rows that the fit ignored.
    #[must_use]
    pub fn n_null_rows(&self) -> u64 {
        self.null_rows
    }

    /// Whose definitions the model follows.
    #[must_use]
    pub fn convention(&self) -> Convention {
        self.convention
    }

    /// True if the columns were standardised before the analysis.
    #[must_use]
    pub fn is_scaled(&self) -> bool {
        self.scaled
    }

    /// Mean of each column, `d` values.
    #[must_use]
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// What each column is divided by, `d` values; 1 for a constant column and without scaling.
    #[must_use]
    pub fn scale(&self) -> &[f64] {
        &self.scale
    }

    /// Unit vectors of the components, `k × d` values, row-major.
    #[must_use]
    pub fn components(&self) -> &[f64] {
        &self.components
    }

    /// Variance along each component, `k` values in descending order, n − 1 in the denominator.
    #[must_use]
    pub fn explained_variance(&self) -> &[f64] {
        &self.explained_variance
    }

    /// Share of each component in the variance of all columns, `k` values.
    ///
    /// The denominator is the total variance, also of the components that were dropped. If it is
    /// zero, the ratios are 0.
    #[must_use]
    pub fn explained_variance_ratio(&self) -> &[f64] {
        &self.explained_variance_ratio
    }

    /// Bytes held.
    #[must_use]
    pub fn size(&self) -> usize {
        let values = self.mean.capacity()
            + self.scale.capacity()
            + self.components.capacity()
            + self.explained_variance.capacity()
            + self.explained_variance_ratio.capacity();
        size_of::<Self>() + values * size_of::<f64>()
    }
}
