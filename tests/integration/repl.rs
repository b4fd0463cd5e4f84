//! The prompt, in a terminal.

#![cfg(target_os = "linux")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use crate::scan::s3_server::{Kind, S3Server, SECRET_ACCESS_KEY};

mod terminal;

use self::terminal::Terminal;

const UP: &str = "\x1b[A";

fn history(home: &Path) -> String {
    std::fs::read_to_string(home.join(".featurize_history")).unwrap()
}

#[test]
fn what_is_typed_ahead_runs_in_order() {
    let home = tempfile::tempdir().unwrap();
    let mut terminal = Terminal::start(home.path());
    // At once, then while the first of them runs; a tab, as pasted text has them, indents.
    terminal.send(
        "SELECT count(*) AS n FROM generate_series(1, 5000000);\nSELECT nonsense;\n\
         SELECT 2\n\tAS second;\n\n-- A remark.\n",
    );
    terminal.send("SELEC 3;\nSELECT 'a\nb' = concat('a', chr(10), 'b') AS same; -- done\n");
    terminal.send("SELECT 4 AS fourth; SELECT wrong; SELECT 5\n;\n\\q\n");
    for result in [
        "| 5000000 |",
        "No field named nonsense",
        "| 2      |",
        "SELEC",
        "| true |",
        "| 4      |",
        "No field named wrong",
        "| 5        |",
    ] {
        terminal.expect(result);
    }
    terminal.end();
}

#[test]
fn a_line_that_goes_on_says_what_is_missing() {
    let home = tempfile::tempdir().unwrap();
    let mut terminal = Terminal::start(home.path());
    terminal.send("SELECT 1\n");
    terminal.expect("\x1b[90m.\x1b[0m ");
    terminal.expect("; ends the statement");
    terminal.send("AS n, 'it\n");
    terminal.expect("Unterminated string literal");
    terminal.send("s' AS t;\n");
    terminal.expect("| 1 | it |");
    // What is dropped is not run; remarks are, of course, nothing to run.
    terminal.send("SELECT 2\n");
    terminal.expect("; ends the statement");
    terminal.send("\x03");
    terminal.expect("^C");
    terminal.send("SELECT 3 AS n;\n");
    let shown = terminal.expect("| 3 |");
    assert!(!shown.contains("SELECT 2"), "{shown}");
    // No key makes the remarks a part of the line.
    terminal.send("\x1b[C\x05SELECT 4 AS n;\n");
    terminal.expect("| 4 |");
}

#[test]
fn tab_completes_and_never_takes_back() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("my first.sql"), "SELECT 'script' AS it").unwrap();
    let mut terminal = Terminal::start(home.path());
    for (typed, shown) in [
        (
            "CREATE TABLE imagined AS SELECT 7 AS \"modificationTime\", 8 AS b;\n",
            "1 row(s) created",
        ),
        // Keywords, columns and tables.
        ("SEL\t\tmodif\t\t FR\timag\t\t;\n", "| 7                |"),
        // Of a table that is named behind the cursor, by its other name.
        (
            "sel\t FROM imagined AS i;\x01\x1bf i.modif\t\t\n",
            "| 7                |",
        ),
        // A tab between words that are complete, as in pasted text.
        ("SELECT b FROM\timagined\tWHERE true;\n", "| 8 |"),
        // Functions, settings, formats.
        ("SELECT image_inf\t\tNULL) IS NULL AS yes;\n", "| true |"),
        (
            "SHOW featurize.scan_batch_r\t\t;\n",
            "featurize.scan_batch_rows",
        ),
        ("\\h featurize_mod\t\t\n", "featurize_model_info("),
        // Files, options and their values.
        (
            "CREATE EXTERNAL TABLE t STORED AS BIN\t\t LOCATION 'examples/fruits/Lem\t\t' \
             OPTIONS ('pathGl\t\t*.jpg', 'recursiveF\t\ttr\t\t');\n",
            "Elapsed",
        ),
        ("SELECT count(*) AS n FROM t;\n", "| 6 |"),
        (
            "COPY (SELECT 9 AS n) TO '~/x.csv' STORED AS CSV OPTIONS ('write_m\toverw\t', 'format.has_h\tfalse');\n",
            "| 1     |",
        ),
        // Names of scripts, with what must be escaped in them.
        ("\\i ~/my\t\n", "| script |"),
        ("\\i '~/my\t'\n", "| script |"),
        // Of several names what they have in common, then a list of them.
        ("SHOW featurize.w\t\t", "featurize.weights_dir"),
        (";\n", "featurize.weights "),
    ] {
        terminal.send(typed);
        terminal.expect(shown);
    }
    terminal.send("\\q\n");
    terminal.end();
    assert_eq!(
        std::fs::read_to_string(home.path().join("x.csv")).unwrap(),
        "9\n"
    );
}

#[test]
fn tab_completes_folders_of_stores_that_the_session_has_opened() {
    let server = S3Server::in_memory(&["fruits"]);
    for key in ["Training/Lemon/a.jpg", "Training/Lime/b.jpg", "Trash/c.jpg"] {
        server.put("fruits", key, vec![1]);
    }
    let home = tempfile::tempdir().unwrap();
    let mut terminal = Terminal::start(home.path());
    let options = server.options();
    // A bucket that nothing is known of is not asked for anything.
    terminal.send("SELECT 1 FROM 's3://fruits/Tra\t\t");
    terminal.send("\x03");
    terminal.expect("^C");
    assert_eq!(server.requests(Kind::List), 0);
    terminal.send(&format!(
        "CREATE EXTERNAL TABLE t STORED AS BINARYFILE LOCATION 's3://fruits/Trash/' OPTIONS ({options});\n"
    ));
    terminal.expect("Elapsed");
    terminal.send(
        "CREATE EXTERNAL TABLE l STORED AS BINARYFILE LOCATION 's3://fr\tTr\tini\tLem\t\t';\n",
    );
    terminal.expect("Elapsed");
    terminal.send("SELECT path FROM l;\n");
    terminal.expect("| s3://fruits/Training/Lemon/a.jpg |");
    // A store that does not answer is not waited for.
    server.set_latency(Duration::from_secs(3600));
    terminal.send("SELECT 1 FROM 's3://fruits/Tra\t");
    terminal.expect("\x07");
    server.set_latency(Duration::ZERO);
}

/// Of any table, and nothing of it stays on the screen.
#[test]
fn a_listing_is_shown_until_it_ends() {
    let server = S3Server::in_memory(&["fruits"]);
    server.put("fruits", "Lemon/a.jpg", vec![1]);
    server.put("fruits", "csv/a.csv", "a\n1\n");
    server.set_latency(Duration::from_millis(1500));
    let home = tempfile::tempdir().unwrap();
    let mut terminal = Terminal::with_progress(home.path(), &[], "auto");
    for (format, folder) in [("BINARYFILE", "Lemon"), ("CSV", "csv")] {
        let options = server.options();
        terminal.send(&format!(
            "CREATE EXTERNAL TABLE {folder} STORED AS {format} LOCATION 's3://fruits/{folder}/' OPTIONS ({options});\n"
        ));
        terminal.expect(" listing");
        // It would push the listing from its place.
        terminal.send("SELECT 'ahead' AS a;\n");
        let shown = terminal.expect_raw("Elapsed");
        let (_, behind) = shown.rsplit_once(" listing").unwrap_or(("", &shown));
        assert!(behind.contains("\x1b[2K"), "stays: {shown:?}");
        assert!(!shown.contains("ahead"), "{shown:?}");
        terminal.expect("| ahead |");
    }
}

#[test]
fn the_history_is_written_at_each_statement_and_holds_no_secret() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join(".featurize_history");
    // As older versions have left it.
    let old = format!(
        "#V2\nSELECT 0;\nCREATE EXTERNAL TABLE t STORED AS CSV LOCATION 's3://b/'\\nOPTIONS \
         ('aws.secret_access_key' '{SECRET_ACCESS_KEY}', 'aws.region' 'here');\n"
    );
    std::fs::write(&file, old).unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
    let mut terminal = Terminal::start(home.path());
    let kept = history(home.path());
    assert!(kept.contains("SELECT 0;"), "{kept}");
    assert!(
        kept.contains("'aws.secret_access_key' '***', 'aws.region' 'here'"),
        "{kept}"
    );
    assert!(!kept.contains("hush"), "{kept}");
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    terminal.send(&format!(
        "CREATE EXTERNAL TABLE t STORED AS BINARYFILE LOCATION 's3://b/'\nOPTIONS ('aws.access_key_id' \
         '{SECRET_ACCESS_KEY}', 'aws.secret_access_key' '{SECRET_ACCESS_KEY}', 'aws.allow_http' 'true', \
         'aws.endpoint' 'http://127.0.0.1:9');\n"
    ));
    terminal.expect("\x1b[?2004h");
    let kept = history(home.path());
    assert!(
        kept.contains("'aws.secret_access_key' '***', 'aws.allow_http' 'true'"),
        "{kept}"
    );
    assert!(!kept.contains("hush"), "{kept}");
    // Nor is it in memory; and what lacks it is not run, lest the stars be taken for the secret.
    terminal.send(&format!("{UP}\n"));
    let shown = terminal.expect("'***' stands for a secret");
    assert!(!shown.contains("hush"), "{shown}");

    // The window is closed.
    terminal.send("SELECT 'last' AS it;\n");
    terminal.expect("| last |");
    drop(terminal);
    assert!(history(home.path()).ends_with("SELECT 'last' AS it;\n"));
}

#[test]
fn long_help_is_shown_a_screen_at_a_time() {
    let home = tempfile::tempdir().unwrap();
    let mut terminal = Terminal::with(home.path(), &[("PAGER", "sed 's/^/paged: /'")]);
    terminal.send("\\h set\n");
    let shown = terminal.expect("SHOW ALL");
    assert!(!shown.contains("paged"), "{shown}");
    terminal.send("\\h copy\n");
    terminal.expect("paged: COPY");
    drop(terminal);
    for none in ["no-such-program", ""] {
        let mut terminal = Terminal::with(home.path(), &[("PAGER", none)]);
        terminal.send("\\h binaryfile\n");
        terminal.expect("pathGlobFilter");
    }
}

#[test]
fn ctrl_c_also_drops_what_is_typed_ahead() {
    let home = tempfile::tempdir().unwrap();
    let mut terminal = Terminal::start(home.path());
    let endless = "SELECT count(*) FROM generate_series(1, 1000000000000)";
    terminal.send(&format!("{endless};\nSELECT 'never' AS n;\n"));
    // The line has been read.
    terminal.expect("\x1b[?2004l");
    terminal.send("\x03");
    terminal.expect("^C");
    terminal.send("SELECT 'next' AS n;\n\\q\n");
    let shown = terminal.expect("| next |");
    assert!(!shown.contains("| never |"), "{shown}");
    terminal.end();
}
