//! Errors as people read them.

use std::borrow::Cow;
use std::io::IsTerminal;

use datafusion::arrow::error::ArrowError;
use datafusion::common::DataFusionError;
use datafusion_featurize::display::width;

use crate::markdown::fill_to;

/// Kinds of DataFusion's errors that say nothing to whoever reads what is wrong.
const KINDS: [&str; 9] = [
    "Arrow error: ",
    "Error during planning: ",
    "Execution error: ",
    "ExecutionJoin error: ",
    "External error: ",
    "Invalid or Unsupported Configuration: ",
    "Object Store error: ",
    "SQL error: ",
    "Schema error: ",
];

/// Says on stderr what is wrong, in lines that a terminal need not break within words.
pub(crate) fn tell(error: &DataFusionError) {
    let text = format!("Error: {}", shown(&error.strip_backtrace()));
    match std::io::stderr().is_terminal() {
        true => eprintln!("{}", broken(&text, width())),
        false => eprintln!("{text}"),
    }
}

/// `text` with its long lines broken.
fn broken(text: &str, width: usize) -> String {
    let lines = text.lines().map(|line| match line.chars().count() > width {
        true => Cow::Owned(fill_to(width, line, "")),
        false => Cow::Borrowed(line),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Where something went wrong, then why, on one line if the cause has one.
fn shown(error: &str) -> String {
    let parts = error.split("\ncaused by\n");
    // Which step of the planning has met it is of no use.
    let is_step = |part: &&str| part.starts_with("Optimizer rule '") && part.ends_with("' failed");
    let parts = parts.filter(|part| !is_step(part)).map(|mut part| {
        while let Some(rest) = KINDS.iter().find_map(|kind| part.strip_prefix(kind)) {
            part = rest;
        }
        part.replacen("This feature is not implemented: ", "not implemented: ", 1)
    });
    parts.collect::<Vec<_>>().join(": ")
}

/// Whether the reader of the results has gone.
pub(crate) fn is_broken_pipe(error: &DataFusionError) -> bool {
    let mut error: Option<&dyn std::error::Error> = Some(error);
    while let Some(e) = error {
        if let Some(e) = e.downcast_ref::<std::io::Error>() {
            return e.kind() == std::io::ErrorKind::BrokenPipe;
        }
        // Of the error of writing CSV only the text is left.
        if let Some(ArrowError::CsvError(text)) = e.downcast_ref() {
            return text.contains("Broken pipe");
        }
        error = e.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_too_long_are_broken_between_words() {
        assert_eq!(
            broken("one two  three\n  a  b", 9),
            "one two\nthree\n  a  b"
        );
        assert_eq!(
            broken("s3://bucket/key is not", 8),
            "s3://bucket/key\nis not"
        );
    }

    #[test]
    fn kinds_of_errors_are_not_shown() {
        for (error, expected) in [
            ("Error during planning: no x", "no x"),
            (
                "a.sql, line 1\ncaused by\nExternal error: Schema error: no x",
                "a.sql, line 1: no x",
            ),
            (
                "Optimizer rule 'simplify_expressions' failed\ncaused by\nArrow error: Cast error: no x",
                "Cast error: no x",
            ),
            ("This feature is not implemented: x", "not implemented: x"),
            ("Resources exhausted: x", "Resources exhausted: x"),
        ] {
            assert_eq!(shown(error), expected);
        }
    }
}
