//! What the program says on stderr of data that was there, where the statement does not say what
//! becomes of it.

use std::process::Command;

fn stderr(arguments: &[&str], sql: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_featurize"))
        .args(arguments)
        .args(["-c", sql])
        .env_remove("RUST_LOG")
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{error}");
    error
}

#[test]
fn rows_that_are_appended_and_a_file_that_is_replaced_are_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let rows = "SELECT value AS x FROM generate_series(1, 20000)";
    for (target, notice) in [
        ("out/", "20000 rows have been appended to its"),
        (
            "one.parquet",
            "one.parquet' was there and has been replaced",
        ),
    ] {
        let target = folder.path().join(target).display().to_string();
        let copy = |options| format!("COPY ({rows}) TO '{target}' STORED AS PARQUET {options}");
        assert_eq!(stderr(&[], &copy("")), "", "nothing was there");
        let told = stderr(&[], &copy(""));
        assert_eq!(told.matches(notice).count(), 1, "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
        assert!(told.contains("say OPTIONS ('write_mode' '"), "{told}");
        assert_eq!(stderr(&["-q"], &copy("")), "", "{target}");
        let overwrite = copy("OPTIONS ('write_mode' 'overwrite')");
        assert_eq!(stderr(&[], &overwrite), "", "the statement says it");
    }
    // INSERT says by its name what it does.
    let insert = format!(
        "CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '{}/out/'; INSERT INTO t VALUES (1)",
        folder.path().display()
    );
    assert_eq!(stderr(&[], &insert), "");
}
