//! `pca_truncate(model, n_components)`

use super::fit_arguments::{is_n_components, n_components};
use super::models::{self, Models};
use super::notices;
use super::signature::{self, listed};
use crate::model::pca::PcaModel;
use arrow::array::BinaryViewBuilder;
use arrow::datatypes::DataType;
use datafusion_common::utils::take_function_args;
use datafusion_common::{Result, ScalarValue, plan_err};
use datafusion_expr::{ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature};
use datafusion_macros::user_doc;
use std::sync::Arc;

const NAME: &str = "pca_truncate";

#[user_doc(
    doc_section(label = "PCA Functions"),
    description = "The model of the first components of a model, as `pca_fit` with that `n_components` would have given it, without reading the features again. A model that was fitted without `n_components` holds the answer for every one of them.",
    syntax_example = "pca_truncate(model, n_components)",
    sql_example = r#"```sql
> CREATE TABLE complete AS SELECT pca_fit(features) AS pca FROM features;
> CREATE TABLE model AS SELECT pca_truncate(pca, 0.95) AS pca FROM complete;
```"#,
    argument(
        name = "model",
        description = "A model, as `pca_fit` returns it. NULL gives NULL."
    ),
    argument(
        name = "n_components",
        description = "As in `pca_fit`: an integer of at least 1, or a ratio strictly between 0 and 1. It need not be a constant: a scalar subquery over `pca_info` will do. More than the model has is an error (in the convention 'spark' only if its rows have more). NULL gives NULL."
    )
)]
/// The SQL function `pca_truncate`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct PcaTruncate {
    signature: Signature,
}

impl PcaTruncate {
    pub(crate) fn new() -> Self {
        let example = |n_components| vec![DataType::BinaryView, n_components];
        Self {
            signature: listed(
                &["model", "n_components"],
                vec![example(DataType::Int64), example(DataType::Float64)],
            ),
        }
    }
}

impl ScalarUDFImpl for PcaTruncate {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        let mut coerced = arg_types.to_vec();
        if let Some(model) = coerced.first_mut()
            && let Ok(binary) = signature::coerce_model::<PcaModel>(NAME, model)
        {
            *model = binary;
        }
        Ok(coerced)
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        let [model, n_components] = arg_types else {
            return plan_err!(
                "{NAME} takes 2 arguments (model, n_components), got {}",
                arg_types.len()
            );
        };
        signature::coerce_model::<PcaModel>(NAME, model)?;
        if !is_n_components(n_components) && !n_components.is_null() {
            return plan_err!(
                "{NAME}: n_components must be an integer or a ratio, got {n_components}"
            );
        }
        Ok(DataType::BinaryView)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [model, counts] = take_function_args(NAME, &args.args)?;
        let decoded = Models::<PcaModel>::try_new(NAME, model)?;
        let is_scalar = |value: &ColumnarValue| matches!(value, ColumnarValue::Scalar(_));
        let all_scalar = is_scalar(model) && is_scalar(counts);
        let rows = if all_scalar { 1 } else { args.number_rows };
        // Rows that a join repeats share one value.
        let mut cut = BinaryViewBuilder::new().with_deduplicate_strings();
        for row in 0..rows {
            let count = match counts {
                ColumnarValue::Scalar(value) => value.clone(),
                ColumnarValue::Array(array) => ScalarValue::try_from_array(array, row)?,
            };
            match decoded.get(row).filter(|_| !count.is_null()) {
                Some(model) => {
                    let model = model
                        .truncate(n_components(NAME, &count)?)
                        .map_err(|e| e.in_function(NAME))?;
                    notices::fewer_components(NAME, &model);
                    cut.append_value(model.encode());
                }
                None => cut.append_null(),
            }
        }
        models::result(Arc::new(cut.finish()), all_scalar)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}
