//! `pca_info(model)`

use super::models;
use super::udf::function;
use crate::model::pca::PcaModel;
use arrow::array::{Float64Array, Int64Array, ListArray, StructArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion_common::Result;
use datafusion_expr::{ColumnarValue, ScalarFunctionArgs};
use std::sync::Arc;

function! {
    PcaInfo: "pca_info"(PcaModel) -> DataType::List(row_field()),
    invoke;
    description = "One row per component of a model, as a list of structs (component, eigenvalue, ratio, cumulative, requested) to unnest: its number from 1, its explained variance, its share in the total variance, the sum of the shares up to it, and, where a fit was asked for more components than there are, that number, else NULL.",
    syntax_example = "pca_info(model)",
    sql_example = r#"```sql
> CREATE VIEW curve AS
  SELECT info['component'] AS component, info['ratio'] AS ratio, info['cumulative'] AS cumulative
  FROM (SELECT unnest(pca_info(pca)) AS info FROM model);
> SELECT min(component) AS k FROM curve WHERE cumulative > 0.95;
```"#
}

fn invoke(args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    models::invoke::<PcaInfo>(args, |models| {
        let mut lengths = vec![];
        let mut valid = vec![];
        let (mut component, mut eigenvalue, mut ratio) = (vec![], vec![], vec![]);
        let (mut cumulative, mut requested) = (vec![], vec![]);
        for model in models {
            valid.push(model.is_some());
            lengths.push(model.map_or(0, PcaModel::n_components));
            let Some(model) = model else { continue };
            component.extend(1..=model.n_components() as i64);
            eigenvalue.extend_from_slice(model.explained_variance());
            ratio.extend_from_slice(model.explained_variance_ratio());
            cumulative.extend(model.explained_variance_ratio().iter().scan(0.0, |sum, r| {
                *sum += r;
                Some(*sum)
            }));
            let asked = model.n_components_requested().map(|k| k as i64);
            requested.resize(component.len(), asked);
        }
        let rows = StructArray::try_new(
            fields(),
            vec![
                Arc::new(Int64Array::from(component)),
                Arc::new(Float64Array::from(eigenvalue)),
                Arc::new(Float64Array::from(ratio)),
                Arc::new(Float64Array::from(cumulative)),
                Arc::new(Int64Array::from(requested)),
            ],
            None,
        )?;
        Ok(Arc::new(ListArray::try_new(
            row_field(),
            OffsetBuffer::from_lengths(lengths),
            Arc::new(rows),
            Some(NullBuffer::from(valid)),
        )?))
    })
}

fn fields() -> Fields {
    Fields::from(vec![
        Field::new("component", DataType::Int64, false),
        Field::new("eigenvalue", DataType::Float64, false),
        Field::new("ratio", DataType::Float64, false),
        Field::new("cumulative", DataType::Float64, false),
        Field::new("requested", DataType::Int64, true),
    ])
}

fn row_field() -> FieldRef {
    Arc::new(Field::new_list_field(DataType::Struct(fields()), true))
}
