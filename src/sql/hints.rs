//! What may have been meant by a name that a statement gets wrong.
//!
//! DataFusion suggests columns, and this extension its own settings, models and options. Functions, tables,
//! file types and settings of other names are looked up here: where the error is about the name, and
//! nowhere else.

use datafusion::common::{DataFusionError, TableReference, plan_datafusion_err};
use datafusion::config::ConfigFileType;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::{CopyToStatement, ResetStatement, Statement};
use datafusion::sql::sqlparser::ast::{Set, Statement as SqlStatement};

use super::{foreign, place};
use crate::image::models::Architecture;
use crate::object_stores::address;
use crate::suggest::nearest;

const GAP: &str = "named arguments leave no gap: give NULL for those in between, as in featurize(content, \
                   'vgg16', weights => NULL, pooling => NULL, input_size => 100)";
const GAP_IN_A_FIT: &str = "named arguments leave no gap: give a struct of options instead, {convention: \
                            'spark'}, or NULL for those in between";
/// DataFusion 55 runs the subqueries of a plan before the plan, but not those of VALUES.
const SUBQUERY: &str =
    "VALUES cannot hold a subquery; write SELECT (SELECT …), or several of them with UNION ALL";
const NO_FORMAT: &str = "a folder does not say it: STORED AS PARQUET, CSV, JSON or ARROW";
const ORDER: &str = "values are taken in the order of the columns, which DESCRIBE shows: those of PARTITIONED BY \
                     are the last";
/// Arguments that are given by name.
const NAMED: [&str; 6] = [
    "model",
    "weights",
    "pooling",
    "input_size",
    "n_components",
    "convention",
];

/// The error of a statement, with what was meant if that can be guessed.
pub fn explained(
    ctx: &SessionContext,
    statement: &Statement,
    error: DataFusionError,
) -> DataFusionError {
    let text = error.to_string();
    if let Some(name) = between(&text, "Invalid function '", "'") {
        // DataFusion names the nearest of all functions, however far that is.
        return no_function(ctx, name);
    }
    if let Some(cause) = between(
        &text,
        "coercion failed with: Internal error: ",
        ".\nThis issue",
    ) {
        // What is wrong is in the statement, and no fault of DataFusion's.
        let error = DataFusionError::Plan(cause.to_owned());
        return match foreign::statement(cause) {
            Some(hint) => hinted(error, hint),
            None => error,
        };
    }
    if text.contains("ScalarSubqueryExpr evaluated before") {
        return plan_datafusion_err!("{SUBQUERY}");
    }
    if let Statement::CreateExternalTable(create) = statement
        && text.contains("Invalid Parquet file")
    {
        // The reader of Parquet does not know the name of what it reads.
        let places = create.locations.iter().map(|place| address::shown(place));
        let place = format!("LOCATION '{}'", places.collect::<Vec<_>>().join("', '"));
        return hinted(error, foreign::PICTURES).context(place);
    }
    let is_insert = || {
        let Statement::Statement(sql) = statement else {
            return false;
        };
        matches!(&**sql, SqlStatement::Insert(_))
    };
    if text.contains("Cannot cast") && is_insert() {
        return hinted(error, ORDER);
    }
    if text.contains("Missing required parameter") {
        let sql = statement.to_string();
        let is_fit = ["pca_fit", "scaler_fit"]
            .iter()
            .any(|fit| sql.contains(fit));
        return hinted(error, if is_fit { GAP_IN_A_FIT } else { GAP });
    }
    let meant = || Some(format!("did you mean {}?", meant(ctx, statement, &text)?));
    let at_place = || place::hint(unknown_table(&text)?);
    let as_column = || column(ctx, statement, &text);
    let no_format = || {
        let is_missing = text.contains("unable to get file extension");
        is_missing.then(|| NO_FORMAT.to_owned())
    };
    let hint = of_other_engines(&text).or_else(meant).or_else(at_place);
    let hint = hint.or_else(no_format);
    match hint.or_else(as_column) {
        Some(hint) if !text.to_ascii_lowercase().contains("did you mean") => hinted(error, &hint),
        _ => error,
    }
}

/// The error of what is no statement, with what was meant if other engines have it.
pub(super) fn unparsed(error: DataFusionError) -> DataFusionError {
    let error = plain(error);
    match of_other_engines(&error.to_string()) {
        Some(hint) => hinted(error, &hint),
        None => error,
    }
}

/// What the parser says, without the name of its type.
fn plain(error: DataFusionError) -> DataFusionError {
    match error {
        DataFusionError::SQL(error, _) => {
            let text = error.to_string();
            let text = text.strip_prefix("sql parser error: ").unwrap_or(&text);
            DataFusionError::Plan(text.to_owned())
        }
        DataFusionError::Diagnostic(_, error) => plain(*error),
        error => error,
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
    let network = Architecture::parse(&name.to_ascii_lowercase());
    let network = network.map(|network| format!("featurize(content, '{network}')"));
    let here = foreign::function(name).map(ToOwned::to_owned);
    let hint = match (here.or_else(|| network.ok()), nearest(name, names)) {
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
        // From here on it shows the syntax tree.
        let ends = [": Identifier(", " { "].into_iter();
        let end = ends.filter_map(|tree| text.find(tree)).min();
        let text = &text[..end
            .filter(|_| text.contains("span: Span("))
            .unwrap_or(text.len())];
        format!("{}; {hint}", text.trim_end_matches('.'))
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
    let ours = || {
        let ours = known
            .iter()
            .filter_map(|key| key.strip_prefix("featurize."));
        nearest(&name, ours).map(|last| format!("featurize.{last}"))
    };
    full.cloned()
        .or_else(|| unknown(&name, &known))
        .or_else(|| ours().filter(|_| !name.contains('.')))
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

/// What is written as a column and is none: a table, a text, or the name of an argument.
fn column(ctx: &SessionContext, statement: &Statement, error: &str) -> Option<String> {
    let field = error.split_once("No field named ")?.1;
    if let Some(text) = field.strip_prefix('"') {
        let text = text.split('"').next()?;
        // `i."Name"` is a column.
        let is_alone = statement.to_string().contains(&format!(" \"{text}\""));
        return is_alone.then(|| in_quotes(text));
    }
    let name = field.split('.').next()?;
    if statement.to_string().contains(&format!(" \"{name}\"")) {
        return Some(in_quotes(name));
    }
    if ctx.table_exist(TableReference::bare(name)).ok()? {
        return Some(format!(
            "{name} is a table: write (SELECT pca FROM {name}), or another column of it"
        ));
    }
    if ["imagenet", "seeded"].contains(&name) || Architecture::parse(name).is_ok() {
        return Some(in_quotes(name));
    }
    let is_argument =
        NAMED.contains(&name) && statement.to_string().contains(&format!("{name} = "));
    is_argument.then(|| format!("arguments are named by an arrow: {name} => …"))
}

fn in_quotes(text: &str) -> String {
    format!("a text stands in single quotes: '{text}'")
}

/// The name of a table that is not there, without its catalog and schema.
fn unknown_table(error: &str) -> Option<&str> {
    between(error, "table '", "' not found")?
        .splitn(3, '.')
        .nth(2)
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
