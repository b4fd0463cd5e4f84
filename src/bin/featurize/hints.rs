//! What may have been meant by a name that a statement gets wrong.
//!
//! DataFusion suggests columns and functions, and this extension its own settings, models and options.
//! Settings of other names, tables and file types are looked up here.

use datafusion::common::utils::datafusion_strsim::levenshtein;
use datafusion::common::{DataFusionError, TableReference};
use datafusion::config::ConfigFileType;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::{CopyToStatement, ResetStatement, Statement};
use datafusion::sql::sqlparser::ast::{Set, Statement as SqlStatement};

/// The error of a statement, with what was meant if that can be guessed.
pub(crate) fn explained(
    ctx: &SessionContext,
    statement: &Statement,
    error: DataFusionError,
) -> DataFusionError {
    if error.to_string().contains("whilst inferring schema") {
        return error.context(
            "the columns cannot be found out from the file: name the columns, CREATE EXTERNAL TABLE t \
             (a BIGINT, b VARCHAR) …, and if cells hold line breaks, set 'format.newlines_in_values' \
             to 'true'",
        );
    }
    let is_about_names = matches!(
        error.find_root(),
        DataFusionError::Plan(_)
            | DataFusionError::Configuration(_)
            | DataFusionError::Execution(_)
    );
    let text = error.strip_backtrace();
    if !is_about_names || text.to_ascii_lowercase().contains("did you mean") {
        return error;
    }
    match meant(ctx, statement) {
        Some(name) => error.context(format!("did you mean {name}?")),
        None => error,
    }
}

/// The name that is nearest to the first of the statement's names that do not exist.
fn meant(ctx: &SessionContext, statement: &Statement) -> Option<String> {
    match statement {
        Statement::CreateExternalTable(create) => {
            let state = ctx.state();
            let known: Vec<String> = state.table_factories().keys().cloned().collect();
            unknown(&create.file_type.to_ascii_uppercase(), &known)
        }
        Statement::CopyTo(copy) => format(ctx, copy)
            .or_else(|| format_option(ctx, copy))
            .or_else(|| table(ctx, statement)),
        Statement::Reset(ResetStatement::Variable(variable)) => setting(ctx, &variable.to_string()),
        Statement::Statement(sql) => match &**sql {
            SqlStatement::Set(Set::SingleAssignment { variable, .. }) => {
                setting(ctx, &variable.to_string())
            }
            SqlStatement::ShowVariable { variable } => {
                let words: Vec<String> = variable.iter().map(ToString::to_string).collect();
                setting(ctx, &words.join("."))
            }
            _ => table(ctx, statement),
        },
        _ => table(ctx, statement),
    }
}

fn setting(ctx: &SessionContext, name: &str) -> Option<String> {
    let name = name.to_ascii_lowercase();
    let config = ctx.copied_config();
    let entries = config.options().entries();
    let known: Vec<String> = entries.into_iter().map(|entry| entry.key).collect();
    // `threads` for `featurize.threads`; of several, the shortest prefix is ours.
    let is_last = |key: &&String| key.rsplit_once('.').is_some_and(|(_, last)| last == name);
    let full = known.iter().filter(is_last).min_by_key(|key| key.len());
    full.cloned().or_else(|| unknown(&name, &known))
}

/// The format after STORED AS.
fn format(ctx: &SessionContext, copy: &CopyToStatement) -> Option<String> {
    let state = ctx.state();
    let known: Vec<String> = ["PARQUET", "CSV", "JSON", "ARROW", "AVRO"]
        .into_iter()
        .filter(|name| state.get_file_format_factory(name).is_some())
        .map(ToOwned::to_owned)
        .collect();
    unknown(&copy.stored_as.as_ref()?.to_ascii_uppercase(), &known)
}

/// An option of the format.
fn format_option(ctx: &SessionContext, copy: &CopyToStatement) -> Option<String> {
    let mut options = ctx.state().default_table_options();
    options.set_config_format(
        match copy.stored_as.as_deref()?.to_ascii_uppercase().as_str() {
            "PARQUET" => ConfigFileType::PARQUET,
            "CSV" => ConfigFileType::CSV,
            "JSON" => ConfigFileType::JSON,
            _ => return None,
        },
    );
    let known: Vec<String> = options
        .entries()
        .into_iter()
        .map(|entry| entry.key)
        .collect();
    // Those of one column (`format.compression::a`) and of metadata are of any name.
    let is_of_format = |name: &&String| name.starts_with("format.") && !name.contains("::");
    let mut given = copy
        .options
        .iter()
        .map(|(name, _)| name)
        .filter(is_of_format);
    given.find_map(|name| unknown(&name.to_ascii_lowercase(), &known))
}

fn table(ctx: &SessionContext, statement: &Statement) -> Option<String> {
    let state = ctx.state();
    let references = state.resolve_table_references(statement).ok()?;
    let exists = |reference: &TableReference| ctx.table_exist(reference.clone()).unwrap_or(true);
    let missing = references.into_iter().find(|r| !exists(r))?;
    let defaults = &state.config_options().catalog;
    let missing = missing.resolve(&defaults.default_catalog, &defaults.default_schema);
    let schema = ctx.catalog(&missing.catalog)?.schema(&missing.schema)?;
    unknown(&missing.table, &schema.table_names())
}

/// The known name that is nearest to one that is not.
fn unknown(name: &str, known: &[String]) -> Option<String> {
    match known.iter().any(|known| known == name) {
        true => None,
        false => nearest(name, known.iter()).cloned(),
    }
}

/// The name that most resembles a mistyped one, if one does.
pub(crate) fn nearest<'a>(
    mistyped: &str,
    names: impl Iterator<Item = &'a String>,
) -> Option<&'a String> {
    names
        .map(|name| (levenshtein(mistyped, name), name))
        .filter(|(distance, name)| *distance <= name.len().div_ceil(3))
        // Of several at the same distance always the same one.
        .min()
        .map(|(_, name)| name)
}
