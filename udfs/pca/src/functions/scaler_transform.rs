//! `scaler_transform(features, model)`

use super::apply::{self, Operation};
use super::udf::{function, list_of_floats};
use crate::model::scaler::Scaler;
use crate::value::Value;

function! {
    ScalerTransform: "scaler_transform"(
        "features": "List of numbers, as long as those the model was fitted on. NULL gives NULL.",
        Scaler: "A scaler, as `scaler_fit` returns it: a scalar subquery, a column or a literal. NULL gives NULL."
    ) -> list_of_floats(),
    apply::invoke_lists::<ScalerTransform>;
    description = "Standardises features: subtracts the mean and divides by the scale of each column. A scaler of the convention 'spark' subtracts the mean only if it was fitted `with_mean`.",
    syntax_example = "scaler_transform(features, model)",
    sql_example = r#"```sql
> SELECT scaler_transform(features, (SELECT scaler_fit(features) FROM features)) FROM features;
```"#
}

impl Operation for ScalerTransform {
    fn width(model: &Scaler) -> usize {
        model.n_features()
    }

    fn outputs(model: &Scaler) -> usize {
        model.n_features()
    }

    fn apply<'a, T: Value>(
        model: &Scaler,
        rows: impl IntoIterator<Item = &'a [T]>,
        outputs: &mut Vec<f64>,
    ) {
        model.transform(rows, outputs);
    }
}
