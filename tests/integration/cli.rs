//! The `featurize` program from outside.

use std::io::Write;
use std::process::{Command, Output, Stdio};

fn featurize(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_featurize"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn commands_print_results_and_nothing_else() {
    let output = featurize(&[
        "-q",
        "--format",
        "csv",
        "-c",
        "SELECT 1 AS a; SELECT 2 AS b",
    ]);
    assert_eq!(text(&output.stdout), "a\n1\nb\n2\n");
    assert_eq!(text(&output.stderr), "");
    assert!(output.status.success());
}

#[test]
fn the_first_error_ends_the_run_on_stderr() {
    let sql = "SELECT 1 AS a; SELECT nonsense; SELECT 3 AS c";
    let output = featurize(&["-q", "--format", "csv", "-c", sql]);
    assert_eq!(text(&output.stdout), "a\n1\n");
    assert!(text(&output.stderr).contains("nonsense"));
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_script_that_fails_names_its_line() {
    let mut script = tempfile::NamedTempFile::new().unwrap();
    script
        .write_all(b"#!/usr/bin/env featurize\nSELECT 1;\n\nSELECT *\nFROM nowhere;\n")
        .unwrap();
    let path = script.path().display().to_string();
    let output = featurize(&["-q", "-f", &path]);
    let error = text(&output.stderr);
    assert!(error.contains(&format!("{path}, line 4")), "{error}");
    assert!(error.contains("nowhere"), "{error}");
    assert_eq!(output.status.code(), Some(1));

    let output = featurize(&["-f", "no-such-file.sql"]);
    assert!(text(&output.stderr).contains("no-such-file.sql"));
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn comments_end_at_the_line_ends_of_any_editor() {
    for end in ["\r", "\n", "\r\n"] {
        let lines = [
            "-- it's a comment",
            "SELECT 7 AS a; -- another",
            "SELECT 'x -- y' AS b",
            "",
        ];
        let mut script = tempfile::NamedTempFile::new().unwrap();
        script.write_all(lines.join(end).as_bytes()).unwrap();
        let path = script.path().display().to_string();
        let output = featurize(&["-q", "--format", "csv", "-f", &path]);
        assert_eq!(text(&output.stdout), "a\n7\nb\nx -- y\n", "{end:?}");
        assert_eq!(text(&output.stderr), "");
    }
}

#[test]
fn csv_cells_may_hold_line_breaks() {
    let folder = tempfile::tempdir().unwrap();
    let (small, wide) = (
        folder.path().join("small.csv"),
        folder.path().join("wide.csv"),
    );
    std::fs::write(&small, "a,b\n1,\"x\ny\"\n2,\"p\r\nq, \"\"r\"\"\"\n").unwrap();
    let cell = "line\n".repeat(8_000);
    std::fs::write(&wide, format!("a,b\n1,\"{cell}\"\n2,\"{cell}\"\n")).unwrap();
    let create = |columns: &str, file: &std::path::Path| {
        format!(
            "CREATE EXTERNAL TABLE t {columns} STORED AS CSV LOCATION '{}'
             OPTIONS ('format.has_header' 'true', 'format.newlines_in_values' 'true')",
            file.display()
        )
    };
    let select = "SELECT sum(a) AS a, sum(length(b)) AS b FROM t";
    let output = featurize(&[
        "-q",
        "--format",
        "csv",
        "-c",
        &create("", &small),
        "-c",
        select,
    ]);
    assert_eq!(
        text(&output.stdout),
        "a,b\n3,12\n",
        "{}",
        text(&output.stderr)
    );
    let create_wide = create("(a INT, b VARCHAR)", &wide);
    let output = featurize(&["-q", "--format", "csv", "-c", &create_wide, "-c", select]);
    assert_eq!(
        text(&output.stdout),
        "a,b\n3,80000\n",
        "{}",
        text(&output.stderr)
    );
    // DataFusion cuts what it infers columns from at line breaks, those in cells included.
    let output = featurize(&["-q", "-c", &create("", &wide)]);
    let error = text(&output.stderr);
    assert!(error.contains("name the columns"), "{error}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_pipe_is_a_script() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_featurize"))
        .args(["-q", "--format", "csv"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"SELECT 7 AS a;\nSELECT oops;")
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(text(&output.stdout), "a\n7\n");
    assert!(text(&output.stderr).contains("standard input, line 2"));
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn tables_with_options_settings_and_formats() {
    let sql = "
        CREATE EXTERNAL TABLE images STORED AS BINARYFILE LOCATION 'examples/fruits/'
        OPTIONS ('pathGlobFilter' '*.jpg', 'recursive_file_lookup' 'true');
        SET featurize.scan_batch_rows = 5;
        SELECT count(*) AS n, count(DISTINCT split_part(path, '/', -2)) AS kinds,
               min(octet_length(encode(content, 'hex'))) > 200 AS read
        FROM images;
        SHOW featurize.scan_batch_rows;";
    let output = featurize(&["-q", "--format", "json", "-c", sql]);
    assert_eq!(text(&output.stderr), "");
    let stdout = text(&output.stdout);
    assert!(
        stdout.contains(r#"{"n":48,"kinds":8,"read":true}"#),
        "{stdout}"
    );
    assert!(
        stdout.contains(r#"{"name":"featurize.scan_batch_rows","value":"5"}"#),
        "{stdout}"
    );
}

#[test]
fn progress_is_told_as_json_lines() {
    let sql = "CREATE EXTERNAL TABLE t STORED AS BINARYFILE LOCATION 'examples/fruits/Lemon/';
        CREATE TABLE f AS SELECT featurize(content, 'mobilenet_v2', 'seeded') AS f FROM t;
        EXPLAIN SELECT content FROM t";
    let output = featurize(&["--progress", "json", "-q", "--format", "csv", "-c", sql]);
    let stdout = text(&output.stdout);
    // The operator that watches a plan is in none that is shown.
    assert!(
        stdout.contains("FetchExec") && !stdout.contains("Observed"),
        "{stdout}"
    );
    let stderr = text(&output.stderr);
    let last: serde_json::Value = serde_json::from_str(stderr.lines().last().unwrap()).unwrap();
    assert_eq!(last["state"], "finished", "{stderr}");
    for (key, expected) in [
        ("statement", 2),
        ("total", 6),
        ("files_listed", 6),
        ("files_fetched", 6),
        ("images_decoded", 6),
        ("images_inferred", 6),
        ("images_bad", 0),
    ] {
        assert_eq!(last[key], expected, "{key} in {stderr}");
    }

    // Also of one that has no plan.
    for sql in ["SELECT 1/0 FROM (VALUES (1))", "SELECT nothing"] {
        let output = featurize(&["--progress", "json", "-q", "-c", sql]);
        assert!(
            text(&output.stderr).contains(r#""state":"failed""#),
            "{sql}"
        );
    }
    let output = featurize(&["-q", "-c", "SELECT 1"]);
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn other_formats_than_tables_get_all_rows() {
    let sql = "SELECT value FROM generate_series(1, 20000)";
    for (format, lines) in [("csv", 20_001), ("tsv", 20_001), ("nd-json", 20_000)] {
        let output = featurize(&["-q", "--format", format, "-c", sql]);
        assert_eq!(text(&output.stdout).lines().count(), lines, "{format}");
    }
    let output = featurize(&["-q", "--format", "json", "-c", sql]);
    let rows: Vec<serde_json::Value> = serde_json::from_str(&text(&output.stdout)).unwrap();
    assert_eq!(rows.len(), 20_000);
    assert_eq!(rows[19_999]["value"], 20_000);
}

#[test]
fn csv_has_nested_values_as_text() {
    let sql = "SELECT [1.5, 2.0] AS l, struct(1 AS a, 'x' AS b) AS s, CAST(NULL AS INT[]) AS n";
    let output = featurize(&["-q", "--format", "csv", "-c", sql]);
    assert_eq!(text(&output.stderr), "");
    assert_eq!(
        text(&output.stdout),
        "l,s,n\n\"[1.5, 2.0]\",\"{a: 1, b: x}\",\n"
    );
    let output = featurize(&["-q", "--format", "csv", "-c", "SHOW FUNCTIONS"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    for name in [
        "featurize",
        "featurize_model_info",
        "image_info",
        "pca_fit",
        "scaler_fit",
    ] {
        assert!(
            text(&output.stdout).contains(&format!("\n{name},")),
            "{name}"
        );
    }
}

#[test]
fn settings_go_back_to_their_defaults() {
    let sql = "SET featurize.model = 'mobilenet_v2'; SET featurize.threads = 3;
        RESET featurize.model; RESET featurize.weights_dir;
        SHOW featurize.model; SHOW featurize.threads; RESET featurize.modle";
    let output = featurize(&["-q", "--format", "csv", "-c", sql]);
    let rows = text(&output.stdout);
    assert!(rows.contains("featurize.model,vgg16"), "{rows}");
    assert!(rows.contains("featurize.threads,3"), "{rows}");
    let error = text(&output.stderr);
    assert!(error.contains("did you mean 'model'"), "{error}");
}

#[test]
fn mistyped_options_of_writing_are_met_with_the_right_ones() {
    let folder = tempfile::tempdir().unwrap();
    let sql = format!(
        "COPY (SELECT 1 AS a) TO '{}/x/' STORED AS PARQUET OPTIONS ('write_mod' 'overwrite')",
        folder.path().display()
    );
    let error = text(&featurize(&["-q", "-c", &sql]).stderr);
    assert!(error.contains("did you mean 'write_mode'"), "{error}");
}

#[test]
fn mistyped_names_are_met_with_those_that_exist() {
    let table = "CREATE TABLE images AS SELECT 1 AS a;";
    for (sql, name) in [
        ("SELECT * FROM imges", "images"),
        ("SELECT i.a FROM images JOIN imagess i ON true", "images"),
        (
            "WITH i AS (SELECT 1) SELECT * FROM public.imaegs, i",
            "images",
        ),
        ("EXPLAIN SELECT * FROM imges", "images"),
        ("INSERT INTO imges VALUES (1)", "images"),
        ("COPY imges TO '/nowhere/x.csv'", "images"),
        ("SET featurise.model = 'vgg16'", "featurize.model"),
        (
            "SET datafusion.execution.batchsize = 1",
            "datafusion.execution.batch_size",
        ),
        (
            "RESET datafusion.execution.batchsize",
            "datafusion.execution.batch_size",
        ),
        ("SHOW featurize.modl", "featurize.model"),
        ("SET threads = 2", "featurize.threads"),
        (
            "COPY (SELECT 1) TO '/nowhere/x' STORED AS PARQET",
            "PARQUET",
        ),
        (
            "COPY (SELECT 1) TO '/nowhere/x' STORED AS CSV OPTIONS ('format.has_heder' 'true')",
            "format.has_header",
        ),
        (
            "CREATE EXTERNAL TABLE i STORED AS BINARYFLE LOCATION '/x/'",
            "BINARYFILE",
        ),
        (
            "CREATE EXTERNAL TABLE i STORED AS BINARYFILE LOCATION 's3://b/' OPTIONS ('aws.endpoint_url' 'x')",
            "'aws.endpoint'",
        ),
    ] {
        let output = featurize(&["-q", "-c", table, "-c", sql]);
        let error = text(&output.stderr);
        assert!(
            error.contains(&format!("did you mean {name}?")),
            "{sql}: {error}"
        );
        assert_eq!(output.status.code(), Some(1));
    }
    for sql in [
        "COPY (SELECT nothing) TO '/nowhere/x' STORED AS PARQUET OPTIONS ('format.compression::a' 'zstd')",
        "SELECT * FROM nowhere",
        "SELECT b FROM images WHERE a = 'x'",
    ] {
        let output = featurize(&["-q", "-c", table, "-c", sql]);
        let error = text(&output.stderr);
        assert!(!error.contains("did you mean"), "{sql}: {error}");
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn secrets_of_stores_are_in_no_plan_and_no_log() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.csv").display().to_string();
    let copy = |target: &str| {
        format!(
            "COPY (SELECT 1 AS a) TO '{target}' STORED AS CSV OPTIONS
             ('aws.access_key_id' 'id', 'aws.secret_access_key' 'hush', 'aws.region' 'x',
              'AWS.SESSION_TOKEN' 'hush', 'write_mode' 'overwrite')"
        )
    };
    for (sql, shown) in [
        (
            format!("EXPLAIN {}", copy("s3://bucket/x.csv")),
            "physical_plan",
        ),
        (
            format!("EXPLAIN VERBOSE {}", copy("s3://bucket/x.csv")),
            "CopyTo",
        ),
        (copy(&file), "count"),
    ] {
        for level in ["", "debug", "trace"] {
            let output = Command::new(env!("CARGO_BIN_EXE_featurize"))
                .args(["-q", "-c", &sql])
                .env("RUST_LOG", level)
                .output()
                .unwrap();
            let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
            assert!(stdout.contains(shown), "{sql}: {stdout} {stderr}");
            assert!(!stdout.contains("hush"), "{sql}: {stdout}");
            assert!(!stderr.contains("hush"), "{level}, {sql}: {stderr}");
        }
    }
}

#[test]
fn a_reader_may_stop_reading() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_featurize"))
        .args(["-q", "--format", "csv", "-c"])
        .arg("SELECT value FROM generate_series(1, 10000000)")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(program.stdout.take());
    let output = program.wait_with_output().unwrap();
    assert_eq!(text(&output.stderr), "");
    assert_eq!(output.status.code(), Some(141));
}
