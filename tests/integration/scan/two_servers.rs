//! Two servers have a bucket of one name; the statements name one of them, the environment the other.

use std::process::{Command, Output};

use super::s3_server::{ACCESS_KEY_ID, Kind, REGION, S3Server, SECRET_ACCESS_KEY};

/// The program, in an environment that names `server` in every way there is.
fn featurize(server: &S3Server, statements: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_featurize"));
    program.args(["-q", "--format", "csv"]);
    for sql in statements {
        program.args(["-c", sql]);
    }
    program
        .env("AWS_ENDPOINT_URL", server.endpoint())
        .env("AWS_ENDPOINT_URL_S3", server.endpoint())
        .env("AWS_ALLOW_HTTP", "true")
        .env("AWS_REGION", REGION)
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
        .env("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn requests(server: &S3Server) -> usize {
    let kinds = [Kind::List, Kind::Get, Kind::Head, Kind::Put, Kind::Delete];
    kinds.into_iter().map(|kind| server.requests(kind)).sum()
}

fn servers() -> (S3Server, S3Server) {
    let servers = (
        S3Server::on_disk(&["fruits"]),
        S3Server::on_disk(&["fruits"]),
    );
    for server in [&servers.0, &servers.1] {
        server.put("fruits", "t/x.jpg", b"content".as_slice());
        server.put("fruits", "csv/x.csv", b"a\n1\n".as_slice());
        server.put("fruits", "json/x.json", b"{\"a\": 1}\n".as_slice());
    }
    servers
}

fn create(name: &str, format: &str, folder: &str, options: &str) -> String {
    let options = match options {
        "" => String::new(),
        options => format!("OPTIONS ({options})"),
    };
    format!(
        "CREATE EXTERNAL TABLE {name} STORED AS {format} LOCATION 's3://fruits/{folder}/' {options}"
    )
}

#[test]
fn every_statement_goes_where_the_first_one_said() {
    let (named, other) = servers();
    let output = featurize(
        &other,
        &[
            &create("images", "BINARYFILE", "t", &named.options()),
            "COPY (SELECT path, length FROM images) TO 's3://fruits/a/x.parquet' STORED AS PARQUET",
            "COPY images TO 's3://fruits/b/' STORED AS CSV OPTIONS ('write_mode' 'overwrite')",
            "COPY (SELECT path FROM images) TO 's3://fruits/j/x.json' STORED AS JSON",
            "EXPLAIN COPY (SELECT 1) TO 's3://fruits/e/x.csv' STORED AS CSV",
            &create("p", "PARQUET", "a", ""),
            &create("c", "CSV", "b", ""),
            &create("j", "JSON", "j", ""),
            &create("again", "BINARYFILE", "t", ""),
            "INSERT INTO p SELECT path, length FROM images",
            "CREATE TABLE m AS SELECT * FROM 's3://fruits/a/x.parquet'",
            "SELECT count(content) AS n FROM images",
            "SELECT count(*) AS n FROM 's3a://fruits/a/x.parquet'",
            "SELECT (SELECT count(*) FROM p) AS p, (SELECT count(*) FROM c) AS c,
                    (SELECT count(*) FROM j) AS j, (SELECT count(*) FROM m) AS m",
        ],
    );
    assert!(output.status.success(), "{}", text(&output.stderr));
    let printed = text(&output.stdout);
    assert!(
        printed.ends_with("n\n1\nn\n1\np,c,j,m\n2,1,1,1\n"),
        "{printed}"
    );
    assert_eq!(requests(&other), 0);
}

#[test]
fn options_of_every_format_go_before_the_environment() {
    let (named, other) = servers();
    for (format, folder) in [("CSV", "csv"), ("JSON", "json"), ("BINARYFILE", "csv")] {
        let create = create("t", format, folder, &named.options());
        let output = featurize(&other, &[&create, "SELECT count(*) AS n FROM t"]);
        assert_eq!(
            text(&output.stdout),
            "n\n1\n",
            "{format}: {}",
            text(&output.stderr)
        );
    }
    let copy = format!(
        "COPY (SELECT 1 AS a) TO 's3://fruits/out/x.json' STORED AS JSON OPTIONS ({})",
        named.options()
    );
    let output = featurize(&other, &[&copy, "SELECT * FROM 's3://fruits/out/x.json'"]);
    assert_eq!(
        text(&output.stdout),
        "count\n1\na\n1\n",
        "{}",
        text(&output.stderr)
    );
    assert_eq!(requests(&other), 0);

    // Without options, it is the environment that is asked.
    named.reset_counters();
    let select = "SELECT count(*) AS n FROM 's3://fruits/csv/x.csv'";
    let output = featurize(&other, &[select]);
    assert_eq!(text(&output.stdout), "n\n1\n", "{}", text(&output.stderr));
    assert_eq!(requests(&named), 0);
    assert!(requests(&other) > 0);
}

#[test]
fn a_bucket_in_use_is_not_moved() {
    let (named, other) = servers();
    let first = create("a", "BINARYFILE", "t", &named.options());
    let region = format!("'aws.region' '{REGION}'");
    let no_keys = named.endpoint_options();
    for (options, what) in [
        (other.options(), "another 'aws.endpoint'"),
        (region, "another 'aws.endpoint'"),
        (no_keys, "lack the credentials"),
    ] {
        for format in ["BINARYFILE", "CSV", "JSON"] {
            let second = create("b", format, "csv", &options);
            let output = featurize(&other, &[&first, &second]);
            let error = text(&output.stderr);
            assert!(
                error.contains("'s3://fruits' is in use") && error.contains(what),
                "{error}"
            );
            assert!(!error.contains(SECRET_ACCESS_KEY), "{error}");
            assert_eq!(output.status.code(), Some(1));
        }
    }
    assert_eq!(requests(&other), 0);

    // Nor is one that the environment opened.
    let select = "SELECT count(*) AS n FROM 's3://fruits/csv/x.csv'";
    named.reset_counters();
    let output = featurize(&other, &[select, &first]);
    assert!(
        text(&output.stderr).contains("is in use"),
        "{}",
        text(&output.stderr)
    );
    assert_eq!(requests(&named), 0);
}

#[test]
fn credentials_may_be_renewed_and_mistakes_corrected() {
    let (named, other) = servers();
    let first = create("a", "BINARYFILE", "t", &named.options());
    let renewed = create("b", "CSV", "csv", &named.options());
    let output = featurize(
        &other,
        &[&first, &renewed, "SELECT count(content) AS n FROM a"],
    );
    assert_eq!(text(&output.stdout), "n\n1\n", "{}", text(&output.stderr));
    assert_eq!(requests(&other), 0);

    // A token of the environment belongs to the keys of the environment.
    let output = Command::new(env!("CARGO_BIN_EXE_featurize"))
        .args([
            "-q",
            "--format",
            "csv",
            "-c",
            &first,
            "-c",
            "SELECT count(content) AS n FROM a",
        ])
        .env("AWS_SESSION_TOKEN", "of-other-keys")
        .output()
        .unwrap();
    assert_eq!(text(&output.stdout), "n\n1\n", "{}", text(&output.stderr));

    // A prompt goes on after an error: so does this session, in one process.
    let wrong =
        create("a", "BINARYFILE", "t", &other.options()).replace(SECRET_ACCESS_KEY, "wrong");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let ctx = super::session();
        super::error(&ctx, &wrong).await;
        super::run(&ctx, &first).await;
        super::run(&ctx, "SELECT content FROM a").await;
    });
}
