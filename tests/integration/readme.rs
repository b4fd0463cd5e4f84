//! The README's tables come from the code; `UPDATE_README=1` writes them anew.

use datafusion::common::config::ExtensionOptions;
use datafusion_featurize::{FeaturizeOptions, all_default_documentation};

fn functions() -> String {
    let mut table = String::from("| function | what it gives |\n|---|---|\n");
    for doc in all_default_documentation() {
        let description = doc
            .description
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        table += &format!(
            "| `{}` | {} |\n",
            doc.syntax_example.replace('|', "\\|"),
            description.replace('|', "\\|")
        );
    }
    table
}

fn settings() -> String {
    let mut table = String::from("| setting | default | meaning |\n|---|---|---|\n");
    for entry in FeaturizeOptions::default().entries() {
        let default = entry
            .value
            .map_or(String::new(), |value| format!("`{value}`"));
        table += &format!("| `{}` | {default} | {} |\n", entry.key, entry.description);
    }
    table
}

/// `readme` with `table` between the marker of this name and the next end.
fn with_table(readme: &str, name: &str, table: &str) -> String {
    let marker = format!("<!-- {name}: made by");
    let (before, rest) = readme.split_once(&marker).unwrap();
    let (comment, rest) = rest.split_once('\n').unwrap();
    let (_, after) = rest.split_once("<!-- end -->").unwrap();
    format!("{before}{marker}{comment}\n{table}<!-- end -->{after}")
}

#[test]
fn readme_tables_are_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let found = std::fs::read_to_string(path).unwrap();
    let expected = with_table(&found, "functions", &functions());
    let expected = with_table(&expected, "settings", &settings());
    if std::env::var_os("UPDATE_README").is_some() {
        std::fs::write(path, expected).unwrap();
    } else {
        assert!(
            found == expected,
            "README.md is stale: run UPDATE_README=1 cargo test --test integration readme"
        );
    }
}
