//! The `featurize` program from outside.

use std::io::Write;
use std::process::{Command, Output, Stdio};

pub(crate) fn featurize(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_featurize"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
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
fn scripts_of_any_editor_are_read() {
    let sql = "SELECT 'é' AS a;\r\nSELECT 2 AS b;\r\n";
    let utf16 = |swap: fn(u16) -> [u8; 2]| sql.encode_utf16().flat_map(swap).collect::<Vec<u8>>();
    for bytes in [
        [b"\xEF\xBB\xBF", sql.as_bytes()].concat(),
        [vec![0xFF, 0xFE], utf16(u16::to_le_bytes)].concat(),
        [vec![0xFE, 0xFF], utf16(u16::to_be_bytes)].concat(),
    ] {
        let mut script = tempfile::NamedTempFile::new().unwrap();
        script.write_all(&bytes).unwrap();
        let path = script.path().display().to_string();
        let output = featurize(&["-q", "--format", "csv", "-f", &path]);
        assert_eq!(
            text(&output.stdout),
            "a\né\nb\n2\n",
            "{}",
            text(&output.stderr)
        );
        let output = piped(&bytes);
        assert_eq!(
            text(&output.stdout),
            "a\né\nb\n2\n",
            "{}",
            text(&output.stderr)
        );
    }
    let mut script = tempfile::NamedTempFile::new().unwrap();
    script.write_all(b"SELECT 1;\nSELECT 'caf\xE9';").unwrap();
    let path = script.path().display().to_string();
    let output = featurize(&["-q", "-f", &path]);
    let error = text(&output.stderr);
    assert!(
        error.contains(&format!("'{path}', line 2: expected UTF-8")),
        "{error}"
    );
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_place_may_lie_in_the_home_folder() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join("photos")).unwrap();
    std::fs::write(home.path().join("photos/a.jpg"), "x").unwrap();
    let sql = "
        CREATE EXTERNAL TABLE photos STORED AS BINARYFILE LOCATION '~/photos/';
        COPY (SELECT length FROM photos) TO '~/out.csv' STORED AS CSV;
        CREATE EXTERNAL TABLE out STORED AS CSV LOCATION '~/out.csv';
        SELECT count(*) AS n FROM '~/out.csv'";
    let output = Command::new(env!("CARGO_BIN_EXE_featurize"))
        .args(["-q", "--format", "csv", "-c", sql])
        .env("HOME", home.path())
        .current_dir(home.path())
        .output()
        .unwrap();
    assert_eq!(
        text(&output.stdout),
        "count\n1\nn\n1\n",
        "{}",
        text(&output.stderr)
    );
    assert!(home.path().join("out.csv").is_file());
    assert!(!home.path().join("~").exists());
}

#[test]
fn a_statement_without_a_result_says_what_it_made() {
    let sql = "
        CREATE TABLE t AS SELECT value FROM generate_series(1, 48);
        CREATE TABLE IF NOT EXISTS t AS SELECT 1;
        CREATE OR REPLACE TABLE \"T.t\" AS SELECT 1 WHERE false;
        CREATE VIEW v AS SELECT 1;
        SET featurize.threads = 2;
        DROP TABLE t";
    let output = featurize(&["--progress", "none", "-c", sql]);
    let stdout = text(&output.stdout);
    let told: Vec<&str> = stdout
        .lines()
        .filter(|l| !l.is_empty() && !l.starts_with("Elapsed"))
        .collect();
    assert_eq!(
        told,
        ["48 row(s) created.", "0 row(s) created."],
        "{stdout}"
    );
    assert_eq!(stdout.matches("Elapsed").count(), 6, "{stdout}");
    let output = featurize(&["-q", "-c", sql]);
    assert_eq!(text(&output.stdout), "");
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

fn piped(sql: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_featurize"))
        .args(["-q", "--format", "csv"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(sql).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn a_pipe_is_a_script() {
    let output = piped(b"SELECT 7 AS a;\nSELECT oops;");
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

/// A pipe most often ends at a screen; programs ask for another format.
#[test]
fn tables_fit_the_screen_and_other_formats_are_complete() {
    let sql = "CREATE EXTERNAL TABLE images STORED AS BINARYFILE LOCATION 'examples/fruits/'
        OPTIONS ('recursiveFileLookup' 'true');
        SELECT path, length, content, range(100000) AS numbers FROM images";
    for columns in [80, 120] {
        let output = Command::new(env!("CARGO_BIN_EXE_featurize"))
            .args(["-q", "-c", sql])
            .env("COLUMNS", columns.to_string())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let table = text(&output.stdout);
        let widest = table.lines().map(|line| line.chars().count()).max();
        assert!(widest.unwrap() <= columns, "{table}");
        for part in [" bytes |", "… 100000 items] |", ".jpg |"] {
            assert!(table.contains(part), "{part} is not in\n{table}");
        }
    }
    for format in ["csv", "tsv", "json", "nd-json"] {
        let output = featurize(&["-q", "--format", format, "-c", sql]);
        let rows = text(&output.stdout);
        assert!(
            rows.contains("99998,99999") || rows.contains("99998, 99999"),
            "{format}"
        );
        assert!(rows.contains("ffd8ffe0") && !rows.contains('…'), "{format}");
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

/// That the whole address is read all the same: `blobs::web::addresses_are_sent_as_they_are`.
#[test]
fn secrets_of_addresses_are_in_no_plan() {
    for (call, shown) in [
        (
            "featurize(a, 'vgg16', 'https://ann:hush@host/w.h5?sig=hush')",
            "https://host/w.h5",
        ),
        (
            "try_featurize(a, 'https://ann:hush@host/folder/')",
            "https://host/folder/",
        ),
        (
            "read_blob('https://ann:hush@host/a.jpg?sig=hush')",
            "https://host/a.jpg",
        ),
        (
            "try_read_blob('https://host/a.jpg?sig=hush')",
            "https://host/a.jpg",
        ),
    ] {
        for explain in ["EXPLAIN", "EXPLAIN FORMAT INDENT", "EXPLAIN VERBOSE"] {
            let sql = format!("{explain} SELECT {call} FROM (VALUES (X'00'), (X'01')) AS t(a)");
            let output = featurize(&["-q", "--maxrows", "inf", "-c", &sql]);
            let plan = text(&output.stdout);
            // A drawing breaks lines anywhere.
            let drawn: String = plan.chars().filter(|c| !" │|\n".contains(*c)).collect();
            assert!(drawn.contains("physical_plan"), "{sql}: {plan}");
            let is_shown = explain == "EXPLAIN" || plan.contains(shown);
            assert!(is_shown && !drawn.contains("hush"), "{sql}: {plan}");
        }
    }
}

#[test]
fn a_reader_may_stop_reading() {
    for format in ["csv", "tsv", "json", "nd-json", "table"] {
        for sql in [
            "SELECT value FROM generate_series(1, 10000000)",
            // More in one row than any buffer takes.
            "SELECT repeat('x', 200000) FROM generate_series(1, 30)",
        ] {
            let mut program = Command::new(env!("CARGO_BIN_EXE_featurize"))
                .args(["-q", "--format", format, "--maxrows", "100000", "-c", sql])
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            drop(program.stdout.take());
            let output = program.wait_with_output().unwrap();
            assert_eq!(text(&output.stderr), "", "{format}: {sql}");
            assert_eq!(output.status.code(), Some(141), "{format}: {sql}");
        }
    }
}
