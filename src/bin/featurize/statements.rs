//! Runs SQL text, one statement after the other, and stops at the first that fails.
//!
//! `datafusion_cli::exec` runs a statement and prints its result. Three things are done here because
//! it cannot: a script that fails ends with an error (its file runner prints errors and goes on),
//! statements take options that it does not know and refuses: those of `STORED AS BINARYFILE`, and
//! those of writing (`write_mode` and its like); and it prints vectors and images in full.

use datafusion::common::instant::Instant;
use datafusion::common::{Result, plan_datafusion_err};
use datafusion::sql::parser::{DFParser, Statement};
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;
use datafusion::sql::sqlparser::dialect::{Dialect, dialect_from_str};
use datafusion::sql::sqlparser::tokenizer::{Location, Token, Tokenizer};
use datafusion_cli::exec::exec_from_commands;
use datafusion_cli::print_options::MaxRows;
use datafusion_featurize::binary_file::FILE_TYPE;
use datafusion_featurize::sink::WriteOptions;
use futures::TryStreamExt;

use crate::session::Session;
use crate::shorten::{shorten, shortened_schema};

/// Runs every statement of `sql`. Errors name `source` and the line, if there is a source.
pub(crate) async fn run(session: &Session, sql: &str, source: Option<&str>) -> Result<()> {
    let sql = without_shebang(sql);
    for statement in split(sql, dialect(session)?.as_ref()) {
        let result = Box::pin(run_one(session, statement.sql)).await;
        result.map_err(|e| match source {
            Some(source) => e.context(format!("{source}, line {}", statement.line)),
            None => e,
        })?;
    }
    Ok(())
}

async fn run_one(session: &Session, sql: &str) -> Result<()> {
    let Session {
        ctx,
        print_options,
        progress,
        ..
    } = session;
    let mut statements = DFParser::parse_sql_with_dialect(sql, dialect(session)?.as_ref())?;
    match statements.pop_front() {
        Some(statement) if is_ours(&statement) || is_query(&statement) && session.shortens() => {
            let progress = progress.start();
            let result = Box::pin(run_ours(session, statement)).await;
            progress.finish(result.is_ok());
            result
        }
        // What is explained is the plan without the operator that observes it.
        Some(Statement::Explain(_)) => {
            exec_from_commands(ctx, vec![sql.to_owned()], print_options).await
        }
        Some(_) => {
            let progress = progress.start();
            let result = exec_from_commands(ctx, vec![sql.to_owned()], print_options).await;
            progress.finish(result.is_ok());
            result
        }
        None => Ok(()),
    }
}

/// Runs a statement without datafusion-cli, and prints its result.
async fn run_ours(session: &Session, statement: Statement) -> Result<()> {
    let Session {
        ctx, print_options, ..
    } = session;
    let started = Instant::now();
    let plan = ctx.state().statement_to_plan(statement).await?;
    let result = ctx.execute_logical_plan(plan).await?;
    let options = ctx.copied_config().options().format.clone();
    let mut stream = result.execute_stream().await?;
    let mut schema = stream.schema();
    if session.shortens() {
        schema = shortened_schema(&schema);
    }
    // Of what is not shown only the number counts.
    let most = match print_options.maxrows {
        MaxRows::Limited(rows) => rows,
        MaxRows::Unlimited => usize::MAX,
    };
    let (mut shown, mut rows) = (vec![], 0);
    while let Some(batch) = stream.try_next().await? {
        let count = batch.num_rows();
        if rows <= most {
            // One more tells the printer that there are more.
            let few = batch.slice(0, count.min(most.saturating_sub(rows).saturating_add(1)));
            shown.push(match session.shortens() {
                true => shorten(&few, &(&options).try_into()?)?,
                false => few,
            });
        }
        rows += count;
    }
    print_options.print_batches(schema, &shown, started, rows, &options)
}

fn is_query(statement: &Statement) -> bool {
    matches!(statement, Statement::Statement(sql) if matches!(**sql, SqlStatement::Query(_)))
}

/// Whether datafusion-cli would refuse the options of the statement.
fn is_ours(statement: &Statement) -> bool {
    let (options, is_our_format) = match statement {
        Statement::CreateExternalTable(create) => (
            &create.options,
            create.file_type.eq_ignore_ascii_case(FILE_TYPE),
        ),
        Statement::CopyTo(copy) => (&copy.options, false),
        _ => return false,
    };
    is_our_format
        || options
            .iter()
            .any(|(name, _)| WriteOptions::is_option(name))
}

fn dialect(session: &Session) -> Result<Box<dyn Dialect>> {
    let name = session
        .ctx
        .copied_config()
        .options()
        .sql_parser
        .dialect
        .to_string();
    dialect_from_str(&name).ok_or_else(|| plan_datafusion_err!("unknown SQL dialect '{name}'"))
}

/// A script may begin with `#!/usr/bin/env featurize -f`.
fn without_shebang(sql: &str) -> &str {
    match sql.strip_prefix("#!") {
        // The line feed stays, so that lines are counted as an editor does.
        Some(rest) => rest.find('\n').map_or("", |end| &rest[end..]),
        None => sql,
    }
}

#[derive(Debug, PartialEq)]
struct Cut<'a> {
    sql: &'a str,
    /// The line on which it begins, from 1.
    line: u64,
}

/// Cuts at the semicolons that end statements, which are those outside of strings and comments.
/// Text that the tokenizer refuses is one statement, so that the parser can say what is wrong.
fn split<'a>(sql: &'a str, dialect: &dyn Dialect) -> Vec<Cut<'a>> {
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
struct Offsets<'a> {
    rest: std::str::CharIndices<'a>,
    end: usize,
    at: Location,
}

impl<'a> Offsets<'a> {
    fn new(sql: &'a str) -> Self {
        Self {
            rest: sql.char_indices(),
            end: sql.len(),
            at: Location { line: 1, column: 1 },
        }
    }

    fn of(&mut self, location: Location) -> usize {
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
    fn a_shebang_is_no_sql() {
        assert_eq!(without_shebang("#!/bin/x\nSELECT 1"), "\nSELECT 1");
        assert_eq!(without_shebang("#!/bin/x"), "");
        assert_eq!(without_shebang("SELECT 1"), "SELECT 1");
    }
}
