//! What a terminal shows of values that would flood it: the bytes of an image, a vector of features.

use std::fmt::Write;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::Result;

/// Items of a list that are shown: with a label beside them they fit into 80 columns.
const ITEMS: usize = 4;
/// Bytes of a binary value that are shown.
const BYTES: usize = 8;

/// The schema of what [`shorten`] makes of batches of this one.
pub(crate) fn shortened_schema(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| {
        if is_long(field.data_type()) {
            Arc::new(Field::new(field.name(), DataType::Utf8, true))
        } else {
            Arc::clone(field)
        }
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Lists and binary values as text: the first items, and how many there are.
pub(crate) fn shorten(batch: &RecordBatch, options: &FormatOptions<'_>) -> Result<RecordBatch> {
    let columns = batch.columns().iter().map(|column| {
        let data_type = column.data_type();
        if !is_long(data_type) {
            return Ok(Arc::clone(column));
        }
        let texts = if data_type.is_binary() {
            binary(column)?
        } else {
            lists(column, options)?
        };
        Ok(Arc::new(texts) as ArrayRef)
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    Ok(RecordBatch::try_new(
        shortened_schema(&batch.schema()),
        columns,
    )?)
}

/// Characters of a text that are shown of what only says what something is.
const CHARACTERS: usize = 60;

/// Texts by their beginning.
pub(crate) fn shorten_texts(batch: &RecordBatch) -> Result<RecordBatch> {
    let columns = batch.columns().iter().map(|column| {
        if !column.data_type().is_string() {
            return Ok(Arc::clone(column));
        }
        let texts = cast(column, &DataType::Utf8)?;
        let texts = texts.as_string::<i32>().iter().map(|text| {
            let text = text?;
            let end = text.char_indices().nth(CHARACTERS).map(|(end, _)| end);
            Some(match end {
                Some(end) => format!("{}…", text.get(..end).unwrap_or_default()),
                None => text.to_owned(),
            })
        });
        let texts: StringArray = texts.collect();
        Ok(cast(&texts, column.data_type())?)
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    Ok(RecordBatch::try_new(batch.schema(), columns)?)
}

/// Lists and structs in full as text, which is what CSV can hold: `[1.0, 2.5, -3e-7]`.
pub(crate) fn nested_to_text(batch: &RecordBatch) -> Result<RecordBatch> {
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns());
    let columns = columns.map(|(field, column)| {
        if !field.data_type().is_nested() {
            return Ok((Arc::clone(field), Arc::clone(column)));
        }
        let formatter = ArrayFormatter::try_new(column.as_ref(), &FormatOptions::default())?;
        let texts = (0..column.len()).map(|row| {
            column
                .is_valid(row)
                .then(|| formatter.value(row).to_string())
        });
        let texts: ArrayRef = Arc::new(texts.collect::<StringArray>());
        Ok((
            Arc::new(Field::new(field.name(), DataType::Utf8, true)),
            texts,
        ))
    });
    let (fields, columns): (Vec<_>, Vec<_>) =
        columns.collect::<Result<Vec<_>>>()?.into_iter().unzip();
    Ok(RecordBatch::try_new(
        Arc::new(Schema::new(fields)),
        columns,
    )?)
}

fn is_long(data_type: &DataType) -> bool {
    data_type.is_binary() || data_type.is_list()
}

fn binary(column: &ArrayRef) -> Result<StringArray> {
    let column = cast(column, &DataType::BinaryView)?;
    let texts = column.as_binary_view().iter().map(|value| {
        value.map(|value| {
            let mut text = String::new();
            for byte in value.iter().take(BYTES) {
                // Writing to a text cannot fail.
                let _ = write!(text, "{byte:02x}");
            }
            if value.len() > BYTES {
                let _ = write!(text, "… {} bytes", value.len());
            }
            text
        })
    });
    Ok(texts.collect())
}

fn lists(column: &ArrayRef, options: &FormatOptions<'_>) -> Result<StringArray> {
    let item = match column.data_type() {
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::ListView(item)
        | DataType::LargeListView(item) => Arc::clone(item),
        _ => return Ok(StringArray::new_null(column.len())),
    };
    let column = cast(column, &DataType::LargeList(item))?;
    let texts = column.as_list::<i64>().iter().map(|items| {
        let Some(items) = items else {
            return Ok(None);
        };
        let shown = items.slice(0, items.len().min(ITEMS));
        let formatter = ArrayFormatter::try_new(shown.as_ref(), options)?;
        let mut text = String::from("[");
        for place in 0..shown.len() {
            let comma = if place > 0 { ", " } else { "" };
            let _ = write!(text, "{comma}{}", formatter.value(place));
        }
        if items.len() > ITEMS {
            let _ = write!(text, ", … {} items", items.len());
        }
        text.push(']');
        Ok(Some(text))
    });
    texts.collect()
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{BinaryViewArray, FixedSizeListArray, Int32Array, ListArray};
    use datafusion::arrow::datatypes::{Float32Type, Int32Type};
    use datafusion::arrow::util::pretty::pretty_format_batches;

    use super::*;

    #[test]
    fn long_values_are_shown_by_their_beginning() {
        let vector = (0..1280).map(|i| Some(i as f32 / 2.0)).collect::<Vec<_>>();
        let lists = ListArray::from_iter_primitive::<Float32Type, _, _>([
            Some(vector),
            Some(vec![Some(1.5), None]),
            None,
        ]);
        let pairs = FixedSizeListArray::from_iter_primitive::<Int32Type, _, _>(
            vec![Some(vec![Some(1), Some(2)]), None, None],
            2,
        );
        let jpeg = [vec![0xff, 0xd8, 0xff], vec![0; 4489]].concat();
        let contents = BinaryViewArray::from_iter([Some(jpeg.as_slice()), Some(b"\x01"), None]);
        let columns: [(&str, ArrayRef); 4] = [
            ("id", Arc::new(Int32Array::from(vec![1, 2, 3]))),
            ("features", Arc::new(lists)),
            ("pairs", Arc::new(pairs)),
            ("content", Arc::new(contents)),
        ];
        let batch = RecordBatch::try_from_iter_with_nullable(
            columns.map(|(name, column)| (name, column, true)),
        )
        .unwrap();
        let options = FormatOptions::default().with_null("NULL");
        let short = shorten(&batch, &options).unwrap();
        assert_eq!(short.schema(), shortened_schema(&batch.schema()));
        let shown = pretty_format_batches(&[short]).unwrap().to_string();
        let cells: Vec<Vec<&str>> = shown
            .lines()
            .filter(|line| line.starts_with("| "))
            .map(|line| line.split('|').map(str::trim).collect())
            .collect();
        let vector = "[0.0, 0.5, 1.0, 1.5, … 1280 items]";
        let expected = [
            ["", "id", "features", "pairs", "content", ""],
            [
                "",
                "1",
                vector,
                "[1, 2]",
                "ffd8ff0000000000… 4492 bytes",
                "",
            ],
            ["", "2", "[1.5, NULL]", "", "01", ""],
            ["", "3", "", "", "", ""],
        ];
        assert_eq!(cells, expected, "{shown}");
    }
}
