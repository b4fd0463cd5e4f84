//! `pca_transform(features, model)`

use super::apply::{self, Operation};
use super::udf::{function, list_of_floats};
use crate::model::pca::PcaModel;
use crate::value::Value;

function! {
    PcaTransform: "pca_transform"(
        "features": "List of numbers, as long as those the model was fitted on. NULL gives NULL.",
        PcaModel: "A model, as `pca_fit` returns it: a scalar subquery, a column or a literal. NULL gives NULL."
    ) -> list_of_floats(),
    apply::invoke_lists::<PcaTransform>;
    description = "Projects features on the components of a model: subtracts the mean, divides by the scale, and multiplies by the components. Returns as many numbers as the model has components. A model of the convention 'spark' subtracts the mean only if it was fitted `with_mean`.",
    syntax_example = "pca_transform(features, model)",
    sql_example = r#"```sql
> SELECT path, pca_transform(features, (SELECT pca FROM model)) AS features_pca FROM features;
```"#
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
