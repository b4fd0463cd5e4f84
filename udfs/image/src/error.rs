//! What can go wrong between bytes and features, and how DataFusion is told.

use datafusion_common::DataFusionError;

use crate::decode::DecodeError;

/// Result of this crate's Rust interface.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Error of this crate's Rust interface.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An argument names something that does not exist. [`DataFusionError::Plan`] in a query.
    #[error("{0}")]
    Argument(String),

    /// A setting, or the machine, does not allow what was asked.
    /// [`DataFusionError::Configuration`] in a query.
    #[error("{0}")]
    Configuration(String),

    /// Weights are missing, unreadable or do not fit the network.
    /// [`DataFusionError::Configuration`] in a query.
    #[error("weights {origin}: {message}")]
    Weights {
        /// The file, or the name of the recipe.
        origin: String,
        /// What was expected, what was found and what to do.
        message: String,
    },

    /// Bytes that are not a decodable image. [`DataFusionError::Execution`] in a query.
    #[error("{error}")]
    Decode {
        /// Its place in the batch.
        row: usize,
        /// Why it cannot be decoded.
        #[source]
        error: DecodeError,
    },

    /// More values than one Arrow list array can address.
    /// [`DataFusionError::Execution`] in a query.
    #[error(
        "a batch of {rows} images of {dimension} features each has more values than the 32-bit \
         offsets of a List can address; lower datafusion.execution.batch_size to at most {most}"
    )]
    BatchTooLarge {
        /// Images in the batch.
        rows: usize,
        /// Features of one image.
        dimension: usize,
        /// The largest batch that fits.
        most: usize,
    },

    /// The token of [`crate::cancel`] was triggered. [`DataFusionError::Execution`] in a query, which
    /// nobody reads any more.
    #[error("computation was cancelled")]
    Cancelled,

    /// The tensor library refused an operation. [`DataFusionError::External`] in a query.
    #[error("the network failed: {0}")]
    Network(#[from] candle_core::Error),
}

impl Error {
    /// The same error for another caller who waited for the same; `None` of those that are one caller's own.
    pub(crate) fn again(&self) -> Option<Self> {
        match self {
            Self::Argument(message) => Some(Self::Argument(message.clone())),
            Self::Configuration(message) => Some(Self::Configuration(message.clone())),
            Self::Weights { origin, message } => Some(Self::Weights {
                origin: origin.clone(),
                message: message.clone(),
            }),
            _ => None,
        }
    }

    /// The same error for a caller that speaks DataFusion, with the SQL function's name before it.
    pub(crate) fn in_function(self, function: &str) -> DataFusionError {
        let message = format!("{function}: {self}");
        match self {
            Self::Argument(_) => DataFusionError::Plan(message),
            Self::Configuration(_) | Self::Weights { .. } => {
                DataFusionError::Configuration(message)
            }
            Self::Decode { .. } | Self::BatchTooLarge { .. } | Self::Cancelled => {
                DataFusionError::Execution(message)
            }
            Self::Network(source) => {
                DataFusionError::External(Box::new(source)).context(function.to_owned())
            }
        }
    }
}

/// The text of a tensor-library error without the backtrace it may carry.
pub(crate) fn tensor_message(error: &candle_core::Error) -> String {
    match error {
        candle_core::Error::WithBacktrace { inner, .. } => tensor_message(inner),
        other => other.to_string(),
    }
}
