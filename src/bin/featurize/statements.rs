//! Runs SQL text, one statement after the other, and stops at the first that fails.
//!
//! `datafusion_cli::exec` runs a statement and prints its result. `datafusion_featurize::sql` runs it instead:
//! datafusion-cli refuses options that it does not know, as those of `STORED AS BINARYFILE` and of writing,
//! and opens stores anew for every `CREATE EXTERNAL TABLE` and `COPY`. Its file runner goes on after errors,
//! and its printer shows vectors and images in full in tables, none of them as CSV, and of JSON and CSV as
//! many rows as of a table.

use std::io::{IsTerminal, Write};
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::csv::WriterBuilder;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::arrow::json::ArrayWriter;
use datafusion::common::instant::Instant;
use datafusion::common::{Result, TableReference};
use datafusion::config::FormatOptions;
use datafusion::datasource::MemTable;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;
use datafusion_cli::exec::exec_from_commands;
use datafusion_cli::object_storage::instrumented::InstrumentedObjectStoreMode;
use datafusion_cli::object_storage::is_stdin_location;
use datafusion_cli::print_format::PrintFormat;
use datafusion_cli::print_options::{MaxRows, PrintOptions};
use datafusion_featurize::display::{
    condensed, condensed_schema, fitted, nested_to_text, width, wrapped_plan,
};
use datafusion_featurize::sql::{self, script};
use futures::TryStreamExt;

use crate::session::Session;

/// Runs every statement of `text`. Errors name `source` and the line, if there is a source.
pub(crate) async fn run(session: &Session, text: &str, source: Option<&str>) -> Result<()> {
    let dialect = sql::dialect(&session.ctx)?;
    let text = script::clean(text, dialect.as_ref());
    for statement in script::split(&text, dialect.as_ref()) {
        let result = Box::pin(run_one(session, statement.sql)).await;
        result.map_err(|e| match source {
            Some(source) => e.context(format!("{source}, line {}", statement.line)),
            None => e,
        })?;
    }
    Ok(())
}

async fn run_one(session: &Session, text: &str) -> Result<()> {
    match sql::parse(&session.ctx, text)? {
        Some(statement) => {
            let result = execute(session, text, &statement).await;
            result.map_err(|e| sql::explained(&session.ctx, &statement, e))
        }
        None => Ok(()),
    }
}

/// Runs a statement, of which the text is also at hand.
async fn execute(session: &Session, text: &str, statement: &Statement) -> Result<()> {
    let ctx = &session.ctx;
    let Some(prepared) = sql::prepare(ctx, statement).await? else {
        return Ok(());
    };
    // What is explained is the plan without the operator that observes it.
    if matches!(prepared, Statement::Explain(_)) {
        return Box::pin(run_ours(session, prepared)).await;
    }
    let progress = session.progress.start();
    let result = match reads_stdin(statement) {
        true => exec_from_commands(ctx, vec![text.to_owned()], &session.print_options).await,
        false => Box::pin(run_ours(session, prepared)).await,
    };
    progress.finish(result.is_ok());
    result?;
    if sql::sets_runtime(statement) {
        session.runtime_has_changed();
    }
    Ok(())
}

/// Runs a statement without datafusion-cli, and prints its result.
async fn run_ours(session: &Session, statement: Statement) -> Result<()> {
    let ctx = &session.ctx;
    let mut print_options = session.print_options.clone();
    let is_listing = is_listing(&statement);
    let is_plan = matches!(statement, Statement::Explain(_));
    if is_listing {
        // Who asks for a list wants to find something in it.
        print_options.maxrows = MaxRows::Unlimited;
    }
    let started = Instant::now();
    let created = created_table(session, &statement);
    let mut plan = ctx.state().statement_to_plan(statement).await?;
    if is_listing {
        plan = sorted(plan)?;
    }
    let is_done = matches!(plan, LogicalPlan::Ddl(_) | LogicalPlan::Statement(_));
    let result = ctx.execute_logical_plan(plan).await?;
    let options = ctx.copied_config().options().format.clone();
    let mut stream = result.execute_stream().await?;
    let schema = stream.schema();
    let has_columns = !schema.fields().is_empty();
    if is_done && !has_columns {
        let rows = match created {
            Some(table) => rows_in_memory(session, table).await,
            None => None,
        };
        session.progress.stop_drawing();
        return print_done(&print_options, rows.zip(Some("created")), started, &options);
    }
    if has_columns && print_options.format != PrintFormat::Table {
        let rows = print_all(session, stream).await?;
        return print_done(&print_options, Some((rows, "fetched")), started, &options);
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
            shown.push(match is_plan {
                true => few,
                false => condensed(&few, &(&options).try_into()?)?,
            });
        }
        rows += count;
    }
    session.progress.stop_drawing();
    if !has_columns {
        return print_done(&print_options, Some((rows, "fetched")), started, &options);
    }
    let table = match is_plan {
        true => wrapped_plan(&concat_batches(&schema, &shown)?, width())?,
        false => {
            let table = concat_batches(&condensed_schema(&schema), &shown)?;
            let whole = is_listing || rows == 1;
            fitted(&table, &(&options).try_into()?, width(), whole)?
        }
    };
    print_options.print_batches(table.schema(), &[table], started, rows, &options)
}

/// In the order of names.
fn sorted(listing: LogicalPlan) -> Result<LogicalPlan> {
    let schema = Arc::clone(listing.schema());
    let names = schema
        .iter()
        .filter(|(_, field)| !field.data_type().is_nested());
    let names = names.map(|names| Expr::from(names).sort(true, false));
    let names = names.collect::<Vec<_>>();
    LogicalPlanBuilder::from(listing).sort(names)?.build()
}

/// Prints all rows as they come, and returns how many there were.
async fn print_all(session: &Session, mut stream: SendableRecordBatchStream) -> Result<usize> {
    let format = session.print_options.format;
    let schema = stream.schema();
    let mut json = (format == PrintFormat::Json).then(|| ArrayWriter::new(std::io::stdout()));
    let is_csv = matches!(format, PrintFormat::Csv | PrintFormat::Tsv);
    let options = session.ctx.copied_config().options().format.clone();
    let mut rows = 0;
    while let Some(mut batch) = stream.try_next().await? {
        if batch.num_rows() == 0 {
            continue;
        }
        if rows == 0 && std::io::stdout().is_terminal() {
            session.progress.stop_drawing();
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
    session.progress.stop_drawing();
    if let Some(mut json) = json {
        json.finish()?;
        println!();
    } else if rows == 0 && is_csv {
        print_header(format, schema)?;
    }
    Ok(rows)
}

/// The names of the columns, which datafusion-cli leaves out where there is no row.
fn print_header(format: PrintFormat, schema: SchemaRef) -> Result<()> {
    let delimiter = if format == PrintFormat::Tsv {
        b'\t'
    } else {
        b','
    };
    let stdout = std::io::stdout().lock();
    let mut csv = WriterBuilder::new().with_delimiter(delimiter).build(stdout);
    Ok(csv.write(&nested_to_text(&RecordBatch::new_empty(schema))?)?)
}

/// The table that the statement makes from the result of a query.
fn created_table(session: &Session, statement: &Statement) -> Option<TableReference> {
    let Statement::Statement(sql) = statement else {
        return None;
    };
    let SqlStatement::CreateTable(create) = &**sql else {
        return None;
    };
    create.query.as_ref()?;
    let table = TableReference::parse_str(&create.name.to_string());
    // What is there already stays as it is.
    let stays = create.if_not_exists && session.ctx.table_exist(table.clone()).unwrap_or(true);
    (!stays).then_some(table)
}

/// How many rows a table holds in memory.
async fn rows_in_memory(session: &Session, table: TableReference) -> Option<usize> {
    let provider = session.ctx.table_provider(table).await.ok()?;
    let table = provider.downcast_ref::<MemTable>()?;
    let mut rows = 0;
    for partition in &table.batches {
        let batches = partition.read().await;
        rows += batches.iter().map(RecordBatch::num_rows).sum::<usize>();
    }
    Some(rows)
}

/// Says that a statement has been run whose result, if it has one, is printed; beside what programs read, on
/// stderr.
fn print_done(
    print_options: &PrintOptions,
    rows: Option<(usize, &str)>,
    started: Instant,
    options: &FormatOptions,
) -> Result<()> {
    let registry = &print_options.instrumented_registry;
    if registry.instrument_mode() != InstrumentedObjectStoreMode::Disabled {
        // The requests of the statement, which only this prints.
        let schema = Arc::new(Schema::empty());
        let rows = rows.map_or(0, |(rows, _)| rows);
        return print_options.print_batches(schema, &[], started, rows, options);
    }
    if print_options.quiet {
        return Ok(());
    }
    let rows = rows.map(|(rows, how)| format!("{rows} row(s) {how}.\n"));
    let (rows, seconds) = (rows.unwrap_or_default(), started.elapsed().as_secs_f64());
    let done = format!("{rows}Elapsed {seconds:.3} seconds.\n");
    match print_options.format {
        PrintFormat::Table => writeln!(std::io::stdout(), "{done}")?,
        _ => writeln!(std::io::stderr(), "{done}")?,
    }
    Ok(())
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

/// Whether the statement reads the standard input, which is a store of datafusion-cli's.
fn reads_stdin(statement: &Statement) -> bool {
    match statement {
        Statement::CreateExternalTable(create) => {
            create.locations.iter().any(|l| is_stdin_location(l))
        }
        _ => false,
    }
}
