//! Constant arguments of aggregate functions.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use datafusion_common::{Result, ScalarValue, internal_err, plan_err};
use datafusion_expr::ColumnarValue;
use datafusion_expr::function::AccumulatorArgs;
use std::sync::Arc;

/// Value of an argument that must not refer to columns.
pub(crate) fn constant(
    function: &str,
    args: &AccumulatorArgs,
    index: usize,
    name: &str,
) -> Result<ScalarValue> {
    let Some(expr) = args.exprs.get(index) else {
        return internal_err!("{function} without {name}");
    };
    // A constant evaluates without rows, and to a scalar; anything else refers to columns.
    match expr.evaluate(&RecordBatch::new_empty(Arc::new(Schema::empty()))) {
        Ok(ColumnarValue::Scalar(value)) => Ok(value),
        _ => plan_err!("{function}: {name} must be a constant, got {expr}"),
    }
}
