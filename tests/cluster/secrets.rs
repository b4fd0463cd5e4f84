//! Options that may be secrets reach scheduler and executors, and nobody who reads a log, a plan
//! or an answer of the scheduler.

use std::process::Command;

use crate::commit::{create_images_of, s3_with_fruits};
use crate::processes::{Cluster, error, run};
use crate::s3_server::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY};

/// Keys that the server does not know: what is done with them fails.
const WRONG_KEYS: [(&str, &str); 4] = [
    ("AWS_ACCESS_KEY_ID", "AKIDWRONG"),
    ("AWS_SECRET_ACCESS_KEY", "wrong"),
    ("AWS_REGION", REGION),
    ("AWS_EC2_METADATA_DISABLED", "true"),
];

#[tokio::test(flavor = "multi_thread")]
async fn options_of_stores_travel_and_are_shown_nowhere() {
    let server = s3_with_fruits();
    let mut environment = WRONG_KEYS.to_vec();
    environment.push(("RUST_LOG", "trace"));
    let cluster = Cluster::start_with(2, &environment);
    let ctx = cluster.session().await;
    let options = server.options();
    create_images_of(&ctx, &server).await;
    let sql = "SELECT path, sha256(content) AS hash FROM images";
    assert_eq!(run(&ctx, sql).await.num_rows(), 48);
    for format in ["PARQUET", "CSV"] {
        let target = format!("s3://fruits/{format}/");
        for mode in ["append", "overwrite"] {
            let copy = format!(
                "COPY (SELECT path, length FROM images) TO '{target}' STORED AS {format}
                 OPTIONS ('write_mode' '{mode}', {options})"
            );
            run(&ctx, &copy).await;
        }
        // Executors open the store of such a table while they decode the plan.
        let create = format!(
            "CREATE EXTERNAL TABLE {format} STORED AS {format} LOCATION '{target}'
             OPTIONS ({options})"
        );
        run(&ctx, &create).await;
        let sql = format!("SELECT path, length FROM {format} ORDER BY path");
        assert_eq!(run(&ctx, &sql).await.num_rows(), 48);
        run(
            &ctx,
            &format!("INSERT INTO {format} SELECT path, length FROM images"),
        )
        .await;
        assert_eq!(run(&ctx, &sql).await.num_rows(), 96);
    }
    for sql in [
        "EXPLAIN VERBOSE SELECT content FROM images",
        "EXPLAIN ANALYZE SELECT content FROM images",
        "EXPLAIN VERBOSE SELECT path FROM parquet",
        "SHOW ALL",
    ] {
        let text = format!("{:?}", run(&ctx, sql).await);
        assert!(!text.contains(SECRET_ACCESS_KEY), "{sql}: {text}");
    }
    // Objects that rows name, in whichever bucket of the session, by executors that know it from the plan.
    run(&ctx, "CREATE TABLE urls AS SELECT path FROM images").await;
    for sql in [
        "SELECT path FROM urls WHERE md5(read_blob(path)) <> ''",
        "SELECT path FROM urls WHERE CASE WHEN path <> '' THEN read_blob(path) END IS NOT NULL",
    ] {
        assert_eq!(run(&ctx, sql).await.num_rows(), 48, "{sql}");
    }
    // What rows name is no door into the executors' network.
    let message = error(
        &ctx,
        "SELECT read_blob(replace(path, 's3://', 'http://127.0.0.1:1/')) FROM urls",
    )
    .await;
    assert!(
        message.contains("read_blob_local_hosts = true"),
        "{message}"
    );
    // An error that has been to the cluster and back.
    let message = error(
        &ctx,
        "SELECT featurize(content, 'vgg16', '/none.h5') FROM images",
    )
    .await;
    assert!(!message.contains(SECRET_ACCESS_KEY), "{message}");
    for path in [
        "/api/jobs",
        "/api/state",
        "/api/executors",
        "/api/job/1/config",
    ] {
        let answer = cluster.http(path);
        assert!(!answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    }
    for process in cluster.executors.iter().chain([&cluster.scheduler]) {
        let log = process.log();
        assert!(log.contains("DEBUG"), "logging is on");
        for line in log.lines() {
            assert!(!line.contains(SECRET_ACCESS_KEY), "{line}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn executors_find_the_keys_of_their_environment() {
    let server = s3_with_fruits();
    let cluster = Cluster::start_with(
        2,
        &[
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID),
            ("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY),
            ("AWS_REGION", REGION),
            ("AWS_ENDPOINT", &server.endpoint()),
            ("AWS_ALLOW_HTTP", "true"),
        ],
    );
    // The client has them too: the program is one of the cluster's, here.
    let sql = "CREATE EXTERNAL TABLE images STORED AS BINARYFILE LOCATION 's3://fruits/Training/'
               OPTIONS ('pathGlobFilter' '*.jpg', 'recursiveFileLookup' 'true');
               COPY (SELECT path, length, sha256(content) AS hash FROM images)
               TO 's3://fruits/hashes/' STORED AS PARQUET;
               CREATE EXTERNAL TABLE hashes STORED AS PARQUET LOCATION 's3://fruits/hashes/';
               SELECT count(*) AS rows, count(DISTINCT hash) AS hashes FROM hashes";
    let output = cluster.program(&["-q", "--format", "csv", "-c", sql]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.ends_with("rows,hashes\n48,48\n"), "{printed}");
}

/// Nothing is encrypted, so that another machine is only asked, or let in, by who says so.
#[test]
fn other_machines_need_a_word() {
    for arguments in [
        &["scheduler", "--bind-host", "0.0.0.0"][..],
        &["executor", "--bind-host", "10.0.0.9"],
        &["executor", "--scheduler-host", "scheduler.example"],
        &["--remote", "df://10.0.0.9:50050", "-c", "SELECT 1"],
        &["--remote", "df://[2001:db8::1]:50050", "-c", "SELECT 1"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_featurize"))
            .args(arguments)
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{arguments:?}");
        assert!(error.contains("say --insecure"), "{arguments:?}: {error}");
    }
}
