//! `pca_transform(features, model)`

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
    description = "Projects features on the components of a model: subtracts the mean, divides by the scale, and multiplies by the components. Returns as many numbers as the model has components. A model fitted with `convention => 'spark'` subtracts nothing.",
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
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct PcaTransform;

impl Function for PcaTransform {
    type Model = PcaModel;

    const NAME: &'static str = "pca_transform";
    const ROWS: Option<&'static str> = Some("features");

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

impl Operation for PcaTransform {
    fn check(model: &PcaModel, row: u64, found: usize) -> Result<(), PcaError> {
        apply::check_features(model.n_features(), row, found)
    }

    fn outputs(model: &PcaModel) -> usize {
        model.n_components()
    }

    fn apply<'a, T: Value>(
        model: &PcaModel,
        rows: impl IntoIterator<Item = &'a [T]>,
        outputs: &mut Vec<f64>,
    ) {
        model.transform(rows, outputs);
    }
}
