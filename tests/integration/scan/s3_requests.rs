//! What a scan asks of an S3 server, and that it stops asking when nobody listens any more.

use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use datafusion::prelude::SessionContext;
use futures::StreamExt;

use super::s3::{create, create_sql};
use super::s3_server::{Kind, S3Server};
use super::{run, session};

async fn images(objects: usize) -> (S3Server, SessionContext) {
    let server = S3Server::in_memory(&["fruits"]);
    for number in 0..objects {
        let key = format!("t/Kind {}/{number:04}.jpg", number % 7);
        server.put("fruits", &key, vec![number as u8; 100 + number]);
    }
    let ctx = session();
    create(&ctx, "s3://fruits/t/", &server.options()).await;
    (server, ctx)
}

fn rows(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_costs_no_get() {
    let (server, ctx) = images(300).await;
    run(&ctx, "SELECT count(*) FROM images").await;
    let found = run(&ctx, "SELECT path, length FROM images WHERE length > 350").await;
    assert_eq!(rows(&found), 49);
    run(
        &ctx,
        "SELECT split_part(path, '/', -2) AS kind, sum(length) FROM images GROUP BY kind",
    )
    .await;
    assert_eq!(server.requests(Kind::Get) + server.requests(Kind::Head), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_gets_no_more_than_one_batch() {
    let (server, ctx) = images(300).await;
    for (sql, most) in [
        ("SELECT content FROM images LIMIT 10", 10),
        (
            "SELECT path, content FROM images ORDER BY path LIMIT 10",
            64,
        ),
        (
            "SELECT content FROM images WHERE path LIKE '%/Kind 3/%' LIMIT 10",
            10,
        ),
    ] {
        server.reset_counters();
        assert_eq!(rows(&run(&ctx, sql).await), 10, "{sql}");
        assert!(
            server.requests(Kind::Get) <= most,
            "{sql}: {}",
            server.requests(Kind::Get)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_flight_reach_the_setting() {
    let (server, ctx) = images(80).await;
    // Long enough that also a busy machine sends forty requests before the first is answered.
    server.set_latency(Duration::from_millis(800));
    run(&ctx, "SET featurize.scan_concurrency = 40").await;
    server.reset_counters();
    run(&ctx, "SELECT content FROM images").await;
    // The server counts a request until it has sent the last byte, which is after the client has
    // read it; so for a moment there may be more than the client knows of.
    let most = server.most_in_flight();
    assert!((35..60).contains(&most), "{most}");
}

/// Waits for the server to have nothing to do, and makes sure that it stays so.
async fn assert_quiet(server: &S3Server) {
    let requests = || [Kind::List, Kind::Get, Kind::Head].map(|kind| server.requests(kind));
    // What was on its way when the query ended may arrive a little later, on a busy machine.
    let mut is_quiet = false;
    for _ in 0..5 {
        server.idle().await;
        let before = requests();
        tokio::time::sleep(Duration::from_millis(300)).await;
        is_quiet = requests() == before;
        if is_quiet {
            break;
        }
    }
    assert!(is_quiet, "requests go on: {:?}", requests());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_is_dropped_leaves_no_request_running() {
    let (server, ctx) = images(400).await;
    server.set_latency(Duration::from_millis(100));
    let frame = ctx.sql("SELECT content FROM images").await.unwrap();
    let mut stream = frame.execute_stream().await.unwrap();
    assert!(stream.next().await.unwrap().unwrap().num_rows() > 0);
    assert!(server.in_flight() > 0);
    drop(stream);
    assert_quiet(&server).await;
    assert!(server.requests(Kind::Get) < 400);

    // While it lists, a query is a plan in the making.
    let planning = ctx.sql("SELECT count(*) FROM images").await.unwrap();
    let counted = tokio::time::timeout(Duration::from_millis(50), planning.collect()).await;
    assert!(counted.is_err());
    assert_quiet(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_analyze_shows_what_the_network_did() {
    let (server, ctx) = images(300).await;
    server.set_latency(Duration::from_millis(10));
    let sql = "EXPLAIN ANALYZE SELECT content FROM images WHERE length >= 300";
    let text = pretty_format_batches(&run(&ctx, sql).await)
        .unwrap()
        .to_string();
    for metric in [
        "files_listed=300",
        "files_pruned=200",
        "files_fetched=100",
        "files_skipped=0",
        "list_retries=0",
        "fetch_retries=0",
        "bytes_fetched=",
        "peak_buffered_bytes=",
        "request_time=",
        "network_wait_time=",
    ] {
        assert!(text.contains(metric), "{metric} is missing: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_by_path_needs_no_sort() {
    let (server, ctx) = images(300).await;
    let sql = "SELECT path, content FROM images ORDER BY path";
    let plan = run(&ctx, &format!("EXPLAIN FORMAT INDENT {sql}")).await;
    let plan = pretty_format_batches(&plan).unwrap().to_string();
    assert!(!plan.contains("SortExec"), "{plan}");
    let found = run(&ctx, sql).await;
    let paths: Vec<String> = found
        .iter()
        .flat_map(|batch| {
            let paths = batch.column(0);
            let paths = datafusion::common::cast::as_string_array(paths).unwrap();
            paths
                .iter()
                .map(|path| path.unwrap().to_owned())
                .collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(paths.len(), 300);
    assert!(paths.is_sorted());

    // Two locations are not in order, one after the other.
    let sql = create_sql("s3://fruits/t/Kind 3/", &server.options());
    let sql = sql.replace("images", "two").replace(
        "LOCATION 's3://fruits/t/Kind 3/'",
        "LOCATION ('s3://fruits/t/Kind 3/', 's3://fruits/t/Kind 1/')",
    );
    run(&ctx, &sql).await;
    let plan = run(
        &ctx,
        "EXPLAIN FORMAT INDENT SELECT path, content FROM two ORDER BY path",
    )
    .await;
    let plan = pretty_format_batches(&plan).unwrap().to_string();
    assert!(plan.contains("SortExec"), "{plan}");
}
