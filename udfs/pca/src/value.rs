//! The two element types of a feature vector.

use crate::error::{PcaError, Result};
use arrow::datatypes::{ArrowNativeType, ArrowPrimitiveType, Float32Type, Float64Type};

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// Element of a feature vector: `f32` or `f64`.
///
/// Rows are kept in the precision they came in; all arithmetic on them is in `f64`.
pub trait Value: ArrowNativeType + Into<f64> + sealed::Sealed {
    /// Arrow's type of such an element.
    type Arrow: ArrowPrimitiveType<Native = Self>;

    /// True if the value is neither NaN nor infinite.
    fn finite(self) -> bool;
}

impl Value for f32 {
    type Arrow = Float32Type;

    #[inline]
    fn finite(self) -> bool {
        self.is_finite()
    }
}

impl Value for f64 {
    type Arrow = Float64Type;

    #[inline]
    fn finite(self) -> bool {
        self.is_finite()
    }
}

/// Refuses a row that cannot follow rows of this width: `number` is what errors call it.
pub(crate) fn check_row<T: Value>(row: &[T], number: u64, width: Option<usize>) -> Result<()> {
    let found = row.len();
    match width {
        Some(expected) if expected != found => {
            return Err(PcaError::RowWidth {
                row: number,
                expected,
                found,
            });
        }
        None if found == 0 => return Err(PcaError::EmptyRow { row: number }),
        _ => {}
    }
    // Without the early exit inside a chunk the test compiles to vector instructions.
    let is_clean = |chunk: &[T]| chunk.iter().fold(true, |all, v| all & v.finite());
    if row.chunks(1024).all(is_clean) {
        return Ok(());
    }
    let dirty = row.iter().enumerate().find(|(_, v)| !v.finite());
    dirty.map_or(Ok(()), |(index, &value)| {
        Err(PcaError::NotFinite {
            row: number,
            index,
            value: value.into(),
        })
    })
}
