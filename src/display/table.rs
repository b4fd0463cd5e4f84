//! Tables that fit the screen: how wide each column is, and which there is no room for.

use std::sync::Arc;

use console::{Term, measure_text_width};
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, ListArray, ListBuilder, RecordBatch, RecordBatchOptions, StringArray,
    StringBuilder,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::util::display::FormatOptions;
use datafusion::common::Result;

use super::shorten::{ITEMS, end_of_path, lines, shortened, text};

/// What the length of a vector takes: `[… 25088 items]`.
const LENGTH: usize = 16;
/// What a text is cut to before a column is left out.
const NARROW: usize = 12;
/// What the file of a path and its folder are cut to.
const PATH: usize = 32;
/// What a heading over narrower values is cut to.
const HEADING: usize = 8;
/// Columns that a NULL takes.
const NULL: usize = 4;
/// Where nobody knows how wide the screen is.
const WIDTH: usize = 120;

/// Columns of the screen that the results are read on, as far as can be known.
pub fn width() -> usize {
    let of = |term: Term| Some(usize::from(term.size_checked()?.1)).filter(|columns| *columns > 0);
    of(Term::stdout())
        .or_else(|| std::env::var("COLUMNS").ok()?.parse().ok())
        // The results go to another program, which most often shows them on the same screen.
        .or_else(|| of(Term::stderr()))
        .unwrap_or(WIDTH)
}

/// What may be shown of a batch, so that its vectors and images need not be kept: of each of these a list
/// of texts, with ever fewer items.
pub fn condensed(batch: &RecordBatch, options: &FormatOptions<'_>) -> Result<RecordBatch> {
    let columns = batch.columns().iter().map(|values| {
        if !is_long(values.data_type()) {
            return Ok(Arc::clone(values));
        }
        let mut texts = ListBuilder::new(StringBuilder::new());
        for row in 0..values.len() {
            for items in (0..=ITEMS).rev() {
                texts
                    .values()
                    .append_option(text(values, row, items, options)?);
            }
            texts.append(values.is_valid(row));
        }
        Ok(Arc::new(texts.finish()) as ArrayRef)
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let schema = condensed_schema(&batch.schema());
    // Rows of no columns are rows too.
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(schema, columns, &rows)?)
}

/// The schema of what [`condensed`] makes of batches of this one.
pub fn condensed_schema(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| {
        let field = field.as_ref().clone().with_nullable(true);
        match is_long(field.data_type()) {
            true => field.with_data_type(DataType::new_list(DataType::Utf8, true)),
            false => field,
        }
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn is_long(data_type: &DataType) -> bool {
    data_type.is_binary() || data_type.is_nested()
}

/// A table, made of [`condensed`] batches, that takes at most `width` columns of the screen if its numbers
/// allow it: these are never cut. Texts are, unless they are shown `whole`, on several lines.
pub fn fitted(
    batch: &RecordBatch,
    options: &FormatOptions<'_>,
    width: usize,
    whole: bool,
) -> Result<RecordBatch> {
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns());
    let columns = columns.map(|(field, values)| Column::try_new(field.name(), values, options));
    let mut columns = columns.collect::<Result<Vec<_>>>()?;
    let left_out = leave_out(&mut columns, width);
    let room = room(&columns, width, left_out);
    let least: usize = columns.iter().map(|column| column.least).sum();
    let mut spare = room.saturating_sub(least);
    for column in &mut columns {
        // The ends of paths go before what else there is room for.
        let more = column.end.saturating_sub(column.least).min(spare);
        column.least += more;
        spare -= more;
    }
    if let Some(name) = columns.first_mut().filter(|_| whole) {
        // What the others are about is found by it.
        let spare = spare * 2 / 3;
        name.least = name.wanted.min(name.least + spare);
    }
    let widest = widest(&columns, room);
    let (mut fields, mut shown) = (vec![], vec![]);
    for column in &columns {
        let (name, values) = column.fitted(column.at(widest), whole);
        fields.push(Field::new(name, values.data_type().clone(), true));
        shown.push(values);
    }
    if left_out > 0 {
        fields.push(Field::new(more(left_out), DataType::Utf8, true));
        let dots = vec!["…"; batch.num_rows()];
        shown.push(Arc::new(StringArray::from(dots)));
    }
    let schema = Arc::new(Schema::new(fields));
    // Rows of no columns are rows too.
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(schema, shown, &rows)?)
}

/// The heading of the columns that there is no room for.
fn more(left_out: usize) -> String {
    format!("… {left_out} more")
}

/// Takes the last columns out until the others have room at their narrowest, and counts them.
fn leave_out(columns: &mut Vec<Column<'_>>, width: usize) -> usize {
    let mut left_out = 0;
    while columns.len() > 1 {
        let least: usize = columns.iter().map(|column| column.at(0)).sum();
        if least <= room(columns, width, left_out) {
            break;
        }
        columns.pop();
        left_out += 1;
    }
    left_out
}

/// What the frame leaves of the width for the values.
fn room(columns: &[Column<'_>], width: usize, left_out: usize) -> usize {
    let more = match left_out {
        0 => 0,
        left_out => measure_text_width(&more(left_out)) + 3,
    };
    width.saturating_sub(3 * columns.len() + 1 + more)
}

/// How wide a column may be so that all have room together.
fn widest(columns: &[Column<'_>], room: usize) -> usize {
    let wanted = columns.iter().map(|column| column.wanted).max();
    let (mut fits, mut too_wide) = (0, wanted.unwrap_or(0) + 1);
    while too_wide - fits > 1 {
        let middle = fits.midpoint(too_wide);
        let all: usize = columns.iter().map(|column| column.at(middle)).sum();
        if all <= room {
            fits = middle;
        } else {
            too_wide = middle;
        }
    }
    fits
}

/// How the values of a column can be shortened.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Not at all: numbers, times, and what was drawn on several lines.
    Whole,
    Text,
    /// Binary values, lists and structs.
    Long,
}

struct Column<'a> {
    name: &'a str,
    values: &'a ArrayRef,
    /// The values as they are shown where there is room.
    texts: Vec<Option<String>>,
    kind: Kind,
    /// The width that the ends of paths take.
    end: usize,
    /// The width of the values, or of the name if that is wider.
    wanted: usize,
    /// The width below which it does not go.
    least: usize,
}

impl<'a> Column<'a> {
    fn try_new(name: &'a str, values: &'a ArrayRef, options: &FormatOptions<'_>) -> Result<Self> {
        let list = values.as_list_opt::<i32>();
        let texts = (0..values.len()).map(|row| match list {
            Some(list) => Ok(longest_first(list, row).next()),
            None => text(values, row, ITEMS, options),
        });
        let texts = texts.collect::<Result<Vec<_>>>()?;
        let is_drawing = || texts.iter().flatten().any(|text| text.contains('\n'));
        let kind = match values.data_type() {
            DataType::List(_) => Kind::Long,
            // Nothing is left of a picture of characters whose lines are cut.
            _ if is_drawing() => Kind::Whole,
            other if other.is_string() => Kind::Text,
            DataType::Dictionary(_, item) if item.is_string() => Kind::Text,
            _ => Kind::Whole,
        };
        let widths = texts.iter().map(|text| match text {
            Some(text) => text.lines().map(measure_text_width).max().unwrap_or(0),
            None => NULL,
        });
        let of_values = widths.max().unwrap_or(0);
        let of_name = measure_text_width(name);
        let wanted = of_values.max(of_name);
        let least = match kind {
            Kind::Whole => of_values.max(of_name.min(HEADING)),
            Kind::Text => wanted.min(NARROW),
            Kind::Long => {
                // The length of a vector is not cut.
                let shortest = list.into_iter().flat_map(|list| {
                    let rows = (0..list.len()).filter_map(|row| longest_first(list, row).last());
                    rows.map(|text| measure_text_width(&text))
                });
                wanted.min(NARROW.max(shortest.max().unwrap_or(0).min(LENGTH)))
            }
        };
        let ends = texts.iter().flatten().filter_map(|text| end_of_path(text));
        let end = ends.map(|end| 1 + measure_text_width(end)).max();
        Ok(Self {
            name,
            values,
            end: end.unwrap_or(0).min(PATH).min(wanted),
            texts,
            kind,
            wanted,
            least,
        })
    }

    /// Its width where columns may be this wide.
    fn at(&self, widest: usize) -> usize {
        self.wanted.min(widest).max(self.least)
    }

    /// Its heading and its values in this width.
    fn fitted(&self, width: usize, whole: bool) -> (String, ArrayRef) {
        let name = shortened(self.name, width);
        if self.kind == Kind::Whole {
            return (name, Arc::clone(self.values));
        }
        let list = self.values.as_list_opt::<i32>();
        let fitted = |(row, shown): (usize, &Option<String>)| {
            let shown = shown.as_ref()?;
            let is_vector = list.is_some() && shown.starts_with('[');
            if whole && !is_vector {
                return Some(lines(shown, width));
            }
            // Of a list as many items as there is room for.
            let fitting = list.and_then(|list| {
                let mut texts = longest_first(list, row);
                texts.find(|text| measure_text_width(text) <= width)
            });
            let shortest = || longest_first(list?, row).last();
            let shown = fitting.or_else(shortest).unwrap_or_else(|| shown.clone());
            Some(shortened(&shown, width))
        };
        let texts: StringArray = self.texts.iter().enumerate().map(fitted).collect();
        (name, Arc::new(texts))
    }
}

/// The texts of a value that was [`condensed`]; none of a NULL.
fn longest_first(list: &ListArray, row: usize) -> impl Iterator<Item = String> {
    let texts = list.is_valid(row).then(|| list.value(row));
    let texts = texts.map(|texts| texts.as_string::<i32>().clone());
    let texts = texts.into_iter().flat_map(|texts| {
        let owned = |text: Option<&str>| text.map(ToOwned::to_owned);
        texts.iter().map(owned).collect::<Vec<_>>()
    });
    texts.flatten()
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{
        BinaryViewArray, FixedSizeListArray, Int32Array, Int64Array, StructArray,
    };
    use datafusion::arrow::datatypes::{Float32Type, Int32Type};
    use datafusion::arrow::util::pretty::pretty_format_batches;
    use proptest::prelude::*;

    use super::*;

    fn batch<const N: usize>(columns: [(&str, ArrayRef); N]) -> RecordBatch {
        let columns = columns.map(|(name, column)| (name, column, true));
        RecordBatch::try_from_iter_with_nullable(columns).unwrap()
    }

    fn shown(batch: &RecordBatch, width: usize, whole: bool) -> String {
        let options = FormatOptions::default().with_null("NULL");
        let batch = condensed(batch, &options).unwrap();
        let batch = fitted(&batch, &options, width, whole).unwrap();
        pretty_format_batches(&[batch]).unwrap().to_string()
    }

    fn cells(table: &str) -> Vec<Vec<&str>> {
        let rows = table.lines().filter(|line| line.starts_with("| "));
        let cells = rows.map(|line| line.trim_matches('|').split('|').map(str::trim).collect());
        cells.collect()
    }

    fn vectors() -> ArrayRef {
        let vector = (0..1280).map(|i| Some(i as f32 / 2.0)).collect::<Vec<_>>();
        Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>([
            Some(vector),
            Some(vec![Some(1.5), None]),
            None,
        ]))
    }

    fn contents() -> ArrayRef {
        let jpeg = [vec![0xff, 0xd8, 0xff], vec![0; 4489]].concat();
        let contents = [Some(jpeg.as_slice()), Some(b"\x01"), None];
        Arc::new(BinaryViewArray::from_iter(contents))
    }

    #[test]
    fn the_length_of_a_vector_is_never_cut() {
        let table = batch(["a", "b", "c", "d", "e"].map(|name| (name, vectors())));
        for width in [30, 40, 80, 120] {
            for whole in [false, true] {
                let shown = shown(&table, width, whole);
                let rows = cells(&shown);
                let vectors = rows[1].iter().filter(|cell| cell.starts_with('['));
                assert!(vectors.clone().count() > 0, "{shown}");
                for cell in vectors {
                    assert!(cell.ends_with("… 1280 items]"), "{shown}");
                }
            }
        }
    }

    #[test]
    fn long_values_are_shown_by_their_beginning() {
        let pairs = FixedSizeListArray::from_iter_primitive::<Int32Type, _, _>(
            vec![Some(vec![Some(1), Some(2)]), None, None],
            2,
        );
        let both = batch([
            ("content", contents()),
            ("n", Arc::new(Int64Array::from(vec![7, 8, 9]))),
        ]);
        let table = batch([
            ("id", Arc::new(Int32Array::from(vec![1, 2, 3]))),
            ("features", vectors()),
            ("pairs", Arc::new(pairs)),
            ("content", contents()),
            ("both", Arc::new(StructArray::from(both))),
        ]);
        let long = "{content: ffd8ff0000000000… 4492 bytes, n: 7}";
        let expected = [
            ["id", "features", "pairs", "content", "both"],
            [
                "1",
                "[0, 0.5, 1, 1.5, … 1280 items]",
                "[1, 2]",
                "ffd8ff0000000000… 4492 bytes",
                long,
            ],
            ["2", "[1.5, NULL]", "", "01", "{content: 01, n: 8}"],
            ["3", "", "", "", "{content: NULL, n: 9}"],
        ];
        assert_eq!(cells(&shown(&table, 200, false)), expected);
        // Where there is less room, fewer items; how many there are is always said.
        let narrow = shown(&table, 80, false);
        for part in ["… 1280 items]", "… 4492 bytes |", "[1.5, NULL]"] {
            assert!(narrow.contains(part), "{part} is not in\n{narrow}");
        }
    }

    #[test]
    fn texts_are_shown_by_both_ends_or_on_several_lines() {
        let path = format!("s3://fruits/{}r_87_100.jpg", "Training/".repeat(12));
        let one = batch([("path", Arc::new(StringArray::from(vec![path.as_str()])))]);
        let table = shown(&one, 40, false);
        assert!(table.contains("| s3://fruits/"), "{table}");
        assert!(table.contains("…/Training/r_87_100.jpg |"), "{table}");
        let table = shown(&one, 40, true);
        let whole: String = cells(&table).concat().concat();
        assert_eq!(whole, format!("path{path}"));
        // What was drawn on several lines stays as it is.
        let drawing = format!("a{}\nb", " ".repeat(90));
        let drawn = batch([("scree", Arc::new(StringArray::from(vec![drawing.as_str()])))]);
        assert!(shown(&drawn, 40, false).contains(&" ".repeat(90)));
    }

    #[test]
    fn numbers_beside_those_that_are_not_shown_are_rounded() {
        let third = 1.0_f32 / 3.0;
        let column = |length| -> ArrayRef {
            let vector = Some(vec![Some(third); length]);
            Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>([
                vector,
            ]))
        };
        let table = shown(&batch([("a", column(2)), ("b", column(5))]), 80, false);
        assert!(
            table.contains("| [0.33333334, 0.33333334] | [0.33333, "),
            "{table}"
        );
    }

    #[test]
    fn numbers_are_whole_and_what_has_no_room_is_counted() {
        let number: ArrayRef = Arc::new(Int64Array::from(vec![1_234_567_890_123_456_789]));
        let names: Vec<String> = (0..30).map(|i| format!("features_pca_{i}")).collect();
        let columns = names.iter().map(|name| (name, Arc::clone(&number)));
        let wide = RecordBatch::try_from_iter(columns).unwrap();
        let table = shown(&wide, 80, false);
        assert!(table.contains("| 1234567890123456789 |"), "{table}");
        assert!(table.contains("| … 27 more |"), "{table}");
    }

    proptest! {
        #[test]
        fn every_line_fits(
            texts in proptest::collection::vec("\\PC{0,90}", 1..6),
            columns in 1..9_usize,
            width in 40..130_usize,
            whole: bool,
        ) {
            let texts: Vec<String> = texts.iter().map(|text| text.replace('\n', " ")).collect();
            let text: ArrayRef = Arc::new(StringArray::from(texts.clone()));
            let number: ArrayRef = Arc::new(Int64Array::from(vec![12_345; texts.len()]));
            let names: Vec<String> = (0..columns).map(|i| format!("column number {i}")).collect();
            let columns = names.iter().enumerate();
            let columns = columns.map(|(i, name)| (name, Arc::clone([&text, &number][i % 2])));
            let batch = RecordBatch::try_from_iter(columns).unwrap();
            for line in shown(&batch, width, whole).lines() {
                prop_assert!(measure_text_width(line) <= width, "{line}");
            }
        }
    }
}
