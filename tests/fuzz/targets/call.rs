//! Functions called as DataFusion calls them.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray};
use arrow::datatypes::{Field, FieldRef};
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF};
use datafusion::scalar::ScalarValue;

/// Calls `function` for one row.
pub(super) fn call(
    function: &ScalarUDF,
    args: Vec<ColumnarValue>,
    config: &Arc<ConfigOptions>,
) -> Result<ArrayRef> {
    let fields: Vec<FieldRef> = args
        .iter()
        .map(|arg| Arc::new(Field::new("x", arg.data_type(), true)))
        .collect();
    let scalars: Vec<Option<&ScalarValue>> = args
        .iter()
        .map(|arg| match arg {
            ColumnarValue::Scalar(value) => Some(value),
            ColumnarValue::Array(_) => None,
        })
        .collect();
    let return_field = function.return_field_from_args(ReturnFieldArgs {
        arg_fields: &fields,
        scalar_arguments: &scalars,
    })?;
    let result = function.invoke_with_args(ScalarFunctionArgs {
        args,
        arg_fields: fields,
        number_rows: 1,
        return_field,
        config_options: Arc::clone(config),
    })?;
    result.into_array(1)
}

/// A column of one row.
pub(super) fn column(bytes: &[u8]) -> ColumnarValue {
    ColumnarValue::Array(Arc::new(BinaryArray::from_vec(vec![bytes])))
}
