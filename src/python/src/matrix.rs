//! A column of vectors as the rows of a NumPy matrix.

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use numpy::{Element, PyArray1, PyArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

/// The vectors of all `columns`, which are pieces of one, in their order. Each piece is dropped when it has
/// been copied.
pub(crate) fn matrix<'py>(
    py: Python<'py>,
    name: &str,
    data_type: &DataType,
    columns: Vec<ArrayRef>,
) -> PyResult<Bound<'py, PyAny>> {
    let item = match data_type {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            item.data_type()
        }
        other => other,
    };
    match item {
        DataType::Float32 => of_type::<Float32Type>(py, name, columns),
        DataType::Float64 => of_type::<Float64Type>(py, name, columns),
        _ => Err(PyTypeError::new_err(format!(
            "to_numpy takes a column of vectors or numbers (Float32 or Float64), but {name} is {data_type}; \
             to_pandas() and to_arrow() take any"
        ))),
    }
}

fn of_type<'py, T>(
    py: Python<'py>,
    name: &str,
    columns: Vec<ArrayRef>,
) -> PyResult<Bound<'py, PyAny>>
where
    T: ArrowPrimitiveType,
    T::Native: Element,
{
    let rows: usize = columns.iter().map(|column| column.len()).sum();
    let is_nested = columns.first().is_some_and(|column| column.data_type().is_nested());
    let (mut values, mut width, mut first) = (Vec::new(), None, 0);
    for column in columns {
        let refused = |row: usize, why: String| {
            PyValueError::new_err(format!("{name} in row {}: {why}", first + row))
        };
        if let Some(row) = (0..column.len()).find(|row| column.is_null(*row)) {
            return Err(refused(row, "NULL cannot be a row of a matrix; leave it out with WHERE".to_owned()));
        }
        for (row, length) in lengths(&column).enumerate() {
            let width = *width.get_or_insert(length);
            if length != width {
                return Err(refused(row, format!("{length} items, where the rows before have {width}")));
            }
        }
        if values.is_empty() {
            values.reserve_exact(rows.saturating_mul(width.unwrap_or(0)));
        }
        let items = items(&column);
        let items: &PrimitiveArray<T> = items.as_primitive();
        if items.null_count() > 0 {
            return Err(refused(0, "a vector from here on has an item that is NULL".to_owned()));
        }
        values.extend_from_slice(items.values());
        first += column.len();
    }
    let array = PyArray1::from_vec(py, values);
    match is_nested {
        true => Ok(array.reshape([rows, width.unwrap_or(0)])?.into_any()),
        false => Ok(array.into_any()),
    }
}

/// Items of each row; one of a number.
fn lengths(column: &ArrayRef) -> Box<dyn Iterator<Item = usize> + '_> {
    match column.data_type() {
        DataType::List(_) => Box::new(column.as_list::<i32>().offsets().lengths()),
        DataType::LargeList(_) => Box::new(column.as_list::<i64>().offsets().lengths()),
        DataType::FixedSizeList(_, size) => {
            Box::new(std::iter::repeat_n(usize::try_from(*size).unwrap_or(0), column.len()))
        }
        _ => Box::new(std::iter::repeat_n(1, column.len())),
    }
}

/// All items of all rows.
fn items(column: &ArrayRef) -> ArrayRef {
    fn between<O: arrow::array::OffsetSizeTrait>(column: &ArrayRef) -> ArrayRef {
        let list = column.as_list::<O>();
        let offsets = list.offsets();
        let (begin, end) = (offsets[0].as_usize(), offsets[list.len()].as_usize());
        list.values().slice(begin, end - begin)
    }
    match column.data_type() {
        DataType::List(_) => between::<i32>(column),
        DataType::LargeList(_) => between::<i64>(column),
        // Its values are sliced with it.
        DataType::FixedSizeList(..) => ArrayRef::clone(column.as_fixed_size_list().values()),
        _ => ArrayRef::clone(column),
    }
}
