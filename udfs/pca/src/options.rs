//! What a caller asks of a fit: how many components, standardised or not, whose conventions.

use crate::error::{PcaError, Result};
use crate::scaling::{Convention, Scaling};

/// How many components to keep.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum NComponents {
    /// As many as there are: min(rows, columns).
    All,
    /// This many, from 1 to min(rows, columns); in Spark's convention at most.
    Count(usize),
    /// The fewest whose cumulative explained variance ratio is strictly above this, 0 < ratio < 1.
    Ratio(f64),
}

impl NComponents {
    /// Keeps `count` components.
    ///
    /// # Errors
    /// If `count` is 0.
    pub fn try_from_count(count: i128) -> Result<Self> {
        match usize::try_from(count) {
            Ok(count) if count >= 1 => Ok(Self::Count(count)),
            _ => Err(PcaError::Argument(format!(
                "n_components must be an integer of at least 1 or a ratio strictly between 0 and 1, got {count}"
            ))),
        }
    }

    /// Keeps as many components as it takes to explain more than `ratio` of the variance.
    ///
    /// # Errors
    /// Unless 0 < `ratio` < 1. A float such as 5.0 is not taken for a count, nor 1.0 for either: the
    /// reader of a query should not have to guess.
    pub fn try_from_ratio(ratio: f64) -> Result<Self> {
        if ratio > 0.0 && ratio < 1.0 {
            return Ok(Self::Ratio(ratio));
        }
        let hint = if ratio == 1.0 {
            ": write 1 for one component; leave n_components out, or NULL, for all of them"
                .to_string()
        } else if ratio > 1.0 && ratio.fract() == 0.0 && ratio < 1e9 {
            format!(": write {ratio:.0} for that number of components")
        } else {
            String::new()
        };
        Err(PcaError::Argument(format!(
            "n_components as a float is a ratio of the variance and must be strictly between 0 and 1, got {ratio:?}{hint}"
        )))
    }

    /// Most components that this can mean where there are `available` ones.
    pub(crate) fn at_most(self, available: usize) -> usize {
        match self {
            Self::Count(k) => k.min(available),
            Self::All | Self::Ratio(_) => available,
        }
    }

    /// Number of components to keep of the `available` ones, whose explained variances are given in
    /// descending order (at least as many of them as are needed).
    pub(crate) fn select(
        self,
        variances: &[f64],
        total: f64,
        available: usize,
        rows: u64,
        columns: usize,
    ) -> Result<usize> {
        match self {
            Self::All => Ok(available),
            Self::Count(requested) if requested > available => Err(PcaError::TooManyComponents {
                requested,
                available,
                rows,
                columns,
            }),
            Self::Count(count) => Ok(count),
            Self::Ratio(_) if total <= 0.0 => Err(PcaError::NoVariance { columns }),
            Self::Ratio(ratio) => {
                let mut sum = 0.0;
                let below = variances
                    .iter()
                    .take_while(|v| {
                        sum += **v / total;
                        sum <= ratio
                    })
                    .count();
                Ok((below + 1).min(available))
            }
        }
    }
}

/// Options of a fit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FitOptions {
    /// How many components to keep.
    pub n_components: NComponents,
    /// What happens to the columns first.
    pub scaling: Scaling,
    /// Bytes of memory that one accumulator may hold (default [`DEFAULT_MEMORY_LIMIT`]). Rows for
    /// which there is no room go to disk.
    pub memory_limit: usize,
}

/// Bytes that one accumulator may hold unless told otherwise: 1 GiB.
pub const DEFAULT_MEMORY_LIMIT: usize = 1 << 30;

impl FitOptions {
    /// Standardise, scikit-learn's conventions, the default memory limit.
    #[must_use]
    pub fn new(n_components: NComponents) -> Self {
        Self {
            n_components,
            scaling: Scaling::default(),
            memory_limit: DEFAULT_MEMORY_LIMIT,
        }
    }

    /// Sets whether columns are divided by their standard deviation.
    #[must_use]
    pub fn with_scale(mut self, scale: bool) -> Self {
        self.scaling.scale = scale;
        self
    }

    /// Sets whose conventions to follow.
    #[must_use]
    pub fn with_convention(mut self, convention: Convention) -> Self {
        self.scaling.convention = convention;
        self
    }

    /// Sets whether the scaler subtracts the mean, which is `withMean` of Spark and `with_mean` of
    /// scikit-learn. The latter's PCA subtracts it anyway.
    #[must_use]
    pub fn with_mean(mut self, with_mean: bool) -> Self {
        self.scaling.with_mean = Some(with_mean);
        self
    }

    /// Sets the bytes that one accumulator may hold.
    #[must_use]
    pub fn with_memory_limit(mut self, bytes: usize) -> Self {
        self.memory_limit = bytes;
        self
    }

    /// The same for this many rows and columns: all components are as many as there are, and Spark's
    /// convention takes no more than that.
    pub(crate) fn resolved(mut self, rows: u64, columns: usize) -> Self {
        let available = usize::try_from(rows).unwrap_or(usize::MAX).min(columns);
        self.n_components = match self.n_components {
            NComponents::All => NComponents::Count(available),
            NComponents::Count(k) if self.scaling.convention == Convention::Spark => {
                NComponents::Count(k.min(available))
            }
            given => given,
        };
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratio_is_strict() {
        let select = |ratio| NComponents::Ratio(ratio).select(&[2.0, 1.0, 1.0], 4.0, 3, 9, 3);
        assert_eq!(select(0.49), Ok(1));
        assert_eq!(select(0.5), Ok(2));
        assert_eq!(select(0.74), Ok(2));
        assert_eq!(select(0.75), Ok(3));
        assert_eq!(select(0.999), Ok(3));
        // Rounding may keep the sum below any ratio close to 1.
        let short = NComponents::Ratio(0.999_999).select(&[1.0, 1.0], 4.0, 2, 9, 2);
        assert_eq!(short, Ok(2));
    }

    #[test]
    fn count_is_bounded() {
        let error = NComponents::Count(4)
            .select(&[1.0; 3], 3.0, 3, 3, 8)
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "n_components = 4 is more than 3, the most that 3 rows of 8 values can give"
        );
        assert!(NComponents::try_from_count(0).is_err());
        assert!(NComponents::try_from_count(-1).is_err());
        assert_eq!(NComponents::try_from_count(7), Ok(NComponents::Count(7)));
    }

    #[test]
    fn floats_are_ratios() {
        assert!(NComponents::try_from_ratio(0.9).is_ok());
        for bad in [0.0, -0.5, 1.0, 5.0, 1.5, f64::NAN, f64::INFINITY] {
            assert!(NComponents::try_from_ratio(bad).is_err(), "{bad}");
        }
        let one = NComponents::try_from_ratio(1.0).unwrap_err().to_string();
        assert!(one.contains("write 1 for one component"), "{one}");
        let five = NComponents::try_from_ratio(5.0).unwrap_err().to_string();
        assert!(
            five.ends_with("write 5 for that number of components"),
            "{five}"
        );
    }
}
