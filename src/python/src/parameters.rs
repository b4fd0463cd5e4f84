//! Values of `$name` in a statement.

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

pub(crate) fn parameters(
    values: Option<&Bound<'_, PyDict>>,
) -> PyResult<Vec<(String, ScalarValue)>> {
    let values = values.into_iter().flatten();
    let values = values.map(|(name, value)| {
        let name: String = name.extract()?;
        let value = scalar(&value).ok_or_else(|| {
            let kind = value.get_type().to_string();
            PyTypeError::new_err(format!(
                "parameter {name}: expected None, bool, int of 64 bits, float, str, bytes or a sequence of \
                 numbers, found {kind}"
            ))
        })?;
        Ok((name, value))
    });
    values.collect()
}

/// Numbers of NumPy are numbers, too.
fn scalar(value: &Bound<'_, PyAny>) -> Option<ScalarValue> {
    if value.is_none() {
        return Some(ScalarValue::Null);
    }
    // Before the numbers: `bool` is a kind of `int`.
    if let Ok(value) = value.extract::<bool>() {
        return Some(ScalarValue::from(value));
    }
    if let Ok(text) = value.cast::<PyString>() {
        return Some(ScalarValue::from(text.extract::<String>().ok()?));
    }
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Some(ScalarValue::BinaryView(Some(bytes.as_bytes().to_vec())));
    }
    // Before the numbers: an array of one item can be a number, too.
    if let Ok(items) = value.try_iter() {
        let items = items.map(|item| item.ok()?.extract::<f64>().ok());
        let items = items.map(|item| item.map(ScalarValue::from));
        let items = items.collect::<Option<Vec<_>>>()?;
        let list = ScalarValue::new_list_nullable(&items, &DataType::Float64);
        return Some(ScalarValue::List(list));
    }
    let int = || value.extract::<i64>().ok().map(ScalarValue::from);
    let is_int = value.hasattr("__index__").ok()?;
    match is_int {
        true => int(),
        false => value.extract::<f64>().ok().map(ScalarValue::from),
    }
}
