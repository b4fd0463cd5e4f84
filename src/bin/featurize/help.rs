//! `\h`: what a function or statement does, from the documentation that travels with it.

use std::fmt::Write;

use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::Documentation;
use datafusion::prelude::SessionContext;
use datafusion_cli::functions::Function;
use datafusion_featurize::all_default_documentation;
use datafusion_featurize::sql::{instead_of, nearest};

use crate::markdown::{fill, plain, render};
use crate::topics::{STATEMENTS, Statement};

/// `\d`: tables and views, but for those of `information_schema`.
pub(crate) const LIST_TABLES: &str = "SELECT table_schema, table_name, table_type \
    FROM information_schema.tables WHERE table_schema <> 'information_schema' \
    ORDER BY table_schema, table_name";

/// `\?`
pub(crate) const COMMANDS: &str = "\
Statements end with a semicolon, and may take several lines; Ctrl-C stops one.
  \\d                tables
  \\d NAME           columns of a table
  \\h                functions of this program
  \\h NAME           explains a function, a statement or a table of images:
                    \\h featurize, \\h COPY, \\h BINARYFILE
  \\i FILE           runs the statements of a file
  \\pset             shows how results are printed
  \\pset format F    prints them as table, csv, tsv, json, nd-json or automatic
  \\quiet on|off     whether to print only results
  \\object_store_profiling disabled|summary|trace
                    prints the requests of a statement
  \\?                this help
  \\q                quits, as do exit and Ctrl-D
SHOW ALL lists the settings, SET changes one. Tab completes names, options and
folders; Ctrl-R searches ~/.featurize_history, which holds no secrets.";

/// The commands, for completion.
pub(crate) const COMMAND_NAMES: [&str; 8] = [
    "\\d",
    "\\h",
    "\\i",
    "\\object_store_profiling",
    "\\pset",
    "\\q",
    "\\quiet",
    "\\?",
];

/// `\h`: our functions, a line each, and where the others are.
pub(crate) fn list_functions() -> Result<String> {
    let mut text = String::new();
    let mut section = "";
    for doc in all_default_documentation() {
        if doc.doc_section.label != section {
            section = doc.doc_section.label;
            writeln!(text, "{section}")?;
        }
        writeln!(text, "  {}", doc.syntax_example)?;
    }
    text += "\\h NAME explains one, DataFusion's own too; SHOW FUNCTIONS lists all.\n\n";
    let topics = topics().join(", ");
    text += &fill(&format!("It also explains {topics}."), "");
    Ok(text)
}

/// What `\h` explains besides functions.
pub(crate) fn topics() -> Vec<String> {
    let ours = STATEMENTS.iter().map(|statement| statement.name.to_owned());
    let theirs = ["DROP TABLE", "EXPLAIN", "SELECT"].map(str::to_owned);
    let mut topics: Vec<String> = ours.chain(theirs).collect();
    topics.sort();
    topics
}

/// `\h NAME`, whatever it names.
///
/// # Errors
/// When there is nothing of this name.
pub(crate) fn describe_name(ctx: &SessionContext, name: &str) -> Result<String> {
    let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
    // `INSERT INTO t` is an INSERT; of several the longest is meant.
    let upper = match ctx.state().get_file_format_factory(&name) {
        Some(_) => "CREATE EXTERNAL TABLE".to_owned(),
        None => name.to_ascii_uppercase(),
    };
    let is_begin = |topic: &String| format!("{upper} ").starts_with(&format!("{topic} "));
    let topic = topics()
        .into_iter()
        .filter(is_begin)
        .max_by_key(String::len);
    let name = topic.unwrap_or(name);
    let is_named = |statement: &&Statement| statement.name == name;
    if let Some(statement) = STATEMENTS.iter().find(is_named) {
        let mut text = format!("{}\n\n{}", statement.syntax, fill(statement.meaning, ""));
        for page in statement.pages {
            write!(text, "\n\n{}", render(&page.markdown()))?;
        }
        return Ok(text);
    }
    match name.parse::<Function>() {
        Ok(statement) => Ok(statement.function_details()?.trim().to_owned()),
        Err(()) => describe_function(ctx, &name),
    }
}

/// `\h NAME`: syntax, description, arguments and example of any function of the session.
///
/// # Errors
/// When there is no such function, or it has no documentation.
fn describe_function(ctx: &SessionContext, name: &str) -> Result<String> {
    let name = name.to_ascii_lowercase();
    let state = ctx.state();
    let scalar = state.scalar_functions().get(&name);
    let aggregate = state.aggregate_functions().get(&name);
    let window = state.window_functions().get(&name);
    let documentation = scalar
        .and_then(|function| function.documentation())
        .or_else(|| aggregate.and_then(|function| function.documentation()))
        .or_else(|| window.and_then(|function| function.documentation()));
    match documentation {
        Some(documentation) => describe(documentation),
        None if scalar.is_some() || aggregate.is_some() || window.is_some() => {
            exec_err!("the function {name} has no documentation")
        }
        None => {
            let names = (state.scalar_functions().keys())
                .chain(state.aggregate_functions().keys())
                .chain(state.window_functions().keys());
            let topics: Vec<String> = topics().iter().map(|topic| topic.to_lowercase()).collect();
            let begins = topics.iter().filter(|topic| topic.starts_with(&name));
            let begins = begins.cloned().collect::<Vec<_>>().join(", ");
            let hint = match nearest(&name, names.chain(&topics).map(String::as_str)) {
                _ if let Some(here) = instead_of(&name) => format!("write {here}"),
                _ if !begins.is_empty() => format!("did you mean {begins}?"),
                Some(known) => format!("did you mean {known}?"),
                None => "\\h lists what there is, and SHOW FUNCTIONS all functions".to_owned(),
            };
            exec_err!("there is no help on {name}; {hint}")
        }
    }
}

fn describe(doc: &Documentation) -> Result<String> {
    let mut text = format!(
        "{}\n\n{}\n",
        doc.syntax_example,
        fill(&plain(&doc.description), "")
    );
    for (name, meaning) in doc.arguments.iter().flatten() {
        write!(text, "\n  {name}\n{}\n", fill(&plain(meaning), "      "))?;
    }
    if let Some(example) = &doc.sql_example {
        let example = example
            .trim()
            .trim_start_matches("```sql")
            .trim_end_matches("```");
        write!(text, "\n{}\n", example.trim())?;
    }
    Ok(text.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tables_are_listed_without_the_schema_that_lists_them() {
        use datafusion::prelude::SessionConfig;
        let config = SessionConfig::new().with_information_schema(true);
        let ctx = SessionContext::new_with_config(config);
        for sql in ["CREATE VIEW b AS SELECT 1", "CREATE VIEW a AS SELECT 2"] {
            ctx.sql(sql).await.unwrap();
        }
        let rows = ctx.sql(LIST_TABLES).await.unwrap().count().await.unwrap();
        assert_eq!(rows, 2);
    }

    #[test]
    fn statements_and_the_table_are_described() {
        let ctx = SessionContext::new();
        for topic in topics() {
            let text = describe_name(&ctx, &topic.to_lowercase()).unwrap();
            let last = topic.split(' ').next_back().unwrap();
            assert!(text.to_uppercase().contains(last), "{topic}: {text}");
            // SQL is shown as it is.
            let is_wide = |line: &&str| line.chars().count() > 80 && !line.contains(['\'', '[']);
            assert_eq!(text.lines().find(is_wide), None, "{topic}");
            assert!(list_functions().unwrap().contains(last), "{topic}");
        }
        for (name, expected) in [
            ("binaryfile", "recursiveFileLookup"),
            ("Copy", "error_if_exists"),
            ("create  external table", "STORED AS"),
            ("insert into t", "INTO | OVERWRITE"),
            ("s3", "aws.session_token"),
            ("csv", "STORED AS"),
        ] {
            let text = describe_name(&ctx, name).unwrap();
            assert!(
                text.contains(expected) && !text.contains('`'),
                "{name}: {text}"
            );
        }
        for (name, meant) in [
            ("binaryfle", "binaryfile?"),
            (
                "create",
                "create external table, create table, create view?",
            ),
        ] {
            let error = describe_name(&ctx, name).unwrap_err().to_string();
            assert!(error.contains(&format!("did you mean {meant}")), "{error}");
        }
    }

    #[test]
    fn functions_of_any_kind_are_described() {
        let ctx = SessionContext::new();
        datafusion_featurize::enable_featurize(&ctx).unwrap();
        for (name, expected) in [
            ("featurize", "featurize(content"),
            ("PCA_FIT", "n_components"),
            ("row_number", "row_number"),
            ("upper", "upper("),
        ] {
            let text = describe_function(&ctx, name).unwrap();
            assert!(text.contains(expected), "{text}");
        }
        let error = describe_function(&ctx, "featurise").unwrap_err();
        let expected = "no help on featurise; did you mean featurize?";
        assert!(error.to_string().contains(expected), "{error}");
        let error = describe_function(&ctx, "nothing_like_it").unwrap_err();
        assert!(error.to_string().contains("SHOW FUNCTIONS"), "{error}");
        let list = list_functions().unwrap();
        for name in ["featurize(", "pca_fit(", "image_info("] {
            assert!(list.contains(name), "{list}");
        }
    }
}
