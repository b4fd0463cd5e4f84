//! What is printed, where, and how it looks.

use std::process::{Command, Output, Stdio};

use super::cli::{featurize, text};

fn in_columns(columns: usize, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_featurize"))
        .args(arguments)
        .env("COLUMNS", columns.to_string())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn a_result_without_rows_has_its_columns() {
    let sql = "SELECT 1 AS a, [1.5] AS b WHERE false";
    for (format, expected) in [
        ("csv", "a,b\n"),
        ("tsv", "a\tb\n"),
        ("json", "[]\n"),
        ("nd-json", ""),
        ("table", "+---+---+\n| a | b |\n+---+---+\n+---+---+\n"),
    ] {
        let output = featurize(&["-q", "--format", format, "-c", sql]);
        assert_eq!(text(&output.stdout), expected, "{format}");
    }
}

#[test]
fn what_programs_read_is_the_result_alone() {
    let sql = "CREATE TABLE t AS SELECT 1 AS a; SELECT a FROM t";
    for (format, expected) in [
        ("csv", "a\n1\n"),
        ("tsv", "a\n1\n"),
        ("json", "[{\"a\":1}]\n"),
        ("nd-json", "{\"a\":1}\n"),
    ] {
        let output = featurize(&["--format", format, "-c", sql]);
        assert_eq!(text(&output.stdout), expected);
        let told = text(&output.stderr);
        assert!(told.contains("1 row(s) created."), "{told}");
        assert!(told.contains("1 row(s) fetched."), "{told}");
    }
    let output = featurize(&["-c", sql]);
    assert!(text(&output.stdout).contains("1 row(s) fetched."));
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn rows_of_no_columns_are_counted_and_not_drawn() {
    let sql = "CREATE TABLE t AS SELECT 1 AS a; SELECT FROM t LIMIT 1";
    for format in ["table", "csv", "json"] {
        let output = featurize(&["-q", "--format", format, "-c", sql]);
        assert_eq!(
            (text(&output.stdout), text(&output.stderr)),
            Default::default()
        );
        assert!(output.status.success());
    }
    let output = text(&featurize(&["-c", sql]).stdout);
    assert!(
        output.contains("1 row(s) fetched.") && !output.contains("++"),
        "{output}"
    );
}

#[test]
fn lists_of_what_there_is_are_in_order() {
    let sql = "CREATE VIEW b AS SELECT 1; CREATE VIEW a AS SELECT 1;";
    for (listing, column) in [
        ("SHOW FUNCTIONS", "function_name"),
        ("SHOW ALL", "name"),
        ("SHOW TABLES", "table_name"),
    ] {
        let sql = format!("{sql} {listing}");
        let output = featurize(&["-q", "--format", "nd-json", "-c", &sql]);
        let rows = text(&output.stdout);
        let rows = rows.lines().map(|row| serde_json::from_str(row).unwrap());
        let rows =
            rows.filter(|row: &serde_json::Value| row["table_schema"] != "information_schema");
        let names: Vec<String> = rows.map(|row| row[column].to_string()).collect();
        assert!(names.len() > 1 && names.is_sorted(), "{listing}: {names:?}");
    }
}

#[test]
fn errors_say_once_that_they_are_some() {
    for (sql, expected) in [
        (
            "SELECT * FROM nowhere",
            "Error: table 'datafusion.public.nowhere' not found\n",
        ),
        ("SELECT nothing", "Error: No field named nothing.\n"),
        (
            "SELEC 1",
            "Error: Expected: an SQL statement, found: SELEC at Line: 1, Column: 1\n",
        ),
        (
            "SELECT 'a",
            "Error: Unterminated string literal at Line: 1, Column: 8\n",
        ),
        (
            "SELECT 1/0 FROM (VALUES (1))",
            "Error: Divide by zero error\n",
        ),
        (
            "SET featurize.threads = 'x'",
            "Error: featurize.threads: expected",
        ),
    ] {
        let error = text(&featurize(&["-q", "-c", sql]).stderr);
        assert!(error.starts_with(expected), "{error}");
    }
    let mut script = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut script, b"SELECT 1;\nSELECT nothing").unwrap();
    let path = script.path().display().to_string();
    let error = text(&featurize(&["-q", "-f", &path]).stderr);
    assert_eq!(
        error,
        format!("Error: {path}, line 2: No field named nothing.\n")
    );
}

#[test]
fn notices_are_plain_sentences() {
    let folder = tempfile::tempdir().unwrap();
    let copy = format!(
        "COPY (SELECT 1 AS a) TO '{}/x.csv' STORED AS CSV;",
        folder.path().display()
    );
    let told = text(&featurize(&["--progress", "none", "-c", &copy.repeat(2)]).stderr);
    assert!(
        told.starts_with("Note: '") && told.lines().count() == 1,
        "{told}"
    );
    let fit = "SELECT pca_fit(x, 9, {convention: 'spark'}) IS NULL FROM (VALUES ([1.0]), ([2.0])) AS t(x)";
    let told = text(&featurize(&["-c", fit]).stderr);
    assert!(told.starts_with("Warning: pca_fit: n_components"), "{told}");
}

#[test]
fn plans_fit_the_screen() {
    let sql = "CREATE EXTERNAL TABLE images STORED AS BINARYFILE LOCATION 'examples/fruits/'
        OPTIONS ('recursiveFileLookup' 'true'); ";
    let query = "SELECT split_part(path, '/', -2) AS label, count(*) AS n, \
                 min(image_info(content)['width']) AS width FROM images GROUP BY label ORDER BY n LIMIT 3";
    for explain in ["EXPLAIN", "EXPLAIN ANALYZE", "EXPLAIN FORMAT INDENT"] {
        for columns in [80, 120] {
            let output = in_columns(columns, &["-q", "-c", &format!("{sql}{explain} {query}")]);
            let plan = text(&output.stdout);
            let widest = plan.lines().map(|line| line.chars().count()).max();
            assert!(widest.unwrap() <= columns, "{plan}");
            assert!(plan.contains("FetchExec"), "{plan}");
        }
    }
    // What programs read is whole.
    let plan = featurize(&[
        "-q",
        "--format",
        "csv",
        "-c",
        &format!("{sql}EXPLAIN ANALYZE {query}"),
    ]);
    let widest = text(&plan.stdout).lines().map(str::len).max();
    assert!(widest.unwrap() > 300);
}

#[test]
fn of_a_path_the_label_stays_in_sight() {
    let sql = "CREATE EXTERNAL TABLE images STORED AS BINARYFILE LOCATION 'examples/fruits/'
        OPTIONS ('recursiveFileLookup' 'true');
        SELECT path, \"modificationTime\", range(100) AS features FROM images ORDER BY path LIMIT 2";
    let table = text(&in_columns(80, &["-q", "-c", sql]).stdout);
    assert!(
        table.contains("…/Apple Red/") && table.contains(".jpg |"),
        "{table}"
    );
}

#[test]
fn a_file_is_run_by_its_name_alone() {
    let folder = tempfile::tempdir().unwrap();
    let job = folder.path().join("job.sql").display().to_string();
    std::fs::write(&job, "SELECT 7 AS a").unwrap();
    for arguments in [
        &["-q", "--format", "csv", &job][..],
        &[&job, "-q", "--format", "csv"],
    ] {
        let output = featurize(arguments);
        assert_eq!(text(&output.stdout), "a\n7\n", "{}", text(&output.stderr));
    }
    for (wrong, hint) in [
        ("jobb.sql", "-c 'jobb.sql'"),
        ("SELECT 1", "-c 'SELECT 1'"),
        ("reprot", "did you mean featurize report?"),
    ] {
        let output = featurize(&[wrong]);
        let error = text(&output.stderr);
        assert!(
            error.contains(&format!("'{wrong}' is neither a file nor a command")),
            "{error}"
        );
        assert!(error.contains(hint), "{error}");
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn sql_may_begin_with_a_remark() {
    for sql in ["-- why\nSELECT 7 AS a", "--why\nSELECT 7 AS a"] {
        for option in ["-c", "--command"] {
            let output = featurize(&["--format", "csv", option, sql, "-q"]);
            assert_eq!(text(&output.stdout), "a\n7\n", "{}", text(&output.stderr));
        }
    }
    // What is an option stays one.
    let output = featurize(&["-c", "--quiet"]);
    assert_eq!(output.status.code(), Some(2));
}
