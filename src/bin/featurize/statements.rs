//! Runs SQL text, one statement after the other, and stops at the first that fails.
//!
//! `datafusion_cli::exec` runs a statement and prints its result. Four things are done here because
//! it cannot: a script that fails ends with an error (its file runner prints errors and goes on),
//! statements take options that it does not know and refuses: those of `STORED AS BINARYFILE`, and
//! those of writing (`write_mode` and its like); stores are opened once (it makes a new one from the
//! environment for every `CREATE EXTERNAL TABLE` and `COPY`, in place of the one that a statement has
//! configured); and it prints vectors and images in full on a terminal, none of them as CSV, and of
//! JSON and CSV as many rows as of a table.

use std::borrow::Cow;
use std::collections::HashMap;

use datafusion::arrow::json::ArrayWriter;
use datafusion::common::instant::Instant;
use datafusion::common::{Result, plan_datafusion_err};
use datafusion::config::{ConfigEntry, ExtensionOptions};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::sql::parser::{DFParser, ExplainStatement, ResetStatement, Statement};
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;
use datafusion::sql::sqlparser::dialect::{Dialect, dialect_from_str};
use datafusion::sql::sqlparser::tokenizer::{Location, Token, Tokenizer, Whitespace};
use datafusion_cli::exec::exec_from_commands;
use datafusion_cli::object_storage::is_stdin_location;
use datafusion_cli::print_format::PrintFormat;
use datafusion_cli::print_options::MaxRows;
use datafusion_featurize::FeaturizeOptions;
use datafusion_featurize::binary_file::credentials::{is_remote, register_object_store};
use futures::TryStreamExt;

use crate::hints::explained;
use crate::session::Session;
use crate::shorten::{nested_to_text, shorten, shorten_texts, shortened_schema};

/// Runs every statement of `sql`. Errors name `source` and the line, if there is a source.
pub(crate) async fn run(session: &Session, sql: &str, source: Option<&str>) -> Result<()> {
    let sql = with_line_feeds(without_shebang(sql), dialect(session)?.as_ref());
    for statement in split(&sql, dialect(session)?.as_ref()) {
        let result = Box::pin(run_one(session, statement.sql)).await;
        result.map_err(|e| match source {
            Some(source) => e.context(format!("{source}, line {}", statement.line)),
            None => e,
        })?;
    }
    Ok(())
}

async fn run_one(session: &Session, sql: &str) -> Result<()> {
    let mut statements = DFParser::parse_sql_with_dialect(sql, dialect(session)?.as_ref())?;
    match statements.pop_front() {
        Some(statement) => execute(session, sql, &statement)
            .await
            .map_err(|e| explained(&session.ctx, &statement, e)),
        None => Ok(()),
    }
}

/// Runs a statement, of which the text is also at hand.
async fn execute(session: &Session, sql: &str, statement: &Statement) -> Result<()> {
    let Session {
        ctx,
        print_options,
        progress,
        ..
    } = session;
    open_stores(session, statement).await?;
    match statement {
        Statement::Reset(ResetStatement::Variable(variable))
            if reset(session, &variable.to_string())? => {}
        // What is explained is the plan without the operator that observes it.
        Statement::Explain(explain) => match without_store_options(explain) {
            Some(explain) => Box::pin(run_ours(session, Statement::Explain(explain))).await?,
            None => exec_from_commands(ctx, vec![sql.to_owned()], print_options).await?,
        },
        _ if is_ours(statement) || returns_rows(statement) => {
            let progress = progress.start();
            let result = Box::pin(run_ours(session, statement.clone())).await;
            progress.finish(result.is_ok());
            result?;
        }
        _ => {
            let progress = progress.start();
            let result = exec_from_commands(ctx, vec![sql.to_owned()], print_options).await;
            progress.finish(result.is_ok());
            result?;
            if sets_runtime(statement) {
                session.runtime_has_changed();
            }
        }
    }
    Ok(())
}

/// Runs a statement without datafusion-cli, and prints its result.
async fn run_ours(session: &Session, statement: Statement) -> Result<()> {
    let ctx = &session.ctx;
    let mut print_options = session.print_options.clone();
    let is_listing = is_listing(&statement);
    if is_listing {
        // Who asks for a list wants to find something in it.
        print_options.maxrows = MaxRows::Unlimited;
    }
    let started = Instant::now();
    let plan = ctx.state().statement_to_plan(statement).await?;
    let result = ctx.execute_logical_plan(plan).await?;
    let options = ctx.copied_config().options().format.clone();
    let mut stream = result.execute_stream().await?;
    let mut schema = stream.schema();
    if print_options.format != PrintFormat::Table {
        let rows = print_all(session, stream).await?;
        return print_options.print_batches(schema, &[], started, rows, &options);
    }
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
            let few = match session.shortens() {
                true => shorten(&few, &(&options).try_into()?)?,
                false => few,
            };
            shown.push(match session.shortens() && is_listing {
                true => shorten_texts(&few)?,
                false => few,
            });
        }
        rows += count;
    }
    print_options.print_batches(schema, &shown, started, rows, &options)
}

/// Whether the statement replaces the session's memory pool or temporary folders.
fn sets_runtime(statement: &Statement) -> bool {
    let prefix = "datafusion.runtime.";
    match statement {
        Statement::Statement(sql) => matches!(
            &**sql,
            SqlStatement::Set(set) if set.to_string().to_ascii_lowercase().contains(prefix)
        ),
        Statement::Reset(reset) => reset.to_string().to_ascii_lowercase().contains(prefix),
        _ => false,
    }
}

/// Prints all rows as they come, and returns how many there were.
async fn print_all(session: &Session, mut stream: SendableRecordBatchStream) -> Result<usize> {
    let format = session.print_options.format;
    let mut json = (format == PrintFormat::Json).then(|| ArrayWriter::new(std::io::stdout()));
    let is_csv = matches!(format, PrintFormat::Csv | PrintFormat::Tsv);
    let options = session.ctx.copied_config().options().format.clone();
    let mut rows = 0;
    while let Some(mut batch) = stream.try_next().await? {
        if batch.num_rows() == 0 {
            continue;
        }
        if let Some(json) = &mut json {
            json.write(&batch)?;
        } else {
            if is_csv {
                batch = nested_to_text(&batch)?;
            }
            let is_first = rows == 0;
            format.print_batches(
                &mut std::io::stdout().lock(),
                batch.schema(),
                std::slice::from_ref(&batch),
                MaxRows::Unlimited,
                is_first,
                &options,
            )?;
        }
        rows += batch.num_rows();
    }
    if let Some(mut json) = json
        && rows > 0
    {
        json.finish()?;
        println!();
    }
    Ok(rows)
}

/// `RESET featurize.…`, which DataFusion knows for its own settings only; false for those.
fn reset(session: &Session, variable: &str) -> Result<bool> {
    let variable = variable.to_ascii_lowercase();
    let Some(name) = variable.strip_prefix("featurize.") else {
        return Ok(false);
    };
    let state = session.ctx.state_ref();
    let mut state = state.write();
    let options = state.config_mut().options_mut();
    let current = options.extensions.get::<FeaturizeOptions>();
    let current = current.map(ExtensionOptions::entries).unwrap_or_default();
    let setting = |entry: &ConfigEntry| entry.key.rsplit('.').next().map(str::to_owned);
    if !current
        .iter()
        .any(|entry| setting(entry).as_deref() == Some(name))
    {
        // Says that there is no such setting, and which is near.
        options.set(&variable, "")?;
    }
    // The defaults, and all others as they are.
    let mut settings = FeaturizeOptions::default();
    for entry in current {
        if let (Some(other), Some(value)) = (setting(&entry), &entry.value)
            && other != name
        {
            settings.set(&other, value)?;
        }
    }
    options.extensions.insert(settings);
    Ok(true)
}

/// Whether the result of the statement is rows of any number.
fn returns_rows(statement: &Statement) -> bool {
    let Statement::Statement(sql) = statement else {
        return false;
    };
    matches!(
        **sql,
        SqlStatement::Query(_)
            | SqlStatement::Execute { .. }
            | SqlStatement::ExplainTable { .. }
            | SqlStatement::ShowColumns { .. }
            | SqlStatement::ShowFunctions { .. }
            | SqlStatement::ShowTables { .. }
            | SqlStatement::ShowVariable { .. }
    )
}

/// Opens the stores that the statement names, by its options and, where these say nothing, as earlier
/// statements or else the environment say.
async fn open_stores(session: &Session, statement: &Statement) -> Result<()> {
    let runtime = session.ctx.runtime_env();
    let (locations, options) = match statement {
        Statement::CreateExternalTable(create) => (create.locations.as_slice(), &create.options),
        Statement::CopyTo(copy) => (std::slice::from_ref(&copy.target), &copy.options),
        Statement::Explain(explain) => {
            return Box::pin(open_stores(session, &explain.statement)).await;
        }
        _ => (&[][..], &vec![]),
    };
    let options = options.iter().filter_map(|(name, value)| {
        let name = name.to_ascii_lowercase();
        is_store_option(&name).then(|| Some((name, value.clone().into_string()?)))?
    });
    let options = options.collect();
    for location in locations.iter().filter(|location| is_remote(location)) {
        register_object_store(&runtime, location, &options).await?;
    }
    // Tables that are named by their place. What cannot be resolved is for the planner to say.
    let tables = session.ctx.state().resolve_table_references(statement);
    for table in tables.unwrap_or_default() {
        if is_remote(table.table()) {
            register_object_store(&runtime, table.table(), &HashMap::new()).await?;
        }
    }
    Ok(())
}

/// Whether an option says how a store is reached.
fn is_store_option(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with("aws.") || name.starts_with("gcp.")
}

/// `EXPLAIN COPY` without the options of the store, which plans would show. `None` if there are none,
/// or the statement is run.
fn without_store_options(explain: &ExplainStatement) -> Option<ExplainStatement> {
    let Statement::CopyTo(copy) = &*explain.statement else {
        return None;
    };
    let has_any = copy.options.iter().any(|(name, _)| is_store_option(name));
    if explain.options.analyze || !has_any {
        return None;
    }
    let mut copy = copy.clone();
    copy.options.retain(|(name, _)| !is_store_option(name));
    Some(ExplainStatement {
        options: explain.options.clone(),
        statement: Box::new(Statement::CopyTo(copy)),
    })
}

/// Whether the statement lists what the session has, with descriptions of any length.
fn is_listing(statement: &Statement) -> bool {
    let Statement::Statement(sql) = statement else {
        return false;
    };
    matches!(
        **sql,
        SqlStatement::ShowFunctions { .. }
            | SqlStatement::ShowTables { .. }
            | SqlStatement::ShowVariable { .. }
    )
}

/// Whether the statement opens a store, or has options that datafusion-cli would refuse.
fn is_ours(statement: &Statement) -> bool {
    match statement {
        // The standard input is a store of datafusion-cli's.
        Statement::CreateExternalTable(create) => {
            !create.locations.iter().any(|l| is_stdin_location(l))
        }
        Statement::CopyTo(_) => true,
        _ => false,
    }
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
