//! The argument `content`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion_common::Result;

/// Encoded images in any binary layout.
pub(super) struct Images(ArrayRef);

impl Images {
    /// `content` must be of a binary type or of type NULL, as the signatures ask for.
    pub(super) fn try_new(content: &ArrayRef) -> Result<Self> {
        Ok(Self(match content.data_type() {
            DataType::FixedSizeBinary(_) => cast(content, &DataType::Binary)?,
            _ => Arc::clone(content),
        }))
    }

    /// The bytes of each row.
    pub(super) fn rows(&self) -> Vec<Option<&[u8]>> {
        match self.0.data_type() {
            DataType::Binary => self.0.as_binary::<i32>().iter().collect(),
            DataType::LargeBinary => self.0.as_binary::<i64>().iter().collect(),
            DataType::BinaryView => self.0.as_binary_view().iter().collect(),
            _ => vec![None; self.0.len()],
        }
    }
}
