//! The SQL examples, run as their first lines say.

use std::process::Command;

/// Runs a script of `examples/` and returns what it prints.
fn run(script: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_featurize"))
        .args(["-q", "-f", script])
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stderr}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn similar_images() {
    let printed = run("examples/similar_images.sql");
    // An image is nearest to itself; then come bananas.
    let nearest: Vec<&str> = printed
        .lines()
        .filter(|line| line.contains("_100.jpg |"))
        .collect();
    assert_eq!(nearest.len(), 6 + 3, "{printed}");
    assert!(
        nearest[0].starts_with("| Banana | 0_100.jpg | 0.0"),
        "{printed}"
    );
    assert!(nearest[1].starts_with("| Banana |"), "{printed}");
    assert!(
        nearest[6].contains("Kiwi") && nearest[6].contains("3_100.jpg | 0.0"),
        "{printed}"
    );
    // Memory stays flat: no sort of the whole table.
    assert!(printed.contains("SortExec: TopK(fetch=6)"), "{printed}");
    assert!(printed.contains("| 48     | 46 "), "{printed}");
}

/// By a test, by `.ci/run`, or as a program of `Cargo.toml` with a test of its own.
#[test]
fn every_example_is_run() {
    let scripts = [
        include_str!("examples.rs"),
        include_str!("kill.rs"),
        include_str!("../../.ci/run"),
    ];
    for (folder, manifest) in [
        ("examples", include_str!("../../Cargo.toml")),
        (
            "udfs/image/examples",
            include_str!("../../udfs/image/Cargo.toml"),
        ),
    ] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            let is_run = match name.split_once('.') {
                Some((_, "sql")) => scripts.iter().any(|script| script.contains(name)),
                Some((_, "ipynb")) => include_str!("../python/test_documents.py").contains(name),
                Some((name, "rs")) => {
                    let program = format!("[[example]]\nname = \"{name}\"\ntest = true");
                    manifest.contains(&program)
                }
                // Folders of pictures and of modules.
                _ => path.is_dir(),
            };
            assert!(is_run, "nothing runs {}", path.display());
        }
    }
}
