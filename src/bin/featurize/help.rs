//! `\h`: what a function does, from the documentation that travels with it.

use std::fmt::Write;

use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::Documentation;
use datafusion::prelude::SessionContext;
use datafusion_featurize::all_default_documentation;

use crate::hints::nearest;

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
  \\h NAME           explains a function or a statement, such as \\h featurize
  \\i FILE           runs the statements of a file
  \\pset             shows how results are printed
  \\pset format F    prints them as table, csv, tsv, json, nd-json or automatic
  \\quiet on|off     whether to print only results
  \\object_store_profiling disabled|summary|trace
                    prints the requests of a statement
  \\?                this help
  \\q                quits, as do exit and Ctrl-D
SHOW ALL lists the settings, SET changes one.";

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
    text += "\\h NAME explains one, DataFusion's own too; SHOW FUNCTIONS lists all.";
    Ok(text)
}

/// `\h NAME`: syntax, description, arguments and example of any function of the session.
///
/// # Errors
/// When there is no such function, or it has no documentation.
pub(crate) fn describe_function(ctx: &SessionContext, name: &str) -> Result<String> {
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
            let hint = match nearest(&name, names) {
                Some(known) => format!("did you mean {known}?"),
                None => "SHOW FUNCTIONS lists them".to_owned(),
            };
            exec_err!("there is no function {name}; {hint}")
        }
    }
}

fn describe(doc: &Documentation) -> Result<String> {
    let mut text = format!("{}\n\n{}\n", doc.syntax_example, fill(&doc.description, ""));
    for (name, meaning) in doc.arguments.iter().flatten() {
        write!(text, "\n  {name}\n{}\n", fill(meaning, "      "))?;
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

/// Breaks `text` into lines of at most 78 characters, where it can be broken.
fn fill(text: &str, indent: &str) -> String {
    let mut lines = vec![String::from(indent)];
    for word in text.split_whitespace() {
        let line = match lines.last_mut() {
            Some(line) if line.len() == indent.len() => line,
            Some(line) if line.chars().count() + 1 + word.chars().count() <= 78 => {
                line.push(' ');
                line
            }
            _ => {
                lines.push(String::from(indent));
                let Some(line) = lines.last_mut() else {
                    continue;
                };
                line
            }
        };
        line.push_str(word);
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_filled() {
        let text = fill(&"word ".repeat(40), "  ");
        assert!(
            text.lines()
                .all(|line| line.len() <= 78 && line.starts_with("  word"))
        );
        assert_eq!(text.split_whitespace().count(), 40);
        assert_eq!(fill("", ""), "");
    }

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
        let expected = "no function featurise; did you mean featurize?";
        assert!(error.to_string().contains(expected), "{error}");
        let error = describe_function(&ctx, "nothing_like_it").unwrap_err();
        assert!(error.to_string().contains("SHOW FUNCTIONS"), "{error}");
        let list = list_functions().unwrap();
        for name in ["featurize(", "pca_fit(", "image_info("] {
            assert!(list.contains(name), "{list}");
        }
    }
}
