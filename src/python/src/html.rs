//! A few rows as a table of HTML, with small pictures for images.

use std::borrow::Cow;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::util::display::ArrayFormatter;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use datafusion::common::Result;
use datafusion::common::cast::as_binary_view_array;
use datafusion_featurize::display::{condensed, fitted};
use datafusion_featurize::image::decode::Limits;
use datafusion_featurize::image::thumbnail::thumbnail;

use crate::table::OPTIONS;

/// Most rows and columns of a table.
pub(crate) const ROWS: usize = 10;
const COLUMNS: usize = 30;
/// Letters of a column that is one of many.
const WIDTH: usize = 60;
/// Most letters of a cell. What was drawn on several lines is not cut, if it has at most ten times as many.
const LETTERS: usize = 200;
/// Longest side of a picture, in pixels.
const SIDE: usize = 64;
/// Largest image that is decoded: 150 MB of RGB.
const LIMITS: Limits = Limits {
    max_pixels: 50_000_000,
};

/// The table of the first [`ROWS`] of these rows.
pub(crate) fn table(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<String> {
    let all = concat_batches(schema, batches)?;
    let left_out = all.num_columns().saturating_sub(COLUMNS);
    let columns: Vec<usize> = (0..all.num_columns().min(COLUMNS)).collect();
    let rows = all.project(&columns)?.slice(0, all.num_rows().min(ROWS));
    let texts = condensed(&rows, &OPTIONS)?;
    let mut html = "<table><thead><tr>".to_owned();
    for field in rows.schema().fields() {
        let kind = escaped(&field.data_type().to_string());
        html += &format!("<th title=\"{kind}\">{}</th>", escaped(field.name()));
    }
    html += "</tr></thead><tbody>";
    let shown = columns.iter().map(|column| shown(&texts, *column));
    let shown = shown.collect::<Result<Vec<_>>>()?;
    for row in 0..rows.num_rows() {
        html += "<tr>";
        for (values, text) in rows.columns().iter().zip(&shown) {
            html += &format!("<td>{}</td>", cell(values, text, row)?);
        }
        html += "</tr>";
    }
    html += "</tbody></table>";
    if all.num_rows() > ROWS {
        html += &format!("<p>the first {ROWS} rows</p>");
    }
    if left_out > 0 {
        html += &format!("<p>and {left_out} more columns</p>");
    }
    Ok(html)
}

/// A column with its vectors shortened.
fn shown(texts: &RecordBatch, column: usize) -> Result<ArrayRef> {
    let fitted = fitted(&texts.project(&[column])?, &OPTIONS, WIDTH, false)?;
    Ok(ArrayRef::clone(fitted.column(0)))
}

fn cell(values: &ArrayRef, texts: &ArrayRef, row: usize) -> Result<String> {
    if values.data_type().is_binary() && values.is_valid(row) {
        let bytes = cast(&values.slice(row, 1), &DataType::BinaryView)?;
        if let Ok(jpeg) = thumbnail(as_binary_view_array(&bytes)?.value(0), SIDE, LIMITS) {
            let jpeg = STANDARD.encode(jpeg);
            return Ok(format!("<img src=\"data:image/jpeg;base64,{jpeg}\">"));
        }
    }
    let text = ArrayFormatter::try_new(texts, &OPTIONS)?
        .value(row)
        .try_to_string()?;
    Ok(match text.contains('\n') {
        true => format!("<pre>{}</pre>", escaped(&cut(&text, 10 * LETTERS))),
        false => escaped(&cut(&text, LETTERS)),
    })
}

fn cut(text: &str, letters: usize) -> Cow<'_, str> {
    match text.char_indices().nth(letters) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => html += "&amp;",
            '<' => html += "&lt;",
            '>' => html += "&gt;",
            '"' => html += "&quot;",
            letter => html.push(letter),
        }
    }
    html
}
