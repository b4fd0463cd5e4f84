//! `pca_inverse_transform(components, model)`

use super::apply::{self, Operation, WrongWidth};
use super::udf::{function, list_of_floats};
use crate::error::PcaError;
use crate::model::pca::PcaModel;
use crate::value::Value;

function! {
    PcaInverseTransform: "pca_inverse_transform"(
        "components": "List of numbers, as many as the model has components: what `pca_transform` returns. NULL gives NULL.",
        PcaModel: "A model, as `pca_fit` returns it: a scalar subquery, a column or a literal. NULL gives NULL."
    ) -> list_of_floats(),
    apply::invoke_lists::<PcaInverseTransform>;
    description = "Turns scores back into features: multiplies by the components, then by the scale, and adds the mean where `pca_transform` subtracts it. What the dropped components explained is lost.",
    syntax_example = "pca_inverse_transform(components, model)",
    sql_example = r#"```sql
> SELECT pca_inverse_transform(features_pca, (SELECT pca FROM model)) FROM scores;
```"#
}

impl Operation for PcaInverseTransform {
    const WRONG_WIDTH: WrongWidth = |row, expected, found| PcaError::ModelComponents {
        row,
        expected,
        found,
    };

    fn width(model: &PcaModel) -> usize {
        model.n_components()
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
