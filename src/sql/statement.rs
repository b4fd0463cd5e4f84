//! One statement: read, prepared for what DataFusion does not know of it, and run.

use std::borrow::Cow;
use std::ops::ControlFlow;

use datafusion::common::{Result, not_impl_err, plan_datafusion_err};
use datafusion::config::{ConfigEntry, ExtensionOptions};
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::{
    CopyToSource, DFParser, ExplainStatement, ResetStatement, Statement,
};
use datafusion::sql::sqlparser::ast::{
    ObjectNamePart, Statement as SqlStatement, TableFactor, Visit, VisitMut, Visitor,
    visit_relations_mut,
};
use datafusion::sql::sqlparser::dialect::{Dialect, dialect_from_str};

use super::hints::unparsed;
use super::script;
use crate::FeaturizeOptions;
use crate::binary_file::credentials::{is_remote, is_store_option, register_object_store};
use crate::session::{aggregate_functions_of, update_functions};

/// Reads the first statement of `sql`, if there is any. A place below `~/` lies in the home folder.
///
/// # Errors
/// When it is no statement, with what may have been meant.
pub fn parse(ctx: &SessionContext, sql: &str) -> Result<Option<Statement>> {
    let statements = DFParser::parse_sql_with_dialect(sql, dialect(ctx)?.as_ref());
    let mut statement = statements.map_err(unparsed)?.pop_front();
    statement.iter_mut().for_each(expand_home);
    Ok(statement)
}

/// Does what comes before a plan can be made: opens the stores that the statement names, and runs `RESET
/// featurize.…`, of which nothing is left to be done.
///
/// # Errors
/// When a store cannot be opened, or there is no such setting.
pub async fn prepare(ctx: &SessionContext, statement: &Statement) -> Result<Option<Statement>> {
    if is_sampled(statement) {
        return not_impl_err!("TABLESAMPLE");
    }
    open_stores(ctx, statement).await?;
    Ok(match statement {
        Statement::Reset(ResetStatement::Variable(variable))
            if reset(ctx, &variable.to_string())? =>
        {
            None
        }
        Statement::Explain(explain) => Some(Statement::Explain(without_store_options(explain))),
        statement => Some(statement.clone()),
    })
}

/// Hands the memory pool and the temporary folders to the functions that use them, after a statement has
/// replaced these in a session of this process.
pub fn runtime_has_changed(ctx: &SessionContext) {
    for function in aggregate_functions_of(&ctx.runtime_env()) {
        ctx.register_udaf(function.as_ref().clone());
    }
}

/// Whether a sample of a table is asked for, where DataFusion would give all of it without a word.
fn is_sampled(statement: &Statement) -> bool {
    struct Samples;

    impl Visitor for Samples {
        type Break = ();

        fn pre_visit_table_factor(&mut self, table: &TableFactor) -> ControlFlow<()> {
            match table {
                TableFactor::Table {
                    sample: Some(_), ..
                } => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        }
    }

    match statement {
        Statement::Statement(sql) => sql.visit(&mut Samples).is_break(),
        Statement::CopyTo(copy) => match &copy.source {
            CopyToSource::Query(query) => query.visit(&mut Samples).is_break(),
            CopyToSource::Relation(_) => false,
        },
        Statement::Explain(explain) => is_sampled(&explain.statement),
        _ => false,
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

/// Whether the statement replaces the session's memory pool or temporary folders.
pub fn sets_runtime(statement: &Statement) -> bool {
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

/// `RESET featurize.…`, which DataFusion knows for its own settings only; false for those.
fn reset(ctx: &SessionContext, variable: &str) -> Result<bool> {
    let variable = variable.to_ascii_lowercase();
    let Some(name) = variable.strip_prefix("featurize.") else {
        return Ok(false);
    };
    let state = ctx.state_ref();
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
    update_functions(&mut state)?;
    Ok(true)
}

/// Opens the stores that the statement names, by its options and, where these say nothing, as earlier
/// statements or else the environment say.
async fn open_stores(ctx: &SessionContext, statement: &Statement) -> Result<()> {
    let runtime = ctx.runtime_env();
    let (locations, options) = match statement {
        Statement::CreateExternalTable(create) => (create.locations.as_slice(), &create.options),
        Statement::CopyTo(copy) => (std::slice::from_ref(&copy.target), &copy.options),
        Statement::Explain(explain) => {
            return Box::pin(open_stores(ctx, &explain.statement)).await;
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

/// `EXPLAIN COPY` without the options of the store, which plans would show, unless the statement is run.
fn without_store_options(explain: &ExplainStatement) -> ExplainStatement {
    let mut explain = explain.clone();
    if let Statement::CopyTo(copy) = &mut *explain.statement
        && !explain.options.analyze
    {
        let is_of_store = |name: &str| is_store_option(&name.to_ascii_lowercase());
        copy.options.retain(|(name, _)| !is_of_store(name));
    }
    explain
}

/// The dialect that the session's statements are written in.
///
/// # Errors
/// When the setting names none.
pub fn dialect(ctx: &SessionContext) -> Result<Box<dyn Dialect>> {
    let name = ctx.copied_config().options().sql_parser.dialect.to_string();
    dialect_from_str(&name).ok_or_else(|| plan_datafusion_err!("unknown SQL dialect '{name}'"))
}
