//! `pca_transform(features, model)`

use super::apply::{self, Operation};
use super::udf::{function, list_of_floats};
use crate::model::PcaModel;
use crate::value::Value;
use datafusion_macros::user_doc;

#[user_doc(
    doc_section(label = "PCA Functions"),
    description = "Projects features on the components of a model: subtracts the mean, divides by the scale, and multiplies by the components. Returns as many numbers as the model has components. A model of the convention 'spark' subtracts the mean only if it was fitted `with_mean`.",
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

function! {
    PcaTransform: "pca_transform"("features", PcaModel) -> list_of_floats(),
    apply::invoke_lists::<PcaTransform>
}

impl Operation for PcaTransform {
    fn width(model: &PcaModel) -> usize {
        model.n_features()
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
