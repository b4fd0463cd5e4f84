//! A fitted principal component analysis.

use crate::error::{PcaError, Result};
use crate::options::{FitOptions, NComponents};
use crate::scaling::Convention;

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
    /// Whether the mean is subtracted before projecting.
    pub(crate) centred: bool,
    /// The number of components asked for, if it is more than there are.
    pub(crate) requested: Option<usize>,
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
            centred: true,
            requested: None,
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
        self.convention = options.scaling.convention;
        self.scaled = options.scaling.scale;
        self.centred = options.scaling.analysis_centres();
        self
    }

    /// Remembers a number of components that is larger than that of the model.
    pub(crate) fn asked_for(mut self, n_components: NComponents) -> Self {
        if let NComponents::Count(k) = n_components
            && k > self.n_components()
        {
            self.requested = Some(k);
        }
        self
    }

    /// The model of the first components only, as a fit of so many would give it.
    ///
    /// # Errors
    /// If the model has fewer than `n_components` asks for, unless that is all that its rows can give and
    /// the convention is Spark's.
    pub fn truncate(&self, n_components: NComponents) -> Result<Self> {
        let (kept, columns) = (self.n_components(), self.n_features());
        let available = usize::try_from(self.n_samples).map_or(columns, |n| n.min(columns));
        let complete = kept == available;
        let k = match n_components {
            NComponents::All => return Ok(self.clone()),
            NComponents::Count(k) if k <= kept => k,
            NComponents::Count(_) if complete && self.convention == Convention::Spark => kept,
            NComponents::Count(requested) => {
                return Err(PcaError::TooFewComponents { requested, kept });
            }
            NComponents::Ratio(ratio) => {
                let explained: f64 = self.explained_variance_ratio.iter().sum();
                if explained == 0.0 {
                    return Err(PcaError::NoVariance { columns });
                }
                // The sum of all shares may fall short of 1 by rounding.
                if explained <= ratio && !complete {
                    return Err(PcaError::TooLittleVariance {
                        ratio,
                        explained,
                        kept,
                    });
                }
                let shares = &self.explained_variance_ratio;
                n_components.select(shares, 1.0, kept, self.n_samples, columns)?
            }
        };
        let first = |values: &[f64], count| values.iter().take(count).copied().collect();
        let model = Self {
            components: first(&self.components, k * columns),
            explained_variance: first(&self.explained_variance, k),
            explained_variance_ratio: first(&self.explained_variance_ratio, k),
            requested: None,
            mean: self.mean.clone(),
            scale: self.scale.clone(),
            ..*self
        };
        Ok(model.asked_for(n_components))
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

    /// True if the mean is subtracted from rows before they are projected.
    #[must_use]
    pub fn is_centred(&self) -> bool {
        self.centred
    }

    /// The number of components that was asked for, if there are not so many.
    #[must_use]
    pub fn n_components_requested(&self) -> Option<usize> {
        self.requested
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
}
