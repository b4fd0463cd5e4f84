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
    assert!(printed.contains("| 48     | 29 "), "{printed}");
}
