//! What DataFusion asks of every scalar function, written once.

use super::signature::{check_model_call, coerce_model_call, example_features, listed};
use crate::model::cache::Stored;
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

/// Makes a [`Function`]: its name in SQL, its arguments, its type, how it is evaluated, and what
/// `#[user_doc]` writes about it beside the arguments.
macro_rules! function {
    ($function:ident: $name:tt($model:ty) -> $type:expr, $invoke:expr; $($docs:tt)*) => {
        $crate::functions::udf::function! {
            @make $function, $name, None, $model, $type, $invoke,
            $($docs)*,
            argument(
                name = "model",
                description = "A model, as `pca_fit` returns it. NULL gives NULL."
            )
        }
    };
    (
        $function:ident: $name:tt($rows:tt: $rows_are:tt, $model:ty: $model_is:tt) -> $type:expr,
        $invoke:expr; $($docs:tt)*
    ) => {
        $crate::functions::udf::function! {
            @make $function, $name, Some($rows), $model, $type, $invoke,
            $($docs)*,
            argument(name = $rows, description = $rows_are),
            argument(name = "model", description = $model_is)
        }
    };
    (
        @make $function:ident, $name:tt, $rows:expr, $model:ty, $type:expr, $invoke:expr,
        $($docs:tt)*
    ) => {
        #[datafusion_macros::user_doc(doc_section(label = "PCA Functions"), $($docs)*)]
        /// The SQL function that the file is named after.
        #[derive(Debug, Default, PartialEq, Eq, Hash)]
        pub(crate) struct $function;

        impl $crate::functions::udf::Function for $function {
            type Model = $model;

            const NAME: &'static str = $name;
            const ROWS: Option<&'static str> = $rows;

            fn return_type() -> arrow::datatypes::DataType {
                $type
            }

            fn invoke(
                args: &datafusion_expr::ScalarFunctionArgs,
            ) -> datafusion_common::Result<datafusion_expr::ColumnarValue> {
                ($invoke)(args)
            }

            fn documentation(&self) -> Option<&datafusion_expr::Documentation> {
                self.doc()
            }
        }
    };
}
pub(crate) use function;

/// The type of most results.
pub(crate) fn list_of_floats() -> DataType {
    DataType::new_list(DataType::Float64, true)
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
