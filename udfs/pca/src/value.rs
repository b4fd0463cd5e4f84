//! The two element types of a feature vector.

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

    fn finite(self) -> bool {
        self.is_finite()
    }
}

impl Value for f64 {
    type Arrow = Float64Type;

    fn finite(self) -> bool {
        self.is_finite()
    }
}

/// Index of the first value that is NaN or infinite.
pub(crate) fn first_not_finite<T: Value>(row: &[T]) -> Option<usize> {
    // Without the early exit inside a chunk the test compiles to vector instructions.
    let chunk = 1024;
    let dirty = row
        .chunks(chunk)
        .position(|c| !c.iter().fold(true, |all, v| all & v.finite()))?;
    let start = dirty * chunk;
    let within = row.iter().skip(start).position(|v| !v.finite())?;
    Some(start + within)
}
