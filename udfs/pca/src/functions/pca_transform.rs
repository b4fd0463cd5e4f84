//! `pca_transform(features, model)`

use super::models::{self, Models, return_field};
use crate::error::PcaError;
use crate::features::{self, Features, Precision};
use crate::transform::BLOCK_ROWS;
use crate::value::Value;
use arrow::array::{Array, ArrayRef, Float64Array, ListArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_common::utils::take_function_args;
use datafusion_common::{Result, ScalarValue, exec_datafusion_err, internal_err, plan_err};
use datafusion_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature,
};
use datafusion_macros::user_doc;
use std::sync::Arc;

const NAME: &str = "pca_transform";

#[user_doc(
    doc_section(label = "PCA Functions"),
    description = "Projects features on the components of a model: subtracts the mean, divides by the scale, and multiplies by the components. Returns as many numbers as the model has components.",
    syntax_example = "pca_transform(features, model)",
    sql_example = r#"```sql
> SELECT path, pca_transform(features, (SELECT pca FROM model)) AS features_pca FROM features;
```"#,
    argument(
        name = "features",
        description = "List of numbers, as long as those the model was fitted on. NULL gives NULL."
    ),
    argument(
        name = "model",
        description = "A model, as `pca_fit` returns it: a scalar subquery, a column or a literal. NULL gives NULL."
    )
)]
/// The SQL function `pca_transform`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct PcaTransform {
    signature: Signature,
}

impl Default for PcaTransform {
    fn default() -> Self {
        Self::new()
    }
}

impl PcaTransform {
    /// The function.
    #[must_use]
    pub fn new() -> Self {
        Self {
            signature: super::named(&["features", "model"]),
        }
    }
}

impl ScalarUDFImpl for PcaTransform {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        match arg_types {
            [features, model] => Ok(vec![
                features::coerce(NAME, "features", features)?,
                models::coerce(NAME, model)?,
            ]),
            _ => plan_err!(
                "{NAME} takes 2 arguments (features, model), got {}",
                arg_types.len()
            ),
        }
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        internal_err!("return_field_from_args should be used instead")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        Ok(return_field(
            NAME,
            DataType::new_list(DataType::Float64, true),
            &args,
        ))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [features, model] = take_function_args(NAME, &args.args)?;
        let models = Models::try_new(NAME, model)?;
        let (rows, constant) = match features {
            ColumnarValue::Array(array) => (Arc::clone(array), false),
            // One row stands for all: repeating a wide one would take gigabytes.
            ColumnarValue::Scalar(value) => (value.to_array()?, true),
        };
        let all_scalar = constant && matches!(model, ColumnarValue::Scalar(_));
        let len = if all_scalar { 1 } else { args.number_rows };
        let result = match features::precision(rows.data_type())? {
            Precision::Single => transform::<f32>(&rows, constant, &models, len),
            Precision::Double => transform::<f64>(&rows, constant, &models, len),
        }?;
        if all_scalar {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(
                &result, 0,
            )?));
        }
        Ok(ColumnarValue::Array(result))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

/// Transforms `len` rows; with `constant`, the first row of `features` stands for all of them.
fn transform<T: Value>(
    features: &ArrayRef,
    constant: bool,
    models: &Models,
    len: usize,
) -> Result<ArrayRef> {
    let features = Features::<T>::try_new(features)?;
    let row = |i: usize| features.row(if constant { 0 } else { i }, i as u64);

    // Rows by model, and where the scores of each row go.
    let mut by_model: Vec<Vec<(usize, &[T])>> = models.distinct().map(|_| vec![]).collect();
    let mut valid = Vec::with_capacity(len);
    let mut lengths = Vec::with_capacity(len);
    let mut total = 0_usize;
    for i in 0..len {
        let values = row(i).map_err(|e| e.in_function(NAME))?;
        let model = models
            .get(i)
            .zip(models.index(i).and_then(|m| by_model.get_mut(m)));
        let (Some(values), Some((model, bucket))) = (values, model) else {
            valid.push(false);
            lengths.push(0);
            continue;
        };
        if values.len() != model.n_features() {
            let error = PcaError::ModelWidth {
                row: i as u64,
                expected: model.n_features(),
                found: values.len(),
            };
            return Err(error.in_function(NAME));
        }
        bucket.push((total, values));
        valid.push(true);
        lengths.push(model.n_components());
        total += model.n_components();
    }
    if i32::try_from(total).is_err() {
        return Err(exec_datafusion_err!(
            "{NAME}: {len} rows give {total} scores, more than one list column can hold; \
             lower datafusion.execution.batch_size"
        ));
    }

    let mut scores = vec![0.0; total];
    let mut block_scores = vec![];
    for ((_, model), rows) in models.distinct().zip(&by_model) {
        let k = model.n_components();
        for block in rows.chunks(BLOCK_ROWS) {
            block_scores.clear();
            model.transform(block.iter().map(|(_, values)| *values), &mut block_scores);
            for ((start, _), source) in block.iter().zip(block_scores.chunks_exact(k)) {
                if let Some(target) = scores.get_mut(*start..start + k) {
                    target.copy_from_slice(source);
                }
            }
        }
    }
    let list = ListArray::try_new(
        Arc::new(Field::new_list_field(DataType::Float64, true)),
        OffsetBuffer::from_lengths(lengths),
        Arc::new(Float64Array::from(scores)),
        Some(NullBuffer::from(valid)),
    )?;
    Ok(Arc::new(list))
}
