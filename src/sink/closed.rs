//! Parts that are written, as the rows that go from the part writers to the commit.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::cast::{as_boolean_array, as_string_array, as_uint64_array};
use datafusion::common::{Result, internal_datafusion_err};

use super::manifest::Part;

/// A part that has been closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Closed {
    pub(super) part: Part,
    /// A reader of the folder sees it already.
    pub(super) visible: bool,
}

/// Columns of the rows that travel from the part writers to the commit.
pub(super) fn closed_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("path", DataType::Utf8, false),
        Field::new("rows", DataType::UInt64, false),
        Field::new("bytes", DataType::UInt64, false),
        Field::new("visible", DataType::Boolean, false),
    ]))
}

/// A row for each part.
pub(super) fn closed_batch(closed: &[Closed]) -> Result<RecordBatch> {
    let parts = || closed.iter().map(|closed| &closed.part);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(
            parts().map(|part| &part.path),
        )),
        Arc::new(UInt64Array::from_iter_values(
            parts().map(|part| part.rows.unwrap_or_default()),
        )),
        Arc::new(UInt64Array::from_iter_values(
            parts().map(|part| part.bytes),
        )),
        Arc::new(BooleanArray::from_iter(
            closed.iter().map(|closed| Some(closed.visible)),
        )),
    ];
    Ok(RecordBatch::try_new(closed_schema(), columns)?)
}

/// The parts that the rows of a part writer name.
pub(super) fn closed_parts(batch: &RecordBatch) -> Result<Vec<Closed>> {
    let [path, rows, bytes, visible] = batch.columns() else {
        return Err(internal_datafusion_err!(
            "the rows of a part writer have 4 columns, found {}",
            batch.num_columns()
        ));
    };
    let (path, rows) = (as_string_array(path)?, as_uint64_array(rows)?);
    let (bytes, visible) = (as_uint64_array(bytes)?, as_boolean_array(visible)?);
    Ok((0..path.len())
        .map(|row| Closed {
            part: Part {
                path: path.value(row).to_owned(),
                rows: Some(rows.value(row)),
                bytes: bytes.value(row),
            },
            visible: visible.value(row),
        })
        .collect())
}
