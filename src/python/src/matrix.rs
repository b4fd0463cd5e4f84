//! A column of vectors as the rows of a NumPy matrix.

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, OffsetSizeTrait, PrimitiveArray};
use arrow::datatypes::{DataType, Field, Float32Type, Float64Type};
use numpy::{Element, PyArray1, PyArrayMethods};
use pyo3::prelude::*;

use crate::errors::{ExecutionError, StatementError};

/// The vectors of all `columns`, which are pieces of one, in their order. Each piece is dropped when it has
/// been copied, so that the matrix is there twice at most.
pub(crate) fn matrix(py: Python<'_>, field: &Field, columns: Vec<ArrayRef>) -> PyResult<Py<PyAny>> {
    let item = match field.data_type() {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            item.data_type()
        }
        other => other,
    };
    match item {
        DataType::Float32 => of_type::<Float32Type>(py, field, columns),
        DataType::Float64 => of_type::<Float64Type>(py, field, columns),
        _ => Err(StatementError::new_err(format!(
            "to_numpy takes a column of vectors or numbers (Float32 or Float64), but {} is {}; to_pandas() and \
             to_arrow() take any",
            field.name(),
            field.data_type()
        ))),
    }
}

fn of_type<T>(py: Python<'_>, field: &Field, columns: Vec<ArrayRef>) -> PyResult<Py<PyAny>>
where
    T: ArrowPrimitiveType,
    T::Native: Element,
{
    let rows: usize = columns.iter().map(|column| column.len()).sum();
    let copied = py.detach(|| copied::<T>(columns, rows));
    let (values, width) = copied.map_err(|Refused { row, why }| {
        ExecutionError::new_err(format!("{} in row {row}: {why}", field.name()))
    })?;
    let array = PyArray1::from_vec(py, values);
    Ok(match field.data_type().is_nested() {
        true => array.reshape([rows, width])?.into_any().unbind(),
        false => array.into_any().unbind(),
    })
}

/// A row that cannot be one of a matrix.
struct Refused {
    row: usize,
    why: String,
}

/// Every number, and how many of them a row has.
fn copied<T: ArrowPrimitiveType>(
    columns: Vec<ArrayRef>,
    rows: usize,
) -> Result<(Vec<T::Native>, usize), Refused> {
    let (mut values, mut width, mut first) = (Vec::new(), None, 0);
    for column in columns {
        if let Some(row) = (0..column.len()).find(|row| column.is_null(*row)) {
            let why = "NULL cannot be a row of a matrix; leave it out with WHERE … IS NOT NULL";
            return Err(Refused {
                row: first + row,
                why: why.to_owned(),
            });
        }
        for (row, length) in lengths(&column).enumerate() {
            let width = *width.get_or_insert(length);
            if length != width {
                return Err(Refused {
                    row: first + row,
                    why: format!("{length} items, where those before have {width}"),
                });
            }
        }
        let width = width.unwrap_or(0);
        if values.is_empty() {
            values.reserve_exact(rows.saturating_mul(width));
        }
        let items = items(&column);
        let items: &PrimitiveArray<T> = items.as_primitive();
        if items.null_count() > 0
            && let Some(item) = (0..items.len()).find(|item| items.is_null(*item))
        {
            return Err(Refused {
                row: first + item / width.max(1),
                why: "it has an item that is NULL".to_owned(),
            });
        }
        values.extend_from_slice(items.values());
        first += column.len();
    }
    Ok((values, width.unwrap_or(0)))
}

/// Items of each row; one of a number.
fn lengths(column: &ArrayRef) -> Box<dyn Iterator<Item = usize> + '_> {
    match column.data_type() {
        DataType::List(_) => Box::new(column.as_list::<i32>().offsets().lengths()),
        DataType::LargeList(_) => Box::new(column.as_list::<i64>().offsets().lengths()),
        DataType::FixedSizeList(_, size) => {
            let size = usize::try_from(*size).unwrap_or(0);
            Box::new(std::iter::repeat_n(size, column.len()))
        }
        _ => Box::new(std::iter::repeat_n(1, column.len())),
    }
}

/// All items of all rows.
fn items(column: &ArrayRef) -> ArrayRef {
    fn between<O: OffsetSizeTrait>(column: &ArrayRef) -> ArrayRef {
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
