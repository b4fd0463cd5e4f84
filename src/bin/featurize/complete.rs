//! What Tab completes: keywords, tables, columns, functions, settings, options, files, and folders of stores.

use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::tokenizer::Token;
use datafusion_featurize::sql::script::{self, Offsets};
use rustyline::completion::{FilenameCompleter, Pair};

use crate::help;
use crate::names::Names;
use crate::prompt::{command, dialect};

/// Most names that are offered at once.
const MOST: usize = 500;

const KEYWORDS: &str = "\
    ALL ANALYZE AND AS ASC BETWEEN BY CASE CAST COPY CREATE CROSS CSV DELETE DESC DESCRIBE DISTINCT \
    DROP ELSE END EXCEPT EXISTS EXPLAIN EXTERNAL FALSE FILTER FROM FULL GROUP HAVING IF ILIKE IN \
    INNER INSERT INTERSECT INTERVAL INTO IS JOIN LEFT LIKE LIMIT LOCATION NOT NULL NULLS OFFSET ON \
    OPTIONS OR ORDER OUTER OVER OVERWRITE PARQUET PARTITION PARTITIONED REPLACE RESET RIGHT SELECT \
    SET SHOW STORED TABLE TABLES THEN TO TRUE UNION UNNEST USING VALUES VIEW WHEN WHERE WINDOW WITH";

/// After these a table is named.
const BEFORE_TABLES: &str = "FROM JOIN INTO OVERWRITE TABLE VIEW DESCRIBE COPY UPDATE";

/// How results are printed.
const OUTPUT: &str = "format table csv tsv json nd-json automatic";

/// Completes what is typed for a session.
pub(crate) struct Completion {
    ctx: SessionContext,
    names: Names,
    files: FilenameCompleter,
}

impl Completion {
    pub(crate) fn new(ctx: &SessionContext) -> Self {
        Self {
            ctx: ctx.clone(),
            names: Names::new(ctx),
            files: FilenameCompleter::new(),
        }
    }

    /// Where the word before the cursor begins, and what it may become.
    pub(crate) fn complete(&self, line: &str, pos: usize) -> rustyline::Result<(usize, Vec<Pair>)> {
        let before = &line[..pos];
        if before.trim_start().starts_with('\\') && command(before).is_some() {
            return self.command(before);
        }
        let (words, end) = words(before, pos, &self.ctx);
        if let Some(text) = before[end..].strip_prefix('\'') {
            return self.text(&words, end + 1, text);
        }
        let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
        let start = before.trim_end_matches(is_part).len();
        let word = &before[start..];
        // The word itself is one or more of the words.
        let (statement, _) = self::words(line, pos, &self.ctx);
        let (words, _) = self::words(&before[..start], start, &self.ctx);
        let mut found = few(self.word(&words, word, &statement), word);
        // A word that is complete is followed by another: text with tabs is pasted so.
        if let [only] = found.as_mut_slice()
            && only.replacement == word
        {
            only.replacement += " ";
        }
        Ok((start, found))
    }

    /// `\h`, `\d` and the others.
    fn command(&self, before: &str) -> rustyline::Result<(usize, Vec<Pair>)> {
        let start = before.rfind(char::is_whitespace).map_or(0, |at| at + 1);
        let word = &before[start..];
        let names = match before.split_whitespace().next() {
            _ if start == 0 => help::COMMAND_NAMES.map(str::to_owned).to_vec(),
            Some("\\i") => return self.files.complete_path(before, before.len()),
            Some("\\d") => self.names.tables(),
            Some("\\h") => [self.names.functions(), help::topics()].concat(),
            Some("\\pset") => OUTPUT.split(' ').map(str::to_owned).collect(),
            _ => vec![],
        };
        Ok((start, few(names, word)))
    }

    /// Within a text: an option, a file or a folder.
    fn text(
        &self,
        words: &[String],
        start: usize,
        text: &str,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        if let Some(given) = in_options(words) {
            let names = match given {
                [] => {
                    let names = self.names.options(words).into_iter();
                    names.map(|(name, _)| format!("{name}' '")).collect()
                }
                [name, ..] => {
                    let name = name.trim_matches('\'');
                    let mut options = self.names.options(words).into_iter();
                    let option = options.find(|option| option.0.eq_ignore_ascii_case(name));
                    option.map(|option| option.1).unwrap_or_default()
                }
            };
            return Ok((start, few(names, text)));
        }
        if text.contains("://") {
            return Ok((
                start,
                few(self.names.objects(text).unwrap_or_default(), text),
            ));
        }
        // Of the line only what the file's name begins with, lest another quote be taken for it.
        let (_, files) = self
            .files
            .complete_path(&format!("'{text}"), text.len() + 1)?;
        Ok((start, files))
    }

    fn word(&self, words: &[String], word: &str, statement: &[String]) -> Vec<String> {
        let last = |back: usize| {
            let at = words.len().checked_sub(back);
            at.map_or(String::new(), |at| words[at].to_ascii_uppercase())
        };
        match last(1).as_str() {
            "SET" | "RESET" => return self.names.settings(),
            "SHOW" => {
                let others = ["ALL", "TABLES", "FUNCTIONS", "COLUMNS FROM", "CREATE TABLE"];
                return [
                    self.names.settings(),
                    others.map(|name| cased(name, word)).to_vec(),
                ]
                .concat();
            }
            "AS" if last(2) == "STORED" => {
                let formats = self.names.formats();
                return formats.iter().map(|name| cased(name, word)).collect();
            }
            // A new name.
            "TABLE" | "VIEW" if ["CREATE", "EXTERNAL", "REPLACE"].contains(&last(2).as_str()) => {
                return vec![];
            }
            before if BEFORE_TABLES.split(' ').any(|word| word == before) => {
                return self.names.tables();
            }
            _ => {}
        }
        if let Some((of, _)) = word.rsplit_once('.') {
            let columns = self
                .names
                .columns(&[table_of(of, statement, &self.names.tables())]);
            return columns.iter().map(|name| format!("{of}.{name}")).collect();
        }
        if word.is_empty() {
            return vec![];
        }
        let tables = self.names.tables();
        let named = tables.iter().filter(|table| statement.contains(table));
        let mut named: Vec<String> = named.cloned().collect();
        if named.is_empty() {
            // Those of the schema that is used.
            named.extend(tables.iter().filter(|name| !name.contains('.')).cloned());
        }
        let keywords = KEYWORDS.split(' ').map(|name| cased(name, word) + " ");
        let functions = self.names.functions().into_iter().map(|name| name + "(");
        let columns = self.names.columns(&named).into_iter();
        keywords
            .chain(functions)
            .chain(columns)
            .chain(tables)
            .collect()
    }
}

/// The words and marks of the statement that the cursor is in, and where they end.
fn words(line: &str, pos: usize, ctx: &SessionContext) -> (Vec<String>, usize) {
    let (tokens, _) = script::tokens(line, dialect(ctx).as_ref());
    let mut offsets = Offsets::new(line);
    let (mut words, mut end) = (vec![], 0);
    for token in tokens {
        let start = offsets.of(token.span.start);
        end = offsets.of(token.span.end);
        match token.token {
            Token::SemiColon if start >= pos => break,
            Token::SemiColon => words.clear(),
            Token::Whitespace(_) | Token::EOF => {}
            _ => words.push(line[start..end].to_owned()),
        }
    }
    (words, end)
}

/// The table that `name` is, or stands for in the statement: `FROM images i`, `FROM images AS i`.
fn table_of(name: &str, statement: &[String], tables: &[String]) -> String {
    let is_as = |word: &&String| word.eq_ignore_ascii_case("AS");
    let stands_for = |(at, table): &(usize, &String)| {
        let mut next = statement[at + 1..].iter().skip_while(is_as);
        tables.contains(table) && next.next().is_some_and(|alias| alias == name)
    };
    let table = statement.iter().enumerate().find(stands_for);
    table.map_or(name, |(_, table)| table).to_owned()
}

/// Between the parentheses of OPTIONS: the words since the last comma.
fn in_options(words: &[String]) -> Option<&[String]> {
    let open = words
        .windows(2)
        .rposition(|two| two[0].eq_ignore_ascii_case("OPTIONS") && two[1] == "(")?;
    let inside = &words[open + 2..];
    if inside.iter().any(|word| word == ")") {
        return None;
    }
    let last = inside.iter().rposition(|word| word == ",");
    Some(&inside[last.map_or(0, |at| at + 1)..])
}

/// A keyword in capitals, unless the word is typed without.
fn cased(keyword: &str, word: &str) -> String {
    match word.starts_with(char::is_lowercase) {
        true => keyword.to_ascii_lowercase(),
        false => keyword.to_owned(),
    }
}

/// The names that begin with the word, in order. Who types capitals has a keyword in mind, if there is one.
fn few(mut names: Vec<String>, word: &str) -> Vec<Pair> {
    let word = word.replace('"', "");
    if word.starts_with(char::is_uppercase) && names.iter().any(|name| name.starts_with(&word)) {
        names.retain(|name| name.starts_with(&word));
    }
    let begins = |name: &String| {
        let name = name.replace('"', "");
        let begin = name.get(..word.len());
        begin.is_some_and(|begin| begin.eq_ignore_ascii_case(&word))
    };
    let mut names: Vec<String> = names.into_iter().filter(begins).collect();
    names.sort();
    names.dedup();
    // The first and the last say how far all of them are alike.
    if names.len() > MOST {
        names.drain(MOST - 1..names.len() - 1);
    }
    let pair = |name: String| {
        let shown = name.trim_end_matches([' ', '\'']);
        // Of an address what its folder does not say.
        let folder = shown
            .trim_end_matches('/')
            .rfind('/')
            .filter(|_| shown.contains("://"));
        Pair {
            display: shown[folder.map_or(0, |at| at + 1)..].to_owned(),
            replacement: name,
        }
    };
    names.into_iter().map(pair).collect()
}
