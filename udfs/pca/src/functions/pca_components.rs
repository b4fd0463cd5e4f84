//! `pca_components(model)`

use super::models::{accessor_signature, coerce_accessor, invoke_accessor, return_field};
use arrow::array::{Float64Builder, ListBuilder};
use arrow::datatypes::{DataType, FieldRef};
use datafusion_common::{Result, internal_err};
use datafusion_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature,
};
use datafusion_macros::user_doc;
use std::sync::Arc;

const NAME: &str = "pca_components";

#[user_doc(
    doc_section(label = "PCA Functions"),
    description = "Components of a model: a list of unit vectors, each of the length of the features, in descending order of explained variance.",
    syntax_example = "pca_components(model)",
    sql_example = r#"```sql
> SELECT pca_components(pca)[1] AS first_component FROM model;
```"#,
    argument(
        name = "model",
        description = "A model, as `pca_fit` returns it. NULL gives NULL."
    )
)]
/// The SQL function `pca_components`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct PcaComponents {
    signature: Signature,
}

impl Default for PcaComponents {
    fn default() -> Self {
        Self::new()
    }
}

impl PcaComponents {
    /// The function.
    #[must_use]
    pub fn new() -> Self {
        Self {
            signature: accessor_signature(),
        }
    }
}

impl ScalarUDFImpl for PcaComponents {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        coerce_accessor(NAME, arg_types)
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        internal_err!("return_field_from_args should be used instead")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        Ok(return_field(
            NAME,
            DataType::new_list(DataType::new_list(DataType::Float64, true), true),
            &args,
        ))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        invoke_accessor(NAME, &args, |models| {
            let mut lists = ListBuilder::new(ListBuilder::new(Float64Builder::new()));
            for model in models {
                if let Some(model) = model {
                    for component in model.components().chunks_exact(model.n_features()) {
                        lists.values().values().append_slice(component);
                        lists.values().append(true);
                    }
                }
                lists.append(model.is_some());
            }
            Ok(Arc::new(lists.finish()))
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}
