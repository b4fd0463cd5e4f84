//! The text of SQL, from a file, a pipe or the prompt: how it is encoded, where its lines and statements
//! end, and whether there is more to come.

use std::borrow::Cow;
use std::path::Path;

use datafusion::common::{Result, exec_datafusion_err};
use datafusion::sql::sqlparser::dialect::Dialect;
use datafusion::sql::sqlparser::tokenizer::{
    Location, Token, TokenWithSpan, Tokenizer, TokenizerError, Whitespace,
};

/// A path with the home folder for `~`, if it begins with that and a home folder is known.
pub fn in_home(path: &str) -> Cow<'_, str> {
    let rest = path.strip_prefix('~');
    let home = rest
        .filter(|rest| rest.is_empty() || rest.starts_with(std::path::is_separator))
        .and_then(|rest| Some(format!("{}{rest}", std::env::home_dir()?.to_str()?)));
    home.map_or(Cow::Borrowed(path), Cow::Owned)
}

/// The SQL of a file.
///
/// # Errors
/// When it cannot be read, or is no text.
pub fn read(file: &Path) -> Result<String> {
    let name = file.display().to_string();
    let bytes =
        std::fs::read(file).map_err(|e| exec_datafusion_err!("could not read '{name}': {e}"))?;
    decode(bytes, &name)
}

/// Text as editors write it: UTF-8, or UTF-16 after a byte-order mark, as of Windows' editors and
/// PowerShell's `>`. `name` is for the error.
///
/// # Errors
/// When it is neither, with the line.
pub fn decode(bytes: Vec<u8>, name: &str) -> Result<String> {
    let units: fn([u8; 2]) -> u16 = match bytes.as_slice() {
        [0xFF, 0xFE, ..] => u16::from_le_bytes,
        [0xFE, 0xFF, ..] => u16::from_be_bytes,
        _ => return from_utf8(bytes, name),
    };
    let (pairs, rest) = bytes.as_chunks();
    let units: Vec<u16> = pairs.iter().copied().map(units).collect();
    match String::from_utf16(&units) {
        Ok(text) if rest.is_empty() => Ok(text),
        _ => Err(exec_datafusion_err!(
            "'{name}' begins as UTF-16 but is not all of it; save it as UTF-8"
        )),
    }
}

fn from_utf8(bytes: Vec<u8>, name: &str) -> Result<String> {
    String::from_utf8(bytes).map_err(|e| {
        let good = &e.as_bytes()[..e.utf8_error().valid_up_to()];
        let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
        exec_datafusion_err!("'{name}', line {line}: expected UTF-8 text; save the file as UTF-8")
    })
}

/// The text as the tokenizer takes it. A byte-order mark is no SQL.
pub fn clean<'a>(sql: &'a str, dialect: &dyn Dialect) -> Cow<'a, str> {
    let sql = sql.strip_prefix('\u{feff}').unwrap_or(sql);
    with_line_feeds(without_shebang(sql), dialect)
}

/// Tokens with their places, as far as there are any, and why no more.
pub fn tokens(sql: &str, dialect: &dyn Dialect) -> (Vec<TokenWithSpan>, Option<TokenizerError>) {
    let mut tokens = vec![];
    let result = Tokenizer::new(dialect, sql)
        .with_unescape(false)
        .tokenize_with_location_into_buf(&mut tokens);
    (tokens, result.err())
}

/// What a line of the prompt still lacks.
#[derive(Debug, PartialEq)]
pub enum Missing {
    /// It can be run.
    Nothing,
    /// The semicolon.
    End,
    /// What ends a text, a quoted name or a comment, in words.
    Quote(String),
}

/// Whether `sql` can be run, or goes on in another line.
pub fn missing(sql: &str, dialect: &dyn Dialect) -> Missing {
    let (tokens, error) = tokens(sql, dialect);
    if let Some(error) = error {
        return Missing::Quote(error.to_string());
    }
    let mut last = tokens.iter().rev().map(|token| &token.token);
    match last.find(|token| !matches!(token, Token::Whitespace(_) | Token::EOF)) {
        None | Some(Token::SemiColon) => Missing::Nothing,
        Some(_) => Missing::End,
    }
}

/// A script may begin with `#!/usr/bin/env featurize -f`.
fn without_shebang(sql: &str) -> &str {
    match sql.strip_prefix("#!") {
        // The line feed stays, so that lines are counted as an editor does.
        Some(rest) => rest.find(['\n', '\r']).map_or("", |end| &rest[end..]),
        None => sql,
    }
}

/// The text with a line feed for each carriage return alone that ends a `--` comment, as old Mac
/// editors and text from the clipboard have it: to the tokenizer the comment would go on to the end of
/// the text, and nothing would be run.
fn with_line_feeds<'a>(sql: &'a str, dialect: &dyn Dialect) -> Cow<'a, str> {
    let mut sql = Cow::Borrowed(sql);
    let mut done = 0;
    while let Some(end) = comment_end(&sql[done..], dialect) {
        done += end + 1;
        sql.to_mut().replace_range(done - 1..done, "\n");
    }
    sql
}

/// Where the first carriage return is that ends a comment without a line feed.
fn comment_end(sql: &str, dialect: &dyn Dialect) -> Option<usize> {
    let is_end = |text: &str, at: usize| !matches!(text[at + 1..].chars().next(), Some('\n'));
    if !sql.match_indices('\r').any(|(at, _)| is_end(sql, at)) {
        return None;
    }
    let tokens = Tokenizer::new(dialect, sql).tokenize_with_location().ok()?;
    let mut offsets = Offsets::new(sql);
    tokens.into_iter().find_map(|token| {
        let Token::Whitespace(Whitespace::SingleLineComment { .. }) = token.token else {
            return None;
        };
        let start = offsets.of(token.span.start);
        let end = offsets.of(token.span.end);
        let mut returns = sql[start..end]
            .match_indices('\r')
            .map(|(at, _)| start + at);
        returns.find(|at| is_end(sql, *at))
    })
}

/// A statement of a script.
#[derive(Debug, PartialEq)]
pub struct Cut<'a> {
    /// Its text, without the semicolon.
    pub sql: &'a str,
    /// The line on which it begins, from 1.
    pub line: u64,
}

/// Cuts at the semicolons that end statements, which are those outside of strings and comments.
/// Text that the tokenizer refuses is one statement, so that the parser can say what is wrong.
pub fn split<'a>(sql: &'a str, dialect: &dyn Dialect) -> Vec<Cut<'a>> {
    let Ok(tokens) = Tokenizer::new(dialect, sql).tokenize_with_location() else {
        return vec![Cut { sql, line: 1 }];
    };
    let mut offsets = Offsets::new(sql);
    let mut statements = vec![];
    let mut begin: Option<(usize, u64)> = None;
    for token in tokens {
        match token.token {
            Token::Whitespace(_) | Token::EOF => {}
            Token::SemiColon => {
                if let Some((start, line)) = begin.take() {
                    let end = offsets.of(token.span.start);
                    statements.push(Cut {
                        sql: &sql[start..end],
                        line,
                    });
                }
            }
            _ if begin.is_none() => {
                begin = Some((offsets.of(token.span.start), token.span.start.line));
            }
            _ => {}
        }
    }
    if let Some((start, line)) = begin {
        statements.push(Cut {
            sql: &sql[start..],
            line,
        });
    }
    statements
}

/// Turns lines and columns, which count characters, into bytes; asked in ascending order.
#[derive(Debug)]
pub struct Offsets<'a> {
    rest: std::str::CharIndices<'a>,
    end: usize,
    at: Location,
}

impl<'a> Offsets<'a> {
    /// From the begin of `sql`.
    pub fn new(sql: &'a str) -> Self {
        Self {
            rest: sql.char_indices(),
            end: sql.len(),
            at: Location { line: 1, column: 1 },
        }
    }

    /// The byte at which `location` is, or the end.
    pub fn of(&mut self, location: Location) -> usize {
        while self.at < location {
            match self.rest.next() {
                None => return self.end,
                Some((_, '\n')) => {
                    self.at = Location {
                        line: self.at.line + 1,
                        column: 1,
                    };
                }
                Some(_) => self.at.column += 1,
            }
        }
        self.rest.offset()
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::GenericDialect;

    use super::*;

    fn cut(sql: &str) -> Vec<(&str, u64)> {
        let statements = split(sql, &GenericDialect {});
        statements.into_iter().map(|s| (s.sql, s.line)).collect()
    }

    #[test]
    fn statements_end_at_semicolons_outside_of_text() {
        assert_eq!(
            cut("SELECT 1; -- é; x\n\n/* ; */ SELECT 'a;é' AS \"b;c\" ;\n;SELECT\n2"),
            [
                ("SELECT 1", 1),
                ("SELECT 'a;é' AS \"b;c\" ", 3),
                ("SELECT\n2", 4)
            ]
        );
        assert_eq!(cut(" -- nothing\n"), []);
        assert_eq!(cut("SELECT 'open"), [("SELECT 'open", 1)]);
    }

    #[test]
    fn text_is_read_as_any_editor_writes_it() {
        let sql = "SELECT 'é';";
        let units = |swap: fn(u16) -> [u8; 2]| sql.encode_utf16().flat_map(swap);
        for bytes in [
            sql.as_bytes().to_vec(),
            [b"\xEF\xBB\xBF", sql.as_bytes()].concat(),
            [0xFF, 0xFE]
                .into_iter()
                .chain(units(u16::to_le_bytes))
                .collect(),
            [0xFE, 0xFF]
                .into_iter()
                .chain(units(u16::to_be_bytes))
                .collect(),
        ] {
            let text = decode(bytes, "x.sql").unwrap();
            assert_eq!(clean(&text, &GenericDialect {}), sql);
        }
        for (bytes, expected) in [
            (
                b"SELECT 1;\nSELECT 'caf\xE9';".as_slice(),
                "'x.sql', line 2",
            ),
            (b"\xFF\xFES", "UTF-16"),
            (b"\xFF\xFE\x00\xD8", "UTF-16"),
        ] {
            let error = decode(bytes.to_vec(), "x.sql").unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_line_of_the_prompt_is_run_when_nothing_is_missing() {
        for sql in [
            "",
            "  -- note",
            "SELECT 1;",
            "SELECT 1; -- note",
            "SELEC 1;",
            "SELECT 1; ;\n",
        ] {
            assert_eq!(missing(sql, &GenericDialect {}), Missing::Nothing, "{sql}");
        }
        for sql in [
            "SELECT 1",
            "SELECT 1; SELECT",
            "SELECT 1 -- ;",
            "SELECT /* ; */",
        ] {
            assert_eq!(missing(sql, &GenericDialect {}), Missing::End, "{sql}");
        }
        for sql in ["SELECT 'it;", "SELECT \"a;", "/* SELECT 1;"] {
            let missing = missing(sql, &GenericDialect {});
            assert!(matches!(missing, Missing::Quote(_)), "{sql}: {missing:?}");
        }
    }

    #[test]
    fn a_shebang_is_no_sql() {
        assert_eq!(without_shebang("#!/bin/x\nSELECT 1"), "\nSELECT 1");
        assert_eq!(without_shebang("#!/bin/x"), "");
        assert_eq!(without_shebang("SELECT 1"), "SELECT 1");
        assert_eq!(without_shebang("#!/bin/x\rSELECT 1"), "\rSELECT 1");
    }

    #[test]
    fn a_carriage_return_alone_ends_a_comment() {
        for (sql, expected) in [
            (
                "-- a\rSELECT 1;-- it's\r-- c\rSELECT 2",
                "-- a\nSELECT 1;-- it's\n-- c\nSELECT 2",
            ),
            ("SELECT 'a\rb' -- é\r\n, 2\r", "SELECT 'a\rb' -- é\r\n, 2\r"),
            (
                "/* -- a\r */ SELECT 1 -- b\r",
                "/* -- a\r */ SELECT 1 -- b\n",
            ),
            ("SELECT 'open -- a\rb", "SELECT 'open -- a\rb"),
        ] {
            assert_eq!(with_line_feeds(sql, &GenericDialect {}), expected);
        }
    }
}
