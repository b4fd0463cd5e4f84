//! What is shown of a value that would flood the screen: of a vector the first items, of an image the first
//! bytes, of a long text both ends.

use std::fmt::Write;
use std::sync::Arc;

use console::measure_text_width;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Float64Type, Schema};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::Result;

/// Items of a list that are shown where there is room.
pub(super) const ITEMS: usize = 4;
/// Bytes of a binary value that are shown where there is room.
const BYTES: usize = 8;
/// Lines of a text that is shown whole.
const LINES: usize = 12;

/// A text that is wider, shortened: of a path the file and its folder tell most, which often is its label,
/// of messages both ends.
pub(super) fn shortened(text: &str, width: usize) -> String {
    if measure_text_width(text) <= width {
        return text.to_owned();
    }
    let room = width.saturating_sub(1);
    if let Some(end) = end_of_path(text) {
        return match room.checked_sub(measure_text_width(end)) {
            Some(room) => format!("{}…{end}", fitting(text.chars(), room)),
            None => format!("…{}", shortened(&end[1..], room)),
        };
    }
    let beginning = fitting(text.chars(), room.div_ceil(3));
    let end: Vec<char> = fitting(text.chars().rev(), room - room.div_ceil(3))
        .chars()
        .collect();
    let end: String = end.into_iter().rev().collect();
    format!("{beginning}…{end}")
}

/// The last two parts of a path, from the slash before them on.
pub(super) fn end_of_path(text: &str) -> Option<&str> {
    let scheme = text.split_whitespace().next()?.contains("://");
    let is_path = (text.starts_with('/') || scheme) && !text.contains(": ");
    let (before, _) = text.rsplit_once('/').filter(|_| is_path)?;
    text.get(before.rfind('/')?..)
}

/// A text on as many lines of this width as it takes, within reason.
pub(super) fn lines(text: &str, width: usize) -> String {
    let most = width.max(1) * LINES;
    let text = shortened(text, most);
    let mut rest = text.as_str();
    let mut lines = vec![];
    while !rest.is_empty() {
        let line = fitting(rest.chars(), width.max(2));
        rest = rest.get(line.len()..).unwrap_or_default();
        lines.push(line);
    }
    lines.join("\n")
}

/// The characters that have room, from the first on.
pub(super) fn fitting(characters: impl Iterator<Item = char>, width: usize) -> String {
    let mut taken = 0;
    let fits = |character: &char| {
        taken += measure_text_width(character.encode_utf8(&mut [0; 4]));
        taken <= width
    };
    characters.take_while(fits).collect()
}

/// A number with five digits that tell something.
fn rounded(number: f64) -> String {
    let text = format!("{number:.4e}");
    match text.parse::<f64>() {
        Ok(number) if number == 0.0 || (1e-4..1e9).contains(&number.abs()) => number.to_string(),
        Ok(number) if number.is_finite() => text,
        _ => number.to_string(),
    }
}

/// A value as text, with at most so many items of a list.
pub(super) fn text(
    values: &ArrayRef,
    row: usize,
    items: usize,
    options: &FormatOptions<'_>,
) -> Result<Option<String>> {
    if values.is_null(row) {
        return Ok(None);
    }
    let mut text = String::new();
    let shape = Shape {
        items,
        rounds: items < ITEMS,
    };
    write_value(&mut text, values.as_ref(), row, shape, options)?;
    Ok(Some(text))
}

/// How much of a value is shown.
#[derive(Clone, Copy)]
struct Shape {
    /// Most items of a list.
    items: usize,
    /// Whether numbers have a few digits only, as where other items are not even shown.
    rounds: bool,
}

fn write_value(
    text: &mut String,
    values: &dyn Array,
    row: usize,
    shape: Shape,
    options: &FormatOptions<'_>,
) -> Result<()> {
    let items = shape.items;
    let comma = |place| if place > 0 { ", " } else { "" };
    // Writing to a text cannot fail.
    match values.data_type() {
        _ if values.is_null(row) => {
            let formatter = ArrayFormatter::try_new(values, options)?;
            let _ = write!(text, "{}", formatter.value(row));
        }
        DataType::Struct(fields) => {
            text.push('{');
            let columns = fields.iter().zip(values.as_struct().columns());
            for (place, (field, column)) in columns.enumerate() {
                let _ = write!(text, "{}{}: ", comma(place), field.name());
                write_value(text, column.as_ref(), row, shape, options)?;
            }
            text.push('}');
        }
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::ListView(item)
        | DataType::LargeListView(item) => {
            let item = DataType::LargeList(Arc::clone(item));
            let list = cast(&values.slice(row, 1), &item)?;
            let list = list.as_list::<i64>().value(0);
            let shape = Shape {
                rounds: shape.rounds || list.len() > items,
                ..shape
            };
            text.push('[');
            for place in 0..list.len().min(items) {
                text.push_str(comma(place));
                write_value(text, list.as_ref(), place, shape, options)?;
            }
            if list.len() > items {
                let _ = write!(text, "{}… {} items", comma(items), list.len());
            }
            text.push(']');
        }
        data_type if data_type.is_floating() && shape.rounds => {
            let number = cast(&values.slice(row, 1), &DataType::Float64)?;
            text.push_str(&rounded(number.as_primitive::<Float64Type>().value(0)));
        }
        data_type if data_type.is_binary() => {
            let value = cast(&values.slice(row, 1), &DataType::BinaryView)?;
            let value = value.as_binary_view().value(0);
            // As many bytes for each item as make the same width.
            let most = items * BYTES / ITEMS;
            for byte in value.iter().take(most) {
                let _ = write!(text, "{byte:02x}");
            }
            if value.len() > most {
                let _ = write!(text, "… {} bytes", value.len());
            }
        }
        _ => {
            let formatter = ArrayFormatter::try_new(values, options)?;
            let _ = write!(text, "{}", formatter.value(row));
        }
    }
    Ok(())
}

/// Lists and structs in full as text, which is what CSV can hold: `[1.0, 2.5, -3e-7]`.
pub fn nested_to_text(batch: &RecordBatch) -> Result<RecordBatch> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_path_the_end_is_kept() {
        for (text, width, expected) in [
            (
                "s3://fruits/Training/Apple Red/12_100.jpg",
                41,
                "s3://fruits/Training/Apple Red/12_100.jpg",
            ),
            (
                "s3://fruits/Training/Apple Red/12_100.jpg",
                30,
                "s3://fru…/Apple Red/12_100.jpg",
            ),
            (
                "/data/fruits/Training/Lemon/12_100.jpg",
                18,
                "…/Lemon/12_100.jpg",
            ),
            ("/data/fruits/Training/Lemon/12_100.jpg", 12, "…Lemo…00.jpg"),
            // No folder, and no path.
            ("/12_100_a_long_name.jpg", 12, "/12_…ame.jpg"),
            ("bad/image: it is cut/off in the middle", 12, "bad/… middle"),
        ] {
            assert_eq!(shortened(text, width), expected);
        }
    }

    #[test]
    fn of_what_is_not_shown_whole_numbers_are_rounded() {
        for (number, expected) in [
            (0.094_223_373, "0.094223"),
            (-5.325_559_6, "-5.3256"),
            (122.402_345, "122.4"),
            (-0.0, "-0"),
            (1.234_567e-9, "1.2346e-9"),
            (4.0e12, "4.0000e12"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(rounded(number), expected);
        }
    }
}
