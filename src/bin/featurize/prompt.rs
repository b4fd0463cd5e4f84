//! Reads lines: datafusion-cli's completion, highlighting and check of statements, but for what is no SQL.

use std::borrow::Cow;

use datafusion::config::Dialect;
use datafusion_cli::helper::CliHelper;
use rustyline::completion::{Completer, Pair};
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Editor, Helper, Result};

use rustyline::history::DefaultHistory;

pub(crate) type Prompt = Editor<PromptHelper, DefaultHistory>;

pub(crate) struct PromptHelper(CliHelper);

impl PromptHelper {
    pub(crate) fn new(dialect: &Dialect, color: bool) -> Self {
        Self(CliHelper::new(dialect, color))
    }

    pub(crate) fn set_dialect(&mut self, dialect: &Dialect) {
        self.0.set_dialect(dialect);
    }

    pub(crate) fn reset_hint(&self) {
        self.0.reset_hint();
    }
}

/// The command on a line that is no SQL, without its backslash, as psql takes it: also with a semicolon at
/// its end, and `exit`, `quit` and `help` as they are.
pub(crate) fn command(line: &str) -> Option<&str> {
    let line = line.trim();
    let text = line.trim_end_matches(';').trim_end();
    match text.to_ascii_lowercase().as_str() {
        "exit" | "quit" => Some("q"),
        "help" => Some("?"),
        _ => text.strip_prefix('\\'),
    }
}

impl Validator for PromptHelper {
    fn validate(&self, ctx: &mut ValidationContext<'_>) -> Result<ValidationResult> {
        if command(ctx.input()).is_some() {
            self.reset_hint();
            return Ok(ValidationResult::Valid(None));
        }
        self.0.validate(ctx)
    }
}

impl Completer for PromptHelper {
    type Candidate = Pair;

    fn complete(&self, line: &str, pos: usize, ctx: &Context<'_>) -> Result<(usize, Vec<Pair>)> {
        self.0.complete(line, pos, ctx)
    }
}

impl Hinter for PromptHelper {
    type Hint = String;

    fn hint(&self, line: &str, pos: usize, ctx: &Context<'_>) -> Option<String> {
        self.0.hint(line, pos, ctx)
    }
}

impl Highlighter for PromptHelper {
    fn highlight<'l>(&self, line: &'l str, pos: usize) -> Cow<'l, str> {
        self.0.highlight(line, pos)
    }

    fn highlight_char(&self, line: &str, pos: usize, kind: CmdKind) -> bool {
        self.0.highlight_char(line, pos, kind)
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        self.0.highlight_hint(hint)
    }
}

impl Helper for PromptHelper {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_told_from_statements() {
        for (line, expected) in [
            ("\\d images", Some("d images")),
            (" \\d images; ", Some("d images")),
            ("\\q", Some("q")),
            ("exit", Some("q")),
            ("QUIT;", Some("q")),
            ("help", Some("?")),
            ("SELECT 1;", None),
            ("SELECT '\\d';", None),
            ("exit now", None),
            ("", None),
        ] {
            assert_eq!(command(line), expected, "{line}");
        }
    }
}
