//! The `model` argument of the functions that read a model, and what the accessors have in common.

use crate::model::PcaModel;
use crate::model_cache::{self, Stored};
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_common::utils::take_function_args;
use datafusion_common::{Result, ScalarValue, internal_err, plan_err};
use datafusion_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, Signature};
use std::collections::HashMap;
use std::sync::Arc;

/// Type that a model argument is coerced to.
pub(crate) fn coerce<M: Stored>(function: &str, data_type: &DataType) -> Result<DataType> {
    match data_type {
        DataType::BinaryView | DataType::Binary | DataType::LargeBinary => Ok(data_type.clone()),
        DataType::Null => Ok(DataType::BinaryView),
        t => plan_err!(
            "{function}: model must be the binary value that {} returns, got {t}",
            M::MADE_BY
        ),
    }
}

/// Decoded models of a batch: each distinct one once.
pub(crate) struct Models<M> {
    distinct: Vec<Arc<M>>,
    /// For each row the index of its model, `None` for NULL. One entry stands for all rows if the
    /// argument is a scalar.
    index: Vec<Option<usize>>,
    scalar: bool,
}

impl<M: Stored> Models<M> {
    pub(crate) fn try_new(function: &str, argument: &ColumnarValue) -> Result<Self> {
        match argument {
            ColumnarValue::Scalar(
                ScalarValue::BinaryView(value)
                | ScalarValue::Binary(value)
                | ScalarValue::LargeBinary(value),
            ) => Self::collect(function, [value.as_deref()], true),
            ColumnarValue::Array(array) => match array.data_type() {
                DataType::BinaryView => Self::collect(function, array.as_binary_view(), false),
                DataType::Binary => Self::collect(function, array.as_binary::<i32>(), false),
                DataType::LargeBinary => Self::collect(function, array.as_binary::<i64>(), false),
                t => internal_err!("{function}: model should have been coerced to binary, got {t}"),
            },
            ColumnarValue::Scalar(value) => {
                internal_err!(
                    "{function}: model should have been coerced to binary, got {}",
                    value.data_type()
                )
            }
        }
    }

    fn collect<'a>(
        function: &str,
        values: impl IntoIterator<Item = Option<&'a [u8]>>,
        scalar: bool,
    ) -> Result<Self> {
        let mut distinct: Vec<Arc<M>> = vec![];
        // A model that a join repeats is the same piece of memory in each row.
        let mut seen: HashMap<(*const u8, usize), usize> = HashMap::new();
        let mut index = vec![];
        for value in values {
            let Some(bytes) = value else {
                index.push(None);
                continue;
            };
            let key = (bytes.as_ptr(), bytes.len());
            let at = match seen.get(&key) {
                Some(at) => *at,
                None => {
                    let model = model_cache::decode(bytes).map_err(|e| e.in_function(function))?;
                    let known = distinct.iter().position(|m| Arc::ptr_eq(m, &model));
                    let at = known.unwrap_or(distinct.len());
                    if known.is_none() {
                        distinct.push(model);
                    }
                    seen.insert(key, at);
                    at
                }
            };
            index.push(Some(at));
        }
        Ok(Self {
            distinct,
            index,
            scalar,
        })
    }

    /// The models, each with its index.
    pub(crate) fn distinct(&self) -> impl Iterator<Item = (usize, &M)> {
        self.distinct.iter().map(Arc::as_ref).enumerate()
    }

    /// Index of the model of a row.
    pub(crate) fn index(&self, row: usize) -> Option<usize> {
        let row = if self.scalar { 0 } else { row };
        self.index.get(row).copied().flatten()
    }

    /// The model of a row.
    pub(crate) fn get(&self, row: usize) -> Option<&M> {
        self.distinct.get(self.index(row)?).map(Arc::as_ref)
    }

    /// Number of rows that the argument itself has.
    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }
}

/// Signature of `accessor(model)`.
pub(crate) fn accessor_signature() -> Signature {
    super::named(&["model"])
}

/// Argument types of `accessor(model)`.
pub(crate) fn coerce_accessor(function: &str, arg_types: &[DataType]) -> Result<Vec<DataType>> {
    match arg_types {
        [model] => Ok(vec![coerce::<PcaModel>(function, model)?]),
        _ => plan_err!(
            "{function} takes 1 argument (model), got {}",
            arg_types.len()
        ),
    }
}

/// A field that is nullable if an argument is.
pub(crate) fn return_field(
    function: &str,
    data_type: DataType,
    args: &ReturnFieldArgs,
) -> FieldRef {
    let nullable = args.arg_fields.iter().any(|f| f.is_nullable());
    Arc::new(Field::new(function, data_type, nullable))
}

/// Evaluates `accessor(model)`: `build` makes a column out of one model (or NULL) per row.
pub(crate) fn invoke_accessor(
    function: &str,
    args: &ScalarFunctionArgs,
    build: impl FnOnce(&mut dyn Iterator<Item = Option<&PcaModel>>) -> Result<ArrayRef>,
) -> Result<ColumnarValue> {
    let [argument] = take_function_args(function, &args.args)?;
    let models = Models::<PcaModel>::try_new(function, argument)?;
    let column = build(&mut (0..models.len()).map(|row| models.get(row)))?;
    match argument {
        ColumnarValue::Scalar(_) => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(
            &column, 0,
        )?)),
        ColumnarValue::Array(_) => Ok(ColumnarValue::Array(column)),
    }
}

/// A List(Float64) column out of one slice (or NULL) per row.
pub(crate) fn float_lists<'a>(rows: impl Iterator<Item = Option<&'a [f64]>>) -> ArrayRef {
    use arrow::array::{Float64Builder, ListBuilder};
    let mut lists = ListBuilder::new(Float64Builder::new());
    for row in rows {
        if let Some(row) = row {
            lists.values().append_slice(row);
        }
        lists.append(row.is_some());
    }
    Arc::new(lists.finish())
}
