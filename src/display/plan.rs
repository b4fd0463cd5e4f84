//! Plans that fit the screen.

use std::sync::Arc;

use console::measure_text_width;
use datafusion::arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;

use super::shorten::fitting;

/// What a line that goes on is indented by.
const INDENT: usize = 4;

/// The result of EXPLAIN with every line of a plan in at most `width` columns of the screen, on several
/// lines if need be. Drawn trees stay as they are.
pub fn wrapped_plan(plan: &RecordBatch, width: usize) -> Result<RecordBatch> {
    let texts = |column: &ArrayRef| column.as_string_opt::<i32>().cloned();
    let Some(types) = plan.columns().first().and_then(texts) else {
        return Ok(plan.clone());
    };
    let heading = plan.schema().field(0).name().len();
    let types = types.iter().flatten().map(measure_text_width).max();
    // The frame takes the rest.
    let room = width.saturating_sub(types.unwrap_or(0).max(heading) + 7);
    let columns = plan.columns().iter().enumerate();
    let columns = columns.map(|(place, column)| match texts(column) {
        Some(texts) if place > 0 && *column.data_type() == DataType::Utf8 => {
            let wrapped = texts.iter().map(|text| Some(wrapped(text?, room)));
            Arc::new(wrapped.collect::<StringArray>()) as ArrayRef
        }
        _ => Arc::clone(column),
    });
    Ok(RecordBatch::try_new(plan.schema(), columns.collect())?)
}

fn wrapped(text: &str, room: usize) -> String {
    let is_drawing = text.contains(['│', '┐']);
    let lines = text.lines().map(|line| match is_drawing {
        true => line.to_owned(),
        false => wrapped_line(line, room),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Breaks a line behind its commas, or else between words.
fn wrapped_line(line: &str, room: usize) -> String {
    let indent = line.len() - line.trim_start().len() + INDENT;
    let pad = " ".repeat(indent.min(room / 2));
    let (mut lines, mut rest) = (vec![], line.to_owned());
    while measure_text_width(&rest) > room {
        let head = fitting(rest.chars(), room);
        let breaks = [", ", " "].map(|at| head.rfind(at).map(|place| place + at.len()));
        let mut breaks = breaks.into_iter().flatten();
        let at = breaks.find(|at| *at > pad.len()).unwrap_or(head.len());
        if at <= pad.len() {
            break;
        }
        let (head, tail) = rest.split_at(at);
        lines.push(head.trim_end().to_owned());
        rest = format!("{pad}{}", tail.trim_start());
    }
    lines.push(rest);
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_of_plans_go_on_behind_a_comma() {
        let line = "  ProjectionExec: expr=[a, bb], metrics=[output_rows=1, elapsed=2]";
        assert_eq!(
            wrapped(&format!("{line}\nFilter"), 30),
            "  ProjectionExec: expr=[a,\n      bb],\n      metrics=[output_rows=1,\n      elapsed=2]\nFilter"
        );
        let unbroken = "x".repeat(25);
        assert_eq!(wrapped_line(&unbroken, 20).lines().count(), 2);
        assert_eq!(wrapped_line(&unbroken, 0), unbroken);
        let drawn = "┌──┐".repeat(20);
        assert_eq!(wrapped(&drawn, 20), drawn);
    }
}
