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

#[test]
fn writes_of_every_format_are_told() {
    let folder = tempfile::tempdir().unwrap();
    for (target, options, notice) in [
        ("json/", "STORED AS JSON", "held data already"),
        ("one.json", "", "was there and has been replaced"),
        ("arrow/", "STORED AS ARROW", "held data already"),
        (
            "parts/",
            "STORED AS PARQUET PARTITIONED BY (k)",
            "held data already",
        ),
    ] {
        let target = folder.path().join(target).display().to_string();
        let copy = format!("COPY (SELECT 1 AS x, 'a' AS k) TO '{target}' {options}");
        assert_eq!(stderr(&[], &copy), "", "{target}: nothing was there");
        let told = stderr(&[], &copy);
        assert_eq!(told.matches(notice).count(), 1, "{target}: {told}");
        assert_eq!(stderr(&["-q"], &copy), "", "{target}");
    }
}

#[test]
fn csv_is_appended_to_by_the_same_columns_only() {
    let folder = tempfile::tempdir().unwrap();
    for (target, options) in [
        ("plain/", ""),
        ("packed/", "OPTIONS ('format.compression' 'gzip')"),
    ] {
        let target = folder.path().join(target).display().to_string();
        let copy = |rows: &str| {
            let sql = format!("COPY (SELECT {rows}) TO '{target}' STORED AS CSV {options}");
            let program = env!("CARGO_BIN_EXE_featurize");
            let output = Command::new(program).args(["-q", "-c", &sql]).output();
            String::from_utf8(output.unwrap().stderr).unwrap()
        };
        assert_eq!(copy("1 AS a, 2 AS b"), "");
        assert_eq!(copy("3 AS a, 4 AS b"), "");
        for rows in ["5 AS b, 6 AS a", "5 AS a"] {
            let refused = copy(rows);
            assert!(refused.contains("has the columns a, b"), "{refused}");
        }
    }
}

#[test]
fn data_of_another_format_is_data_that_exists() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("out/").display().to_string();
    let copy = format!("COPY (SELECT 1 AS a) TO '{target}/' STORED AS");
    assert_eq!(stderr(&[], &format!("{copy} PARQUET")), "");
    let sql = format!("{copy} CSV OPTIONS ('write_mode' 'error_if_exists')");
    let output = Command::new(env!("CARGO_BIN_EXE_featurize"))
        .args(["-q", "-c", &sql])
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("holds data already"), "{error}");
}

/// Readers that fail at any file beside the parts, as polars does, can read the folder.
#[cfg(unix)]
#[test]
fn an_interrupted_write_leaves_parts_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    for mode in ["append", "overwrite"] {
        let target = folder.path().join(mode);
        let copy = |rows: &str| {
            format!(
                "SET featurize.checkpoint_rows = 1000; SET datafusion.execution.target_partitions = 1;
                 COPY (SELECT value AS x FROM {rows}) TO '{}/' STORED AS PARQUET
                 OPTIONS ('write_mode' '{mode}', 'success_file' 'false')",
                target.display()
            )
        };
        assert_eq!(stderr(&[], &copy("generate_series(1, 5000)")), "");
        let endless = copy("generate_series(1, 100000000000)");
        let mut program = Command::new(env!("CARGO_BIN_EXE_featurize"))
            .args(["-c", &endless])
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let lock = target.join("_temporary/_LOCK");
        while !lock.exists() {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        std::thread::sleep(std::time::Duration::from_millis(300));
        let pid = program.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-INT", &pid])
                .status()
                .unwrap()
                .success()
        );
        let mut told = String::new();
        std::io::Read::read_to_string(&mut program.stderr.take().unwrap(), &mut told).unwrap();
        assert_eq!(program.wait().unwrap().code(), Some(130), "{told}");
        let names = std::fs::read_dir(&target).unwrap();
        let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        let is_part = |name: &std::ffi::OsString| name.to_str().unwrap().ends_with(".parquet");
        assert!(names.iter().all(is_part), "{mode}: {names:?}");
        assert_eq!(
            told.contains("which was interrupted; they stay"),
            names.len() > 1,
            "{told}"
        );
    }
}
