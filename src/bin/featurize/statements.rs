//! Runs SQL text, one statement after the other, and stops at the first that fails.
//!
//! `datafusion_cli::exec` runs a statement and prints its result. Four things are done here because
//! it cannot: a script that fails ends with an error (its file runner prints errors and goes on),
//! statements take options that it does not know and refuses: those of `STORED AS BINARYFILE`, and
//! those of writing (`write_mode` and its like); stores are opened once (it makes a new one from the
//! environment for every `CREATE EXTERNAL TABLE` and `COPY`, in place of the one that a statement has
//! configured); and it prints vectors and images in full in tables, none of them as CSV, and of JSON and
//! CSV as many rows as of a table.

use std::borrow::Cow;
use std::io::Write;
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::Schema;
use datafusion::arrow::json::ArrayWriter;
use datafusion::common::instant::Instant;
use datafusion::common::{Result, TableReference, plan_datafusion_err};
use datafusion::config::{ConfigEntry, ExtensionOptions, FormatOptions};
use datafusion::datasource::MemTable;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::{
    CopyToSource, DFParser, ExplainStatement, ResetStatement, Statement,
};
use datafusion::sql::sqlparser::ast::{
    ObjectNamePart, Statement as SqlStatement, VisitMut, visit_relations_mut,
};
use datafusion::sql::sqlparser::dialect::{Dialect, dialect_from_str};
use datafusion_cli::exec::exec_from_commands;
use datafusion_cli::object_storage::instrumented::InstrumentedObjectStoreMode;
use datafusion_cli::object_storage::is_stdin_location;
use datafusion_cli::print_format::PrintFormat;
use datafusion_cli::print_options::{MaxRows, PrintOptions};
use datafusion_featurize::FeaturizeOptions;
use datafusion_featurize::binary_file::credentials::{
    is_remote, is_store_option, register_object_store,
};
use futures::TryStreamExt;

use crate::hints::{explained, unparsed};
use crate::script;
use crate::session::Session;
use crate::shorten::nested_to_text;
use crate::table::{condensed, condensed_schema, fitted, width};

/// Runs every statement of `sql`. Errors name `source` and the line, if there is a source.
pub(crate) async fn run(session: &Session, sql: &str, source: Option<&str>) -> Result<()> {
    let dialect = dialect(&session.ctx)?;
    let sql = script::clean(sql, dialect.as_ref());
    for statement in script::split(&sql, dialect.as_ref()) {
        let result = Box::pin(run_one(session, statement.sql)).await;
        result.map_err(|e| match source {
            Some(source) => e.context(format!("{source}, line {}", statement.line)),
            None => e,
        })?;
    }
    Ok(())
}

async fn run_one(session: &Session, sql: &str) -> Result<()> {
    let statements = DFParser::parse_sql_with_dialect(sql, dialect(&session.ctx)?.as_ref());
    let mut statements = statements.map_err(unparsed)?;
    match statements.pop_front() {
        Some(mut statement) => {
            expand_home(&mut statement);
            let result = execute(session, sql, &statement).await;
            result.map_err(|e| explained(&session.ctx, &statement, e))
        }
        None => Ok(()),
    }
}

/// A place below `~/` lies in the home folder, as shells and `\i` have it. (A folder of this name is
/// `./~/`.)
fn expand_home(statement: &mut Statement) {
    match statement {
        Statement::CreateExternalTable(create) => create.locations.iter_mut().for_each(to_home),
        Statement::CopyTo(copy) => {
            to_home(&mut copy.target);
            if let CopyToSource::Query(query) = &mut copy.source {
                tables_to_home(&mut **query);
            }
        }
        Statement::Explain(explain) => expand_home(&mut explain.statement),
        Statement::Statement(sql) => tables_to_home(&mut **sql),
        _ => {}
    }
}

/// The same for tables that are named by their places.
fn tables_to_home(sql: &mut impl VisitMut) {
    let _ = visit_relations_mut(sql, |name| {
        if let [ObjectNamePart::Identifier(table)] = name.0.as_mut_slice()
            && table.quote_style.is_some()
        {
            to_home(&mut table.value);
        }
        ControlFlow::<()>::Continue(())
    });
}

fn to_home(place: &mut String) {
    if let Cow::Owned(at_home) = script::in_home(place) {
        *place = at_home;
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
        _ => {
            let progress = progress.start();
            let result = match reads_stdin(statement) {
                true => exec_from_commands(ctx, vec![sql.to_owned()], print_options).await,
                false => Box::pin(run_ours(session, statement.clone())).await,
            };
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
    let is_plan = matches!(statement, Statement::Explain(_));
    if is_listing {
        // Who asks for a list wants to find something in it.
        print_options.maxrows = MaxRows::Unlimited;
    }
    let started = Instant::now();
    let created = created_table(session, &statement);
    let plan = ctx.state().statement_to_plan(statement).await?;
    let is_done = matches!(plan, LogicalPlan::Ddl(_) | LogicalPlan::Statement(_));
    let result = ctx.execute_logical_plan(plan).await?;
    let options = ctx.copied_config().options().format.clone();
    let mut stream = result.execute_stream().await?;
    let schema = stream.schema();
    if is_done && schema.fields().is_empty() {
        let rows = match created {
            Some(table) => rows_in_memory(session, table).await,
            None => None,
        };
        return print_done(&print_options, rows, started, &options);
    }
    if print_options.format != PrintFormat::Table {
        let rows = print_all(session, stream).await?;
        return print_options.print_batches(schema, &[], started, rows, &options);
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
    let table = match is_plan {
        true => concat_batches(&schema, &shown)?,
        false => {
            let table = concat_batches(&condensed_schema(&schema), &shown)?;
            let whole = is_listing || rows == 1;
            fitted(&table, &(&options).try_into()?, width(), whole)?
        }
    };
    print_options.print_batches(table.schema(), &[table], started, rows, &options)
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

/// Says that a statement without a result has been run.
fn print_done(
    print_options: &PrintOptions,
    rows: Option<usize>,
    started: Instant,
    options: &FormatOptions,
) -> Result<()> {
    let registry = &print_options.instrumented_registry;
    if registry.instrument_mode() != InstrumentedObjectStoreMode::Disabled {
        // The requests of the statement, which only this prints.
        let schema = Arc::new(Schema::empty());
        return print_options.print_batches(schema, &[], started, rows.unwrap_or(0), options);
    }
    if !print_options.quiet {
        let mut stdout = std::io::stdout().lock();
        if let Some(rows) = rows {
            writeln!(stdout, "{rows} row(s) created.")?;
        }
        let seconds = started.elapsed().as_secs_f64();
        writeln!(stdout, "Elapsed {seconds:.3} seconds.\n")?;
    }
    Ok(())
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
    Ok(())
}

/// `EXPLAIN COPY` without the options of the store, which plans would show. `None` if there are none,
/// or the statement is run.
fn without_store_options(explain: &ExplainStatement) -> Option<ExplainStatement> {
    let Statement::CopyTo(copy) = &*explain.statement else {
        return None;
    };
    let is_of_store = |name: &str| is_store_option(&name.to_ascii_lowercase());
    let has_any = copy.options.iter().any(|(name, _)| is_of_store(name));
    if explain.options.analyze || !has_any {
        return None;
    }
    let mut copy = copy.clone();
    copy.options.retain(|(name, _)| !is_of_store(name));
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

/// Whether the statement reads the standard input, which is a store of datafusion-cli's.
fn reads_stdin(statement: &Statement) -> bool {
    match statement {
        Statement::CreateExternalTable(create) => {
            create.locations.iter().any(|l| is_stdin_location(l))
        }
        _ => false,
    }
}

pub(crate) fn dialect(ctx: &SessionContext) -> Result<Box<dyn Dialect>> {
    let name = ctx.copied_config().options().sql_parser.dialect.to_string();
    dialect_from_str(&name).ok_or_else(|| plan_datafusion_err!("unknown SQL dialect '{name}'"))
}
