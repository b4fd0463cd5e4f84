//! What can go wrong while fitting, storing or applying a model.

use datafusion_common::DataFusionError;

/// Result of the Rust-level API of this crate.
pub type Result<T, E = PcaError> = std::result::Result<T, E>;

/// An error of the PCA functions.
///
/// Rows and values are counted from 0. A query in parts has no numbering of all its rows: a fit counts
/// the rows that one accumulator has seen, which in SQL are those of one group in one partition, a
/// transformation those of a batch. Errors in SQL say so.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PcaError {
    /// An argument is outside what the function accepts.
    #[error("{0}")]
    Argument(String),
    /// A row without values.
    #[error("row {row} has no values: every row needs at least one")]
    EmptyRow {
        /// Number of the row.
        row: u64,
    },
    /// A row whose length differs from the rows before it.
    #[error(
        "row {row} has {found} values, but the rows before it have {expected}: all rows must have the same number"
    )]
    RowWidth {
        /// Number of the row.
        row: u64,
        /// Length of the rows before it.
        expected: usize,
        /// Length of this row.
        found: usize,
    },
    /// Partial fits of rows of different lengths.
    #[error("some rows have {found} values, others {expected}: all rows must have the same number")]
    PartialWidth {
        /// Length of the rows of the fit that was merged into.
        expected: usize,
        /// Length of the rows of the other.
        found: usize,
    },
    /// A NULL inside a row.
    #[error(
        "row {row} has a NULL at index {index}: replace it by a number, or make the whole row NULL to have it ignored"
    )]
    NullValue {
        /// Number of the row.
        row: u64,
        /// Index of the value in the row.
        index: usize,
    },
    /// A NaN or an infinity inside a row.
    #[error(
        "row {row} has {value} at index {index}: only finite numbers can be analysed; filter the row out or replace the value"
    )]
    NotFinite {
        /// Number of the row.
        row: u64,
        /// Index of the value in the row.
        index: usize,
        /// The value.
        value: f64,
    },
    /// Fewer rows than a variance needs.
    #[error(
        "needs at least 2 rows to estimate a variance, got {rows} ({null_rows} NULL rows ignored)"
    )]
    TooFewRows {
        /// Rows that were not NULL.
        rows: u64,
        /// Rows that were NULL.
        null_rows: u64,
    },
    /// More components asked for than the data has dimensions.
    #[error(
        "n_components = {requested} is more than {available}, the most that {rows} rows of {columns} values can give"
    )]
    TooManyComponents {
        /// The number asked for.
        requested: usize,
        /// The largest number that can be given.
        available: usize,
        /// Rows that were not NULL.
        rows: u64,
        /// Values in a row.
        columns: usize,
    },
    /// More components asked of a model than it has.
    #[error(
        "n_components = {requested} is more than {kept}, the number of components of the model: fit one with more, or with all, by leaving n_components out"
    )]
    TooFewComponents {
        /// The number asked for.
        requested: usize,
        /// Components of the model.
        kept: usize,
    },
    /// More variance asked of a model than its components explain.
    #[error(
        "the {kept} components of the model explain {explained:.4} of the variance, which is not more than {ratio}: fit one with more, or with all, by leaving n_components out"
    )]
    TooLittleVariance {
        /// The ratio asked for.
        ratio: f64,
        /// What the components explain.
        explained: f64,
        /// Components of the model.
        kept: usize,
    },
    /// All columns are constant, so that no ratio of the variance can be reached.
    #[error(
        "the variance of all {columns} columns is zero, so no number of components explains a ratio of it: give an integer n_components, or check the features"
    )]
    NoVariance {
        /// Values in a row.
        columns: usize,
    },
    /// Values so large that their squares leave the range of an f64.
    #[error(
        "the variance of column {column} is not a finite number: its values are too large to be squared; divide them first"
    )]
    Overflow {
        /// Index of the column.
        column: usize,
    },
    /// The variances are so large or so small together that products of theirs overflow or lose digits.
    #[error(
        "the sum of the variances, {total:e}, is too {} for 64-bit floats: {} the values first, or standardise them",
        if *total > 1.0 { "large" } else { "small" },
        if *total > 1.0 { "divide" } else { "multiply" }
    )]
    Magnitude {
        /// The sum of the squares of all deviations, or of the variances.
        total: f64,
    },
    /// The rows do not fit in the memory allowed.
    #[error(
        "needs {needed} bytes for rows of {columns} values, more than the {limit} bytes allowed: raise the memory limit, or ask for fewer components"
    )]
    Memory {
        /// Bytes needed at least.
        needed: usize,
        /// Bytes allowed.
        limit: usize,
        /// Values in a row.
        columns: usize,
    },
    /// The eigenvalue iteration did not converge.
    #[error("the eigendecomposition of a {dimension} × {dimension} matrix did not converge")]
    NoConvergence {
        /// Rows of the matrix.
        dimension: usize,
    },
    /// Bytes that are not a model of this crate, or a damaged one.
    #[error("not a PCA model: {0}; a model is the value that pca_fit returns")]
    Format(String),
    /// Bytes that are not a scaler of this crate, or a damaged one.
    #[error("not a scaler: {0}; a scaler is the value that scaler_fit returns")]
    ScalerFormat(String),
    /// A model written by a newer version.
    #[error(
        "the model has format version {found}, but this build reads versions up to {supported}: update datafusion-featurize, or fit the model again"
    )]
    Version {
        /// Version found in the model.
        found: String,
        /// The newest version that this build reads.
        supported: u32,
    },
    /// Features whose length is not that of the model.
    #[error(
        "row {row} has {found} values, but the model was fitted on rows of {expected}: use features of the same network and pooling"
    )]
    ModelWidth {
        /// Number of the row.
        row: u64,
        /// Length of the rows that the model was fitted on.
        expected: usize,
        /// Length of this row.
        found: usize,
    },
    /// Scores whose length is not the number of components of the model.
    #[error("row {row} has {found} values, but the model has {expected} components")]
    ModelComponents {
        /// Number of the row.
        row: u64,
        /// Components of the model.
        expected: usize,
        /// Length of this row.
        found: usize,
    },
    /// The components did not converge in the Krylov space that there was memory for.
    #[error(
        "{dimension} dimensions, the most that {limit} bytes allow, do not hold the components asked for: raise the memory limit, or ask for fewer components"
    )]
    Space {
        /// Dimension of the space.
        dimension: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// Whoever asked for the model does not want it any more.
    #[error("the fit was cancelled")]
    Cancelled,
    /// Rows could not be written to disk, or read back.
    #[error("cannot keep rows on disk: {0}")]
    Spill(String),
    /// Rows that another process has written to its disk.
    #[error(
        "the rows that a partial aggregate has written to disk are not there any more: they were written by another machine, or the query itself ran out of memory and put the partial aggregate aside; raise memory_limit (or `SET featurize.pca_memory_limit`) so that the rows of each group and partition fit in half of it, or give the query more memory"
    )]
    SpilledElsewhere,
    /// A partial aggregate that this build did not write.
    #[error("cannot read a partial aggregate: {0}; do all machines run the same version?")]
    State(String),
}

/// What a row number in an error counts.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Counted {
    /// Rows that an aggregate has seen.
    Aggregated,
    /// Rows of a batch.
    InBatch,
}

/// Sizes of the sum of the variances with which decompositions are accurate; beyond, numbers overflow or
/// are subnormal.
const ORDINARY: std::ops::RangeInclusive<f64> = 1e-290..=1e290;

/// # Errors
/// When the variances add up to too much or, without all being zero, to too little.
pub(crate) fn check_total(total: f64) -> Result<()> {
    if total == 0.0 || ORDINARY.contains(&total) {
        return Ok(());
    }
    Err(PcaError::Magnitude { total })
}

/// Most rows that partial aggregates may claim together. No query sees so many, and one row more always
/// has a number.
const MOST_ROWS: u64 = u64::MAX / 2;

/// Checks the numbers of rows of two partial aggregates that are about to be added.
///
/// # Errors
/// When they are more than there can be.
pub(crate) fn check_counts(counts: &[u64]) -> Result<()> {
    let total = counts.iter().try_fold(0_u64, |sum, n| sum.checked_add(*n));
    match total.is_some_and(|total| total <= MOST_ROWS) {
        true => Ok(()),
        false => Err(PcaError::State(format!(
            "it and another count {counts:?} rows, which are more than there can be"
        ))),
    }
}

impl PcaError {
    /// Folds the error into DataFusion's, naming the SQL function that met it.
    #[must_use]
    pub fn in_function(self, function: &str) -> DataFusionError {
        self.fold(format!("{function}: {self}"))
    }

    /// As [`Self::in_function`], and says what a row number counts.
    pub(crate) fn in_rows(self, function: &str, counted: Counted) -> DataFusionError {
        let note = match (self.has_row(), counted) {
            (false, _) => "",
            (true, Counted::Aggregated) => {
                " (counted from 0 among the rows of the same group and partition)"
            }
            (true, Counted::InBatch) => " (counted from 0 within a batch)",
        };
        self.fold(format!("{function}: {self}{note}"))
    }

    fn has_row(&self) -> bool {
        matches!(
            self,
            Self::EmptyRow { .. }
                | Self::RowWidth { .. }
                | Self::NullValue { .. }
                | Self::NotFinite { .. }
                | Self::ModelWidth { .. }
                | Self::ModelComponents { .. }
        )
    }

    fn fold(&self, message: String) -> DataFusionError {
        match self {
            Self::Argument(_) => DataFusionError::Plan(message),
            Self::Memory { .. } | Self::Space { .. } | Self::SpilledElsewhere => {
                DataFusionError::ResourcesExhausted(message)
            }
            _ => DataFusionError::Execution(message),
        }
    }
}
