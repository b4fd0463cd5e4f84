//! A few rows as a table of HTML, with small pictures for images.

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::util::display::FormatOptions;
use datafusion::common::Result;
use datafusion::common::cast::as_binary_view_array;
use datafusion_featurize::display::text;
use datafusion_featurize::report::thumbnail;

/// Most rows and columns of a table, and letters of a cell.
pub(crate) const ROWS: usize = 10;
const COLUMNS: usize = 30;
const LETTERS: usize = 120;
/// Items of a list that are shown.
const ITEMS: usize = 3;

/// The table of `rows`, of which there are `more` if it has [`ROWS`].
pub(crate) fn table(rows: &RecordBatch, more: bool) -> Result<String> {
    let schema = rows.schema();
    let shown = schema.fields().iter().zip(rows.columns()).take(COLUMNS);
    let mut html = "<table><thead><tr>".to_owned();
    for (field, _) in shown.clone() {
        let kind = escaped(&field.data_type().to_string());
        html += &format!("<th title=\"{kind}\">{}</th>", escaped(field.name()));
    }
    html += "</tr></thead><tbody>";
    for row in 0..rows.num_rows() {
        html += "<tr>";
        for (_, values) in shown.clone() {
            html += &format!("<td>{}</td>", cell(values, row)?);
        }
        html += "</tr>";
    }
    html += "</tbody></table>";
    let left_out = rows.num_columns().saturating_sub(COLUMNS);
    if more {
        html += &format!("<p>the first {ROWS} rows</p>");
    }
    if left_out > 0 {
        html += &format!("<p>and {left_out} more columns</p>");
    }
    Ok(html)
}

fn cell(values: &ArrayRef, row: usize) -> Result<String> {
    if values.data_type().is_binary() && values.is_valid(row) {
        let bytes = cast(&values.slice(row, 1), &DataType::BinaryView)?;
        if let Some(jpeg) = thumbnail(as_binary_view_array(&bytes)?.value(0)) {
            return Ok(format!("<img src=\"data:image/jpeg;base64,{jpeg}\">"));
        }
    }
    let text = text(values, row, ITEMS, &FormatOptions::default())?;
    let text = text.unwrap_or_else(|| "NULL".to_owned());
    let short: String = text.chars().take(LETTERS).collect();
    let dots = if short.len() < text.len() { "…" } else { "" };
    Ok(format!("{}{dots}", escaped(&short)))
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
