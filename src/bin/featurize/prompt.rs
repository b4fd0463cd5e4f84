//! The line editor: rustyline, with datafusion-cli's colours.
//!
//! A statement ends with a semicolon. Until then Enter begins another line of it, which is marked by a
//! `.` in place of the first of the two blanks that it is indented by: rustyline has no prompt for such
//! lines, and this way all of them can still be edited. Statements with mistakes are accepted and say so
//! when they are run: if they were held back, what is typed or pasted behind them would be lost.

use std::borrow::Cow;

use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::dialect::{Dialect, GenericDialect};
use datafusion::sql::sqlparser::tokenizer::{Token, Whitespace};
use datafusion_cli::helper::CliHelper;
use datafusion_featurize::sql::script::{self, Missing};
use rustyline::completion::{Completer, Pair};
use rustyline::config::CompletionType;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::{Hint, Hinter};
use rustyline::history::DefaultHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{
    Cmd, ConditionalEventHandler, Config, Context, Editor, Event, EventContext, EventHandler,
    Helper, KeyCode, KeyEvent, Modifiers, RepeatCount, Result,
};

use crate::complete::Completion;

pub(crate) type Prompt = Editor<PromptHelper, DefaultHistory>;

/// Statements that the history holds.
const HISTORY: usize = 10_000;

/// What a line that goes on begins with.
const INDENT: &str = "  ";

pub(crate) fn config() -> Result<Config> {
    let builder = Config::builder().completion_type(CompletionType::List);
    Ok(builder.max_history_size(HISTORY)?.build())
}

/// An editor of lines for the session.
pub(crate) fn new(config: Config, history: DefaultHistory, helper: PromptHelper) -> Result<Prompt> {
    let mut prompt = Editor::with_history(config, history)?;
    let mut bind = |key: KeyEvent, handler: EventHandler| {
        prompt.bind_sequence(Event::from(key), handler);
    };
    // Enter as terminals send it, and as a terminal that is not read at the moment keeps it.
    let enter = [
        KeyEvent(KeyCode::Enter, Modifiers::NONE),
        KeyEvent::ctrl('J'),
        KeyEvent::ctrl('M'),
    ];
    for key in enter {
        let handler = Box::new(Enter(helper.ctx.clone()));
        bind(key, EventHandler::Conditional(handler));
    }
    let tab = KeyEvent(KeyCode::Tab, Modifiers::NONE);
    bind(tab, EventHandler::Conditional(Box::new(Tab)));
    prompt.set_helper(Some(helper));
    Ok(prompt)
}

pub(crate) fn dialect(ctx: &SessionContext) -> Box<dyn Dialect> {
    datafusion_featurize::sql::dialect(ctx).unwrap_or_else(|_| Box::new(GenericDialect {}))
}

/// The command on a line that is no SQL, without its backslash, as psql takes it: also with a semicolon at
/// its end, and `exit`, `quit`, `help` and `?` as they are.
pub(crate) fn command(line: &str) -> Option<&str> {
    let line = line.trim();
    let text = line.trim_end_matches(';').trim_end();
    match text.to_ascii_lowercase().as_str() {
        "exit" | "quit" => Some("q"),
        "help" | "?" => Some("?"),
        _ => text.strip_prefix('\\'),
    }
}

/// What the line lacks to be run.
fn missing(ctx: &SessionContext, line: &str) -> Missing {
    match command(line) {
        Some(_) => Missing::Nothing,
        None => script::missing(line, dialect(ctx).as_ref()),
    }
}

/// Begins another line where one is needed.
struct Enter(SessionContext);

impl ConditionalEventHandler for Enter {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, ctx: &EventContext<'_>) -> Option<Cmd> {
        match missing(&self.0, ctx.line()) {
            Missing::Nothing => None,
            Missing::End => Some(Cmd::Insert(1, format!("\n{INDENT}"))),
            // Blanks would be a part of the text.
            Missing::Quote(_) => Some(Cmd::Insert(1, "\n".to_owned())),
        }
    }
}

/// Indents at the beginning of a line, where there is nothing to complete: text with tabs is pasted so.
struct Tab;

impl ConditionalEventHandler for Tab {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, ctx: &EventContext<'_>) -> Option<Cmd> {
        let before = &ctx.line()[..ctx.pos()];
        let (_, line) = before.rsplit_once('\n')?;
        let is_blank = line.trim().is_empty();
        is_blank.then(|| Cmd::Insert(1, INDENT.to_owned()))
    }
}

pub(crate) struct PromptHelper {
    ctx: SessionContext,
    cli: CliHelper,
    completion: Completion,
}

impl PromptHelper {
    pub(crate) fn new(ctx: &SessionContext, color: bool) -> Self {
        Self {
            ctx: ctx.clone(),
            cli: CliHelper::new(&ctx.copied_config().options().sql_parser.dialect, color),
            completion: Completion::new(ctx),
        }
    }

    /// The first line of all has a hint again.
    pub(crate) fn reset_hint(&self) {
        self.cli.reset_hint();
    }
}

/// For terminals that can do nothing but lines.
impl Validator for PromptHelper {
    fn validate(&self, ctx: &mut ValidationContext<'_>) -> Result<ValidationResult> {
        Ok(match missing(&self.ctx, ctx.input()) {
            Missing::Nothing => ValidationResult::Valid(None),
            _ => ValidationResult::Incomplete,
        })
    }
}

impl Completer for PromptHelper {
    type Candidate = Pair;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> Result<(usize, Vec<Pair>)> {
        self.completion.complete(line, pos)
    }
}

/// A remark at the end of the line, which no key makes a part of it.
pub(crate) struct Remark(String);

impl Hint for Remark {
    fn display(&self) -> &str {
        &self.0
    }

    fn completion(&self) -> Option<&str> {
        None
    }
}

impl Hinter for PromptHelper {
    type Hint = Remark;

    /// What to type, on a line with nothing on it yet.
    fn hint(&self, line: &str, pos: usize, ctx: &Context<'_>) -> Option<Remark> {
        let Some((_, last)) = line.rsplit_once('\n') else {
            return self.cli.hint(line, pos, ctx).map(Remark);
        };
        if pos < line.len() || !last.trim().is_empty() {
            return None;
        }
        match missing(&self.ctx, line) {
            Missing::Nothing => None,
            Missing::End => Some("; ends the statement, Ctrl-C drops it".to_owned()),
            Missing::Quote(what) => Some(format!("{what}; Ctrl-C drops the statement")),
        }
        .map(Remark)
    }
}

impl Highlighter for PromptHelper {
    fn highlight<'l>(&self, line: &'l str, pos: usize) -> Cow<'l, str> {
        let shown = self.cli.highlight(line, pos);
        if !line.contains('\n') {
            return shown;
        }
        let marked = indented_lines(line, dialect(&self.ctx).as_ref());
        let mark = self.cli.highlight_hint(".");
        let mut text = String::with_capacity(shown.len());
        for (number, line) in shown.split_inclusive('\n').enumerate() {
            match line.strip_prefix(' ') {
                Some(rest) if marked.contains(&number) => text.extend([mark.as_ref(), rest]),
                _ => text += line,
            }
        }
        text.into()
    }

    fn highlight_char(&self, line: &str, pos: usize, kind: CmdKind) -> bool {
        self.cli.highlight_char(line, pos, kind)
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        self.cli.highlight_hint(hint)
    }
}

/// The lines, counted from 0, that begin with the blanks of one that goes on, and not in a text.
fn indented_lines(text: &str, dialect: &dyn Dialect) -> Vec<usize> {
    let (tokens, _) = script::tokens(text, dialect);
    let is_space = |token: &Token| *token == Token::Whitespace(Whitespace::Space);
    let ends_line = |token: &Token| match token {
        Token::Whitespace(Whitespace::Newline) => true,
        Token::Whitespace(Whitespace::SingleLineComment { comment, .. }) => comment.ends_with('\n'),
        _ => false,
    };
    let indented = tokens.windows(3).filter(|tokens| {
        ends_line(&tokens[0].token) && is_space(&tokens[1].token) && is_space(&tokens[2].token)
    });
    indented
        .filter_map(|tokens| usize::try_from(tokens[0].span.start.line).ok())
        .collect()
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
            ("?", Some("?")),
            ("SELECT 1;", None),
            ("SELECT '\\d';", None),
            ("exit now", None),
            ("", None),
        ] {
            assert_eq!(command(line), expected, "{line}");
        }
    }

    #[test]
    fn lines_that_go_on_are_marked_outside_of_texts() {
        let text = "SELECT\n  'a\n  b',\n c\n  -- d\n  ;";
        assert_eq!(indented_lines(text, &GenericDialect {}), [1, 4, 5]);
        let helper = PromptHelper::new(&SessionContext::new(), false);
        let shown = helper.highlight("SELECT\n  1;", 0).into_owned();
        assert_eq!(shown, format!("SELECT\n{} 1;", helper.highlight_hint(".")));
    }
}
