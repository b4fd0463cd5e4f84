//! `pca_inverse_transform(components, model)`

use super::apply::{self, Operation};
use super::udf::Function;
use crate::error::PcaError;
use crate::model::PcaModel;
use crate::value::Value;
use arrow::datatypes::DataType;
use datafusion_common::Result;
use datafusion_expr::{ColumnarValue, Documentation, ScalarFunctionArgs};
use datafusion_macros::user_doc;

#[user_doc(
    doc_section(label = "PCA Functions"),
    description = "Turns scores back into features: multiplies by the components, then by the scale, and adds the mean. What the dropped components explained is lost.",
    syntax_example = "pca_inverse_transform(components, model)",
    sql_example = r#"```sql
> SELECT pca_inverse_transform(features_pca, (SELECT pca FROM model)) FROM scores;
```"#,
    argument(
        name = "components",
        description = "List of numbers, as many as the model has components: what `pca_transform` returns. NULL gives NULL."
    ),
    argument(
        name = "model",
        description = "A model, as `pca_fit` returns it: a scalar subquery, a column or a literal. NULL gives NULL."
    )
)]
/// The SQL function `pca_inverse_transform`.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct PcaInverseTransform;

impl Function for PcaInverseTransform {
    type Model = PcaModel;

    const NAME: &'static str = "pca_inverse_transform";
    const ROWS: Option<&'static str> = Some("components");

    fn return_type() -> DataType {
        DataType::new_list(DataType::Float64, true)
    }

    fn invoke(args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
        apply::invoke_lists::<Self>(args)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

impl Operation for PcaInverseTransform {
    fn check(model: &PcaModel, row: u64, found: usize) -> Result<(), PcaError> {
        let expected = model.n_components();
        if found == expected {
            return Ok(());
        }
        Err(PcaError::ModelComponents {
            row,
            expected,
            found,
        })
    }

    fn outputs(model: &PcaModel) -> usize {
        model.n_features()
    }

    fn apply<'a, T: Value>(
        model: &PcaModel,
        rows: impl IntoIterator<Item = &'a [T]>,
        outputs: &mut Vec<f64>,
    ) {
        model.inverse_transform(rows, outputs);
    }
}
