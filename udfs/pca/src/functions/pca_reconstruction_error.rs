//! `pca_reconstruction_error(features, model)`

use super::apply::{self, Operation};
use super::udf::function;
use crate::model::pca::PcaModel;
use crate::value::Value;
use arrow::datatypes::DataType;

function! {
    PcaReconstructionError: "pca_reconstruction_error"(
        "features": "List of numbers, as long as those the model was fitted on. NULL gives NULL.",
        PcaModel: "A model, as `pca_fit` returns it: a scalar subquery, a column or a literal. NULL gives NULL."
    ) -> DataType::Float64,
    apply::invoke_numbers::<PcaReconstructionError>;
    description = "Mean over the columns of the squared difference between the standardised features and their reconstruction from the components of a model. Rows unlike those the model was fitted on have a large one, which makes it a measure for anomalies.",
    syntax_example = "pca_reconstruction_error(features, model)",
    sql_example = r#"```sql
> SELECT path FROM features ORDER BY pca_reconstruction_error(features, (SELECT pca FROM model)) DESC LIMIT 10;
```"#
}

impl Operation for PcaReconstructionError {
    fn width(model: &PcaModel) -> usize {
        model.n_features()
    }

    fn outputs(_model: &PcaModel) -> usize {
        1
    }

    fn apply<'a, T: Value>(
        model: &PcaModel,
        rows: impl IntoIterator<Item = &'a [T]>,
        outputs: &mut Vec<f64>,
    ) {
        model.reconstruction_errors(rows, outputs);
    }
}
