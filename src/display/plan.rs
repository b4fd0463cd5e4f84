//! Plans that fit the screen.

use std::sync::Arc;

use console::measure_text_width;
use datafusion::arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;

use super::shorten::fitting;
use crate::object_stores::address::hide_secrets;

/// The most characters of a line of a plan that are shown.
const MOST_CHARACTERS: usize = 4000;
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
    // VERBOSE shows calls as they were typed, before any rule has hidden what they hold.
    let text = hide_secrets(text);
    let lines = text.lines().map(|line| match is_drawing {
        true => line.to_owned(),
        false => wrapped_line(line, room),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Breaks a line behind its commas, or else between words. Of a very long one, such as the literal of a model,
/// it keeps the beginning.
fn wrapped_line(line: &str, room: usize) -> String {
    let indent = line.len() - line.trim_start().len() + INDENT;
    let pad = " ".repeat(indent.min(room / 2));
    let (mut rest, left_out) = match line.char_indices().nth(MOST_CHARACTERS) {
        Some((end, _)) => (&line[..end], line[end..].chars().count()),
        None => (line, 0),
    };
    let (mut lines, mut start) = (vec![], "");
    loop {
        let head = fitting(rest.chars(), room.saturating_sub(start.len()));
        if head.len() == rest.len() {
            break;
        }
        let breaks = [", ", " "].map(|at| head.rfind(at).map(|place| place + at.len()));
        // The blanks that a line begins with are no place to break it.
        let blank = head.len() - head.trim_start().len();
        let mut breaks = breaks.into_iter().flatten();
        let at = breaks.find(|at| *at > blank).unwrap_or(head.len());
        if at <= blank {
            break;
        }
        lines.push(format!("{start}{}", head[..at].trim_end()));
        rest = rest[at..].trim_start();
        start = &pad;
    }
    lines.push(format!("{start}{rest}"));
    if left_out > 0 {
        lines.push(format!(
            "{pad}… {left_out} more characters: \\pset format csv shows them"
        ));
    }
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
        let long = wrapped_line(&"model, ".repeat(1_000_000), 80);
        assert!(long.len() < 6000, "{}", long.len());
        assert!(
            long.ends_with("6996000 more characters: \\pset format csv shows them"),
            "{long}"
        );
        let drawn = "┌──┐".repeat(20);
        assert_eq!(wrapped(&drawn, 20), drawn);
    }
}
