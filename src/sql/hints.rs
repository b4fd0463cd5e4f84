//! What may have been meant by a name that a statement gets wrong.
//!
//! DataFusion suggests columns, and this extension its own settings, models and options. Functions, tables,
//! file types and settings of other names are looked up here: where the error is about the name, and
//! nowhere else.

use datafusion::common::{DataFusionError, plan_datafusion_err};
use datafusion::config::ConfigFileType;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::{CopyToStatement, ResetStatement, Statement};
use datafusion::sql::sqlparser::ast::{Set, Statement as SqlStatement};

use super::foreign;
use crate::suggest::nearest;

/// The error of a statement, with what was meant if that can be guessed.
pub fn explained(
    ctx: &SessionContext,
    statement: &Statement,
    error: DataFusionError,
) -> DataFusionError {
    let text = error.to_string();
    if text.contains("whilst inferring schema") {
        return error.context(
            "the columns cannot be found out from the file: name the columns, CREATE EXTERNAL TABLE t \
             (a BIGINT, b VARCHAR) …",
        );
    }
    if let Some(name) = between(&text, "Invalid function '", "'") {
        // DataFusion names the nearest of all functions, however far that is.
        return no_function(ctx, name);
    }
    if text.contains("Missing required parameter") {
        let sql = statement.to_string();
        let is_fit = ["pca_fit", "scaler_fit"]
            .iter()
            .any(|fit| sql.contains(fit));
        return error.context(match is_fit {
            true => {
                "named arguments leave no gap: give a struct of options instead, {convention: 'spark'}, or \
                 NULL for those in between"
            }
            false => {
                "named arguments leave no gap: give NULL for those in between, as in featurize(content, \
                 'vgg16', weights => NULL, pooling => NULL, input_size => 100)"
            }
        });
    }
    let meant = || Some(format!("did you mean {}?", meant(ctx, statement, &text)?));
    match of_other_engines(&text).or_else(meant) {
        Some(hint) if !text.to_ascii_lowercase().contains("did you mean") => hinted(error, &hint),
        _ => error,
    }
}

/// The error of what is no statement, with what was meant if other engines have it.
pub(super) fn unparsed(error: DataFusionError) -> DataFusionError {
    match of_other_engines(&error.to_string()) {
        Some(hint) => hinted(error, &hint),
        None => error,
    }
}

fn of_other_engines(error: &str) -> Option<String> {
    if let Some(name) = between(error, "table function '", "' not found") {
        return foreign::table_function(name);
    }
    let option = between(error, "Config value \"", "\" not found on");
    option
        .and_then(foreign::option)
        .or_else(|| foreign::statement(error))
        .map(ToOwned::to_owned)
}

fn no_function(ctx: &SessionContext, name: &str) -> DataFusionError {
    let state = ctx.state();
    let names = (state.scalar_functions().keys())
        .chain(state.aggregate_functions().keys())
        .chain(state.window_functions().keys())
        .map(String::as_str);
    let hint = match (foreign::function(name), nearest(name, names)) {
        (Some(here), _) => format!("write {here}"),
        (None, Some(known)) => format!("did you mean {known}?"),
        (None, None) => "SHOW FUNCTIONS lists them".to_owned(),
    };
    plan_datafusion_err!("there is no function {name}; {hint}")
}

/// The error with a hint behind what it says, so that the cause comes first.
fn hinted(error: DataFusionError, hint: &str) -> DataFusionError {
    use DataFusionError as E;

    let behind = |text: String| {
        let text = text.split(E::BACK_TRACE_SEP).next().unwrap_or_default();
        format!("{text}; {hint}")
    };
    match error {
        E::Plan(text) => E::Plan(behind(text)),
        E::Configuration(text) => E::Configuration(behind(text)),
        E::Execution(text) => E::Execution(behind(text)),
        E::NotImplemented(text) => E::NotImplemented(behind(text)),
        E::Context(text, inner) => E::Context(text, Box::new(hinted(*inner, hint))),
        E::Diagnostic(where_it_is, inner) => {
            E::Diagnostic(where_it_is, Box::new(hinted(*inner, hint)))
        }
        other => E::External(behind(other.to_string()).into()),
    }
}

/// What stands between two texts.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    Some(text.split_once(before)?.1.split_once(after)?.0)
}

/// The name that is nearest to the one that an error is about.
fn meant(ctx: &SessionContext, statement: &Statement, error: &str) -> Option<String> {
    if let Some(name) = between(error, "table '", "' not found") {
        return table(ctx, name);
    }
    match statement {
        Statement::CreateExternalTable(create) => {
            let state = ctx.state();
            let known: Vec<String> = state.table_factories().keys().cloned().collect();
            unknown(&create.file_type.to_ascii_uppercase(), &known)
        }
        Statement::CopyTo(copy) => format(ctx, copy).or_else(|| format_option(ctx, copy, error)),
        Statement::Reset(ResetStatement::Variable(variable)) => setting(ctx, &variable.to_string()),
        Statement::Statement(sql) => match &**sql {
            SqlStatement::Set(Set::SingleAssignment { variable, .. }) => {
                setting(ctx, &variable.to_string())
            }
            SqlStatement::ShowVariable { variable } => {
                let words: Vec<String> = variable.iter().map(ToString::to_string).collect();
                setting(ctx, &words.join("."))
            }
            _ => None,
        },
        _ => None,
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

/// An option of the format, if the error is about it.
fn format_option(ctx: &SessionContext, copy: &CopyToStatement, error: &str) -> Option<String> {
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
    let is_of_format = |name: &&String| {
        let option = name.strip_prefix("format.");
        option.is_some_and(|option| error.contains(option) && !option.contains("::"))
    };
    let mut given = copy
        .options
        .iter()
        .map(|(name, _)| name)
        .filter(is_of_format);
    given.find_map(|name| unknown(&name.to_ascii_lowercase(), &known))
}

fn table(ctx: &SessionContext, name: &str) -> Option<String> {
    let mut parts = name.splitn(3, '.');
    let (catalog, schema, table) = (parts.next()?, parts.next()?, parts.next()?);
    let schema = ctx.catalog(catalog)?.schema(schema)?;
    unknown(table, &schema.table_names())
}

/// The known name that is nearest to one that is not.
fn unknown(name: &str, known: &[String]) -> Option<String> {
    match known.iter().any(|known| known == name) {
        true => None,
        false => nearest(name, known.iter().map(String::as_str)).map(str::to_owned),
    }
}
