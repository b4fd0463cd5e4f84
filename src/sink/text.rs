//! Lists as text, as in CSV: `[1.0, 2.5, -3e-7]`.
//!
//! Numbers are written with the fewest digits that read back as the same bits; `NaN`, `inf` and
//! `-inf` are spelled so, a NULL inside of a list is `null`, as in Spark and JSON, a NULL list is an
//! empty field, and an empty list is `[]`. To get the vectors back:
//!
//! ```sql
//! SELECT CASE features WHEN '[]' THEN CAST([] AS FLOAT[])
//!        ELSE CAST(string_to_array(btrim(features, '[]'), ', ', 'null') AS FLOAT[]) END
//! FROM csv_table
//! ```
//!
//! In lists of texts nothing is quoted: the text `null` and the text `a, b` are not told from NULL
//! and two texts.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::util::display::FormatOptions;
use datafusion::common::Result;

/// NULL in a list; without it, `[NULL]` would be the empty list.
const NULL: &str = "null";

/// What a column of lists is in the file; `None` for other columns, which the CSV writer takes.
fn as_text(data_type: &DataType) -> Option<DataType> {
    match data_type {
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(_, _) => {
            Some(DataType::LargeUtf8)
        }
        _ => None,
    }
}

/// The schema of the file for rows of `schema`.
pub(super) fn text_schema(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| {
        as_text(field.data_type()).map_or_else(
            || field.as_ref().clone(),
            |text| field.as_ref().clone().with_data_type(text),
        )
    });
    let metadata = schema.metadata().clone();
    Arc::new(Schema::new_with_metadata(
        fields.collect::<Vec<_>>(),
        metadata,
    ))
}

/// The rows of `batch` with its lists as text; `schema` is that of [`text_schema`].
pub(super) fn lists_to_text(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let options = CastOptions {
        safe: false,
        format_options: FormatOptions::default().with_null(NULL),
    };
    let columns = batch
        .columns()
        .iter()
        .map(|column| match as_text(column.data_type()) {
            Some(text) => Ok(cast_with_options(&as_list(column)?, &text, &options)?),
            None => Ok(Arc::clone(column)),
        })
        .collect::<Result<Vec<ArrayRef>>>()?;
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

/// Arrow casts lists of fixed size to lists, and only lists to text.
fn as_list(column: &ArrayRef) -> Result<ArrayRef> {
    match column.data_type() {
        DataType::FixedSizeList(item, _) => {
            Ok(cast(column, &DataType::LargeList(Arc::clone(item)))?)
        }
        _ => Ok(Arc::clone(column)),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, FixedSizeListArray, Float32Array, ListArray};
    use arrow::datatypes::{Field, Float32Type};
    use proptest::prelude::*;

    use super::*;

    fn texts(column: ArrayRef) -> Vec<Option<String>> {
        let batch = RecordBatch::try_from_iter_with_nullable([("v", column, true)]).unwrap();
        let schema = text_schema(batch.schema_ref());
        let text = lists_to_text(&batch, &schema).unwrap();
        let text = text.column(0).as_string::<i64>();
        text.iter().map(|t| t.map(str::to_owned)).collect()
    }

    #[test]
    fn lists_read_like_those_of_spark() {
        let list = ListArray::from_iter_primitive::<Float32Type, _, _>([
            Some(vec![Some(1.0), Some(2.5), Some(-3e-7)]),
            None,
            Some(vec![]),
            Some(vec![Some(f32::NAN), None, Some(f32::NEG_INFINITY)]),
            Some(vec![None]),
        ]);
        let expected = [
            Some("[1.0, 2.5, -3e-7]".to_owned()),
            None,
            Some("[]".to_owned()),
            Some("[NaN, null, -inf]".to_owned()),
            Some("[null]".to_owned()),
        ];
        assert_eq!(texts(Arc::new(list)), expected);
    }

    #[test]
    fn lists_of_fixed_size_read_alike() {
        let values: ArrayRef = Arc::new(Float32Array::from(vec![1.0, 2.0, 3.0, 4.0]));
        let item = Arc::new(Field::new_list_field(DataType::Float32, true));
        let list = FixedSizeListArray::new(item, 2, values, None);
        let expected = ["[1.0, 2.0]", "[3.0, 4.0]"].map(|text| Some(text.to_owned()));
        assert_eq!(texts(Arc::new(list)), expected);
    }

    proptest! {
        /// Motive: a vector that has been through CSV must be the same vector.
        #[test]
        fn every_number_comes_back_bit_for_bit(bits in proptest::collection::vec(any::<u32>(), 1..50)) {
            let numbers: Vec<f32> = bits
                .into_iter()
                .map(f32::from_bits)
                .filter(|number| !number.is_nan())
                .collect();
            let list = ListArray::from_iter_primitive::<Float32Type, _, _>([
                Some(numbers.iter().copied().map(Some).collect::<Vec<_>>()),
            ]);
            let text = texts(Arc::new(list)).remove(0).unwrap();
            let read: Vec<u32> = text
                .trim_matches(['[', ']'])
                .split(", ")
                .filter(|number| !number.is_empty())
                .map(|number| number.parse::<f32>().unwrap().to_bits())
                .collect();
            let expected: Vec<u32> = numbers.iter().map(|number| number.to_bits()).collect();
            prop_assert_eq!(read, expected);
        }
    }
}
