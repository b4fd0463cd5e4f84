//! Values of `$name` in a statement.

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyString};

pub(crate) fn parameters(values: Option<&Bound<'_, PyDict>>) -> PyResult<Vec<(String, ScalarValue)>> {
    let Some(values) = values else {
        return Ok(vec![]);
    };
    let values = values.iter().map(|(name, value)| {
        let name: String = name.extract()?;
        let value = scalar(&name, &value)?;
        Ok((name, value))
    });
    values.collect()
}

fn scalar(name: &str, value: &Bound<'_, PyAny>) -> PyResult<ScalarValue> {
    if value.is_none() {
        return Ok(ScalarValue::Null);
    }
    // `bool` is a kind of `int`.
    if value.is_instance_of::<PyBool>() {
        return Ok(ScalarValue::from(value.extract::<bool>()?));
    }
    if value.is_instance_of::<PyInt>() {
        return Ok(ScalarValue::from(value.extract::<i64>()?));
    }
    if value.is_instance_of::<PyFloat>() {
        return Ok(ScalarValue::from(value.extract::<f64>()?));
    }
    if value.is_instance_of::<PyString>() {
        return Ok(ScalarValue::from(value.extract::<String>()?));
    }
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(ScalarValue::BinaryView(Some(bytes.as_bytes().to_vec())));
    }
    let vector: Vec<f64> = value.extract().map_err(|_| {
        let kind = value.get_type().to_string();
        PyTypeError::new_err(format!(
            "parameter {name}: expected None, bool, int, float, str, bytes or a sequence of numbers, found {kind}"
        ))
    })?;
    let items: Vec<ScalarValue> = vector.into_iter().map(ScalarValue::from).collect();
    let list = ScalarValue::new_list_nullable(&items, &DataType::Float64);
    Ok(ScalarValue::List(list))
}
