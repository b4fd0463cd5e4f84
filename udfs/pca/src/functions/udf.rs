//! What DataFusion asks of every scalar function, written once.

use super::signature::{check_model_call, coerce_model_call, example_features, listed};
use crate::model_cache::Stored;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_common::{Result, internal_err};
use datafusion_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature,
};
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

/// What is particular to one of the functions `f(model)` and `f(rows, model)`.
pub(crate) trait Function: Debug + Default + Eq + Hash + Send + Sync + 'static {
    /// What the last argument holds.
    type Model: Stored;

    /// Name in SQL.
    const NAME: &'static str;
    /// Name of the argument before the model, a list of numbers.
    const ROWS: Option<&'static str>;

    /// Type of the result.
    fn return_type() -> DataType;

    /// Evaluates the function.
    fn invoke(args: &ScalarFunctionArgs) -> Result<ColumnarValue>;

    /// What `#[user_doc]` wrote.
    fn documentation(&self) -> Option<&Documentation>;
}

/// A [`Function`] as DataFusion calls it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Udf<F> {
    function: F,
    signature: Signature,
}

impl<F: Function> Udf<F> {
    pub(crate) fn new() -> Self {
        let names: Vec<&str> = F::ROWS.into_iter().chain(["model"]).collect();
        let mut example = vec![example_features(); names.len() - 1];
        example.push(DataType::BinaryView);
        Self {
            function: F::default(),
            signature: listed(&names, vec![example]),
        }
    }
}

impl<F: Function> ScalarUDFImpl for Udf<F> {
    fn name(&self) -> &str {
        F::NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(coerce_model_call::<F::Model>(F::NAME, F::ROWS, arg_types))
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        internal_err!("return_field_from_args should be used instead")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let types: Vec<DataType> = args
            .arg_fields
            .iter()
            .map(|f| f.data_type().clone())
            .collect();
        check_model_call::<F::Model>(F::NAME, F::ROWS, &types)?;
        let nullable = args.arg_fields.iter().any(|f| f.is_nullable());
        let field = Field::new(F::NAME, F::return_type(), nullable);
        Ok(Arc::new(field))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        F::invoke(&args)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.function.documentation()
    }
}
