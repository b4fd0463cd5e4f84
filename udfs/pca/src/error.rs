//! What can go wrong while fitting, storing or applying a model.

use datafusion_common::DataFusionError;

/// Result of the Rust-level API of this crate.
pub type Result<T, E = PcaError> = std::result::Result<T, E>;

/// An error of the PCA functions.
///
/// Rows and values are counted from 0. Row numbers are those of the partition (or of the batch) that
/// held the row, since a distributed query has no global row number.
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
    /// The rows do not fit in the memory allowed.
    #[error(
        "needs {needed} bytes for rows of {columns} values, more than the {limit} bytes allowed: raise the limit, or fit fewer rows or columns"
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
        "the model has format version {found}, but this build reads version {supported}: update datafusion-featurize, or fit the model again"
    )]
    Version {
        /// Version found in the model.
        found: String,
        /// Version that this build reads and writes.
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
    /// A partial aggregate that this build did not write.
    #[error("cannot read a partial aggregate: {0}; do all machines run the same version?")]
    State(String),
}

impl PcaError {
    /// Folds the error into DataFusion's, naming the SQL function that met it.
    #[must_use]
    pub fn in_function(self, function: &str) -> DataFusionError {
        let message = format!("{function}: {self}");
        match self {
            Self::Argument(_) => DataFusionError::Plan(message),
            Self::Memory { .. } => DataFusionError::ResourcesExhausted(message),
            _ => DataFusionError::Execution(message),
        }
    }
}
