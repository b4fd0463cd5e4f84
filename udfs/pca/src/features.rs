//! Arrow list columns as rows of numbers.

use crate::error::PcaError;
use crate::value::Value;
use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{ArrowNativeType, DataType, Field};
use datafusion_common::{Result, internal_datafusion_err, internal_err, plan_err};
use std::ops::Range;
use std::sync::Arc;

/// Type that a features argument is coerced to: the same kind of list, of `Float32` or `Float64`.
///
/// Elements keep their precision where there is a choice; a list that is already of either type is
/// not copied.
pub(crate) fn coerce(function: &str, argument: &str, data_type: &DataType) -> Result<DataType> {
    let element = |field: &Arc<Field>| -> Result<Arc<Field>> {
        let target = match field.data_type() {
            DataType::Float32 | DataType::Float64 => return Ok(Arc::clone(field)),
            // Exact in an f32.
            DataType::Float16
            | DataType::Int8
            | DataType::Int16
            | DataType::UInt8
            | DataType::UInt16 => DataType::Float32,
            t if t.is_integer() || t.is_decimal() || t.is_null() => DataType::Float64,
            t => {
                return plan_err!(
                    "{function}: {argument} must be a list of numbers, got a list of {t}"
                );
            }
        };
        Ok(Arc::new(field.as_ref().clone().with_data_type(target)))
    };
    match data_type {
        DataType::List(field) | DataType::ListView(field) => Ok(DataType::List(element(field)?)),
        DataType::LargeList(field) | DataType::LargeListView(field) => {
            Ok(DataType::LargeList(element(field)?))
        }
        DataType::FixedSizeList(field, size) => Ok(DataType::FixedSizeList(element(field)?, *size)),
        DataType::Null => Ok(DataType::new_list(DataType::Float64, true)),
        t => plan_err!("{function}: {argument} must be a list of numbers, got {t}"),
    }
}

/// The element type of a coerced features column.
pub(crate) enum Precision {
    Single,
    Double,
}

/// Element type of a list type that [`coerce`] has returned.
pub(crate) fn precision(data_type: &DataType) -> Result<Precision> {
    match data_type {
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => {
            match field.data_type() {
                DataType::Float32 => Ok(Precision::Single),
                DataType::Float64 => Ok(Precision::Double),
                t => {
                    internal_err!("features should have been coerced to floats, got a list of {t}")
                }
            }
        }
        t => internal_err!("features should have been coerced to a list, got {t}"),
    }
}

/// Rows of a list column.
pub(crate) struct Features<T: Value> {
    values: PrimitiveArray<T::Arrow>,
    bounds: Bounds,
    nulls: Option<NullBuffer>,
    len: usize,
}

enum Bounds {
    Small(OffsetBuffer<i32>),
    Large(OffsetBuffer<i64>),
    Fixed(usize),
}

impl<T: Value> Features<T> {
    pub(crate) fn try_new(array: &ArrayRef) -> Result<Self> {
        let (child, bounds) = match array.data_type() {
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                (list.values(), Bounds::Small(list.offsets().clone()))
            }
            DataType::LargeList(_) => {
                let list = array.as_list::<i64>();
                (list.values(), Bounds::Large(list.offsets().clone()))
            }
            DataType::FixedSizeList(_, size) => {
                let list = array.as_fixed_size_list();
                (
                    list.values(),
                    Bounds::Fixed(usize::try_from(*size).unwrap_or(0)),
                )
            }
            t => return internal_err!("features should have been coerced to a list, got {t}"),
        };
        let values = child.as_primitive_opt::<T::Arrow>().ok_or_else(|| {
            internal_datafusion_err!("features of an unexpected type {}", child.data_type())
        })?;
        Ok(Self {
            values: values.clone(),
            bounds,
            nulls: array.nulls().cloned(),
            len: array.len(),
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    fn range(&self, row: usize) -> Option<Range<usize>> {
        match &self.bounds {
            Bounds::Small(offsets) => {
                Some(offsets.get(row)?.as_usize()..offsets.get(row + 1)?.as_usize())
            }
            Bounds::Large(offsets) => {
                Some(offsets.get(row)?.as_usize()..offsets.get(row + 1)?.as_usize())
            }
            Bounds::Fixed(size) => Some(row * size..(row + 1) * size),
        }
    }

    /// Values of a row, or `None` if the row is NULL. `number` is what errors call the row.
    pub(crate) fn row(&self, row: usize, number: u64) -> Result<Option<&[T]>, PcaError> {
        if self.nulls.as_ref().is_some_and(|n| n.is_null(row)) {
            return Ok(None);
        }
        let Some((range, values)) = self
            .range(row)
            .and_then(|r| Some((r.clone(), self.values.values().get(r)?)))
        else {
            return Err(PcaError::EmptyRow { row: number });
        };
        if let Some(nulls) = self.values.nulls()
            && nulls.null_count() > 0
            && let Some(index) = range.clone().position(|i| nulls.is_null(i))
        {
            return Err(PcaError::NullValue { row: number, index });
        }
        Ok(Some(values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{FixedSizeListArray, LargeListArray, ListArray};
    use arrow::datatypes::Float32Type;

    fn data() -> Vec<Option<Vec<Option<f32>>>> {
        vec![
            Some(vec![Some(1.0), Some(2.0)]),
            None,
            Some(vec![Some(3.0), None]),
            Some(vec![Some(5.0), Some(6.0)]),
        ]
    }

    fn check(array: &ArrayRef) {
        let features = Features::<f32>::try_new(array).unwrap();
        assert_eq!(features.len(), 3);
        assert_eq!(features.row(0, 0), Ok(None));
        assert_eq!(
            features.row(1, 7),
            Err(PcaError::NullValue { row: 7, index: 1 })
        );
        assert_eq!(features.row(2, 2), Ok(Some(&[5.0, 6.0][..])));
    }

    #[test]
    fn all_list_layouts_agree_also_when_sliced() {
        let list = ListArray::from_iter_primitive::<Float32Type, _, _>(data());
        check(&(Arc::new(list.slice(1, 3)) as ArrayRef));
        let large = LargeListArray::from_iter_primitive::<Float32Type, _, _>(data());
        check(&(Arc::new(large.slice(1, 3)) as ArrayRef));
        let fixed = FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(data(), 2);
        check(&(Arc::new(fixed.slice(1, 3)) as ArrayRef));
    }

    #[test]
    fn coercion_keeps_the_layout_and_the_precision() {
        let coerced = |t: DataType| coerce("f", "features", &t).unwrap();
        let list = |t| DataType::new_list(t, true);
        assert_eq!(coerced(list(DataType::Float32)), list(DataType::Float32));
        assert_eq!(coerced(list(DataType::Int16)), list(DataType::Float32));
        assert_eq!(coerced(list(DataType::Int64)), list(DataType::Float64));
        assert_eq!(
            coerced(list(DataType::Decimal128(2, 1))),
            list(DataType::Float64)
        );
        assert_eq!(coerced(DataType::Null), list(DataType::Float64));
        let error = coerce("f", "features", &list(DataType::Utf8)).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("f: features must be a list of numbers, got a list of Utf8")
        );
        assert!(coerce("f", "features", &DataType::Float64).is_err());
    }
}
