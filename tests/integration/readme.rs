//! Tables of the README and of the reference come from the code; `UPDATE_README=1` writes them anew.

use datafusion::common::config::ExtensionOptions;
use datafusion_featurize::image::models::{ModelSpec, Pooling};
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

/// A number with a comma before each three digits.
fn grouped(number: usize) -> String {
    match number / 1000 {
        0 => number.to_string(),
        thousands => format!("{},{:03}", grouped(thousands), number % 1000),
    }
}

fn networks() -> String {
    let mut table = String::from(
        "| `model` | pixels | features | `pooling => 'avg'` or `'max'` | `pooling => 'none'` |\n\
         |---|---|--:|--:|--:|\n",
    );
    for network in ModelSpec::named() {
        let side = network.image_side().unwrap();
        let features = |pooling: Pooling| {
            let dimension = network.dimension(pooling);
            dimension.map_or_else(|| "–".to_owned(), grouped)
        };
        table += &format!(
            "| `'{network}'` | {side} × {side} | {} | {} | {} |\n",
            features(network.default_pooling().unwrap()),
            features(Pooling::Avg),
            features(Pooling::None),
        );
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
fn tables_are_current() {
    for (file, tables) in [
        ("README.md", &[("networks", networks())][..]),
        (
            "src/guide/reference.md",
            &[("functions", functions()), ("settings", settings())],
        ),
    ] {
        let path = format!("{}/{file}", env!("CARGO_MANIFEST_DIR"));
        let found = std::fs::read_to_string(&path).unwrap();
        let expected = tables.iter().fold(found.clone(), |text, (name, table)| {
            with_table(&text, name, table)
        });
        if std::env::var_os("UPDATE_README").is_some() {
            std::fs::write(path, expected).unwrap();
        } else {
            assert!(
                found == expected,
                "{file} is stale: run UPDATE_README=1 cargo test --test integration readme"
            );
        }
    }
}

#[test]
fn files_that_the_readme_names_are_there() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let links = readme
        .split("](")
        .skip(1)
        .map(|rest| rest.split(')').next().unwrap());
    let files: Vec<&str> = links.filter(|link| !link.contains("://")).collect();
    assert!(files.contains(&"src/guide/porting.md"), "{files:?}");
    for file in files {
        assert!(root.join(file).is_file(), "{file}");
    }
}
