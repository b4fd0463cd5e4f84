//! The `model` argument of the functions that read a model, and what the functions of a model alone have in
//! common.

use super::udf::Function;
use crate::model::cache::{self, Stored};
use arrow::array::{Array, ArrayRef, AsArray, Float64Builder, Int64Array, ListBuilder};
use arrow::datatypes::DataType;
use datafusion_common::utils::take_function_args;
use datafusion_common::{Result, ScalarValue, internal_err};
use datafusion_expr::{ColumnarValue, ScalarFunctionArgs};
use std::collections::HashMap;
use std::sync::Arc;

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
                    let model = cache::decode(bytes).map_err(|e| e.in_function(function))?;
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

/// Evaluates a function of a model: `build` makes a column out of one model (or NULL) per row.
pub(crate) fn invoke<F: Function>(
    args: &ScalarFunctionArgs,
    build: impl FnOnce(&mut dyn Iterator<Item = Option<&F::Model>>) -> Result<ArrayRef>,
) -> Result<ColumnarValue> {
    let [argument] = take_function_args(F::NAME, &args.args)?;
    let models = Models::<F::Model>::try_new(F::NAME, argument)?;
    let column = build(&mut (0..models.len()).map(|row| models.get(row)))?;
    result(column, matches!(argument, ColumnarValue::Scalar(_)))
}

/// A column, or its only value if all arguments were scalars.
pub(crate) fn result(column: ArrayRef, scalar: bool) -> Result<ColumnarValue> {
    Ok(match scalar {
        true => ColumnarValue::Scalar(ScalarValue::try_from_array(&column, 0)?),
        false => ColumnarValue::Array(column),
    })
}

/// Evaluates a function that gives a List(Float64) of each model.
pub(crate) fn float_lists<F: Function>(
    args: &ScalarFunctionArgs,
    values: impl Fn(&F::Model) -> &[f64],
) -> Result<ColumnarValue> {
    invoke::<F>(args, |models| {
        let mut lists = ListBuilder::new(Float64Builder::new());
        for model in models {
            if let Some(model) = model {
                lists.values().append_slice(values(model));
            }
            lists.append(model.is_some());
        }
        Ok(Arc::new(lists.finish()))
    })
}

/// Evaluates a function that gives an Int64 of each model.
pub(crate) fn integers<F: Function>(
    args: &ScalarFunctionArgs,
    value: impl Fn(&F::Model) -> i64,
) -> Result<ColumnarValue> {
    invoke::<F>(args, |models| {
        let integers = models.map(|model| model.map(&value));
        Ok(Arc::new(Int64Array::from_iter(integers)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Result as PcaResult;
    use crate::model::cache::ModelCache;
    use arrow::array::{BinaryArray, BinaryViewArray};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{LazyLock, Mutex};

    static DECODED: AtomicUsize = AtomicUsize::new(0);
    static CACHE: LazyLock<Mutex<ModelCache<Counting>>> = LazyLock::new(Mutex::default);

    /// A model that counts how often it is decoded.
    struct Counting(Vec<u8>);

    impl Stored for Counting {
        const MADE_BY: &'static str = "nothing";

        fn decode(bytes: &[u8]) -> PcaResult<Self> {
            DECODED.fetch_add(1, Ordering::Relaxed);
            Ok(Self(bytes.to_vec()))
        }

        fn size(&self) -> usize {
            self.0.len()
        }

        fn cache() -> &'static Mutex<ModelCache<Self>> {
            &CACHE
        }
    }

    /// However the model arrives, and however many batches there are.
    #[test]
    fn a_model_is_decoded_once() {
        let bytes = vec![7_u8; 1000];
        let repeated = || std::iter::repeat_n(&bytes[..], 50);
        for batch in 1..=4 {
            let arguments = [
                ColumnarValue::Scalar(ScalarValue::BinaryView(Some(bytes.clone()))),
                ColumnarValue::Array(Arc::new(BinaryViewArray::from_iter_values(repeated()))),
                ColumnarValue::Array(Arc::new(BinaryArray::from_iter_values(repeated()))),
            ];
            for argument in arguments {
                let models = Models::<Counting>::try_new("f", &argument).unwrap();
                assert_eq!(models.distinct().count(), 1);
                assert_eq!(models.get(0).unwrap().0, bytes);
                assert_eq!(DECODED.load(Ordering::Relaxed), 1, "batch {batch}");
            }
        }
    }
}
