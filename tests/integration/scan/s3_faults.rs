//! Scans of an S3 server that fails: every row comes once, with the right bytes, or an error does.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::SessionContext;
use object_store::{ClientOptions, RetryConfig};
use url::Url;

use super::s3::{create, create_sql};
use super::s3_server::{Failure, Kind, S3Server};
use super::{contents, error, run, session};

const EVERY_FAILURE: [Failure; 6] = [
    Failure::InternalError,
    Failure::SlowDown,
    Failure::Reset,
    Failure::LostAnswer,
    Failure::Truncated,
    Failure::SlowBody,
];

/// The content that identifies the object of this number, of 1 to 5,000 bytes.
fn content(number: usize) -> Vec<u8> {
    let length = 1 + number * 7919 % 5000;
    number
        .to_le_bytes()
        .into_iter()
        .cycle()
        .take(length)
        .collect()
}

/// A server in memory with this many objects in folders of at most 1,100.
fn server(objects: usize) -> S3Server {
    let server = S3Server::in_memory(&["fruits"]);
    for number in 0..objects {
        let key = format!("t/Kind {}/{number:06}.jpg", number / 1100);
        server.put("fruits", &key, content(number));
    }
    server
}

async fn read_everything(ctx: &SessionContext, objects: usize) {
    let found = contents(&run(ctx, "SELECT path, content FROM images").await);
    assert_eq!(found.len(), objects);
    for (path, found) in found {
        let number: usize = path[path.len() - 10..path.len() - 4].parse().unwrap();
        assert_eq!(found, Some(content(number)), "{path}");
    }
}

/// The sum over the partitions of a metric of the scan in `plan`.
fn metric(plan: &Arc<dyn ExecutionPlan>, name: &str) -> usize {
    let own = plan.metrics().and_then(|metrics| metrics.sum_by_name(name));
    let children = plan.children().into_iter().map(|child| metric(child, name));
    own.map_or(0, |value| value.as_usize()) + children.sum::<usize>()
}

async fn five_percent_fail(objects: usize) {
    let server = server(objects);
    server.set_failures(0.05, &[Kind::List, Kind::Get], &EVERY_FAILURE, 20_261_122);
    let ctx = session();
    create(&ctx, "s3://fruits/t/", &server.options()).await;
    read_everything(&ctx, objects).await;
    let expected = objects / 20;
    let injected = server.failures();
    assert!(
        injected > expected / 2 && injected < expected * 2 + 20,
        "{injected}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_comes_once_while_five_percent_of_the_requests_fail() {
    five_percent_fail(1_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_rows_come_once_while_five_percent_of_the_requests_fail() {
    five_percent_fail(10_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_failure_is_survived_and_counted() {
    let objects = 20;
    for failure in EVERY_FAILURE {
        let server = server(objects);
        let ctx = session();
        create(&ctx, "s3://fruits/t/", &server.options()).await;
        server.fail_next(1, Kind::List, "list-type", failure);
        server.fail_next(2, Kind::Get, "000003.jpg", failure);
        server.fail_next(1, Kind::Get, "000007.jpg", failure);
        let frame = ctx.sql("SELECT path, content FROM images").await.unwrap();
        let plan = frame.create_physical_plan().await.unwrap();
        let batches = collect(Arc::clone(&plan), ctx.task_ctx()).await.unwrap();
        assert_eq!(contents(&batches).len(), objects);
        let lost = if failure == Failure::SlowBody { 0 } else { 1 };
        assert_eq!(metric(&plan, "list_retries"), lost, "{failure:?}");
        assert_eq!(metric(&plan, "fetch_retries"), 3 * lost, "{failure:?}");
        // What was only slow is not asked for again.
        assert_eq!(server.failures(), 3 + lost, "{failure:?}");
        assert_eq!(metric(&plan, "files_fetched"), objects);
        server.idle().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_falls_silent_is_asked_again() {
    let server = server(30);
    let ctx = session();
    let options = ClientOptions::new()
        .with_allow_http(true)
        .with_timeout(Duration::from_millis(500));
    let store = server.store("fruits").with_client_options(options);
    let store = Arc::new(store.build().unwrap());
    ctx.register_object_store(&Url::parse("s3://fruits").unwrap(), store);
    server.fail_next(1, Kind::List, "", Failure::Stall);
    server.fail_next(3, Kind::Get, ".jpg", Failure::Stall);
    let sql = "CREATE EXTERNAL TABLE images STORED AS BINARYFILE LOCATION 's3://fruits/t/'
               OPTIONS ('recursiveFileLookup' 'true')";
    run(&ctx, sql).await;
    read_everything(&ctx, 30).await;
    assert_eq!(server.failures(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_always_breaks_off_is_an_error_and_no_short_row() {
    let server = server(5);
    let ctx = session();
    let retry = RetryConfig {
        max_retries: 2,
        ..Default::default()
    };
    let store = server.store("fruits").with_retry(retry).build().unwrap();
    ctx.register_object_store(&Url::parse("s3://fruits").unwrap(), Arc::new(store));
    let sql = "CREATE EXTERNAL TABLE images STORED AS BINARYFILE LOCATION 's3://fruits/t/'
               OPTIONS ('recursiveFileLookup' 'true')";
    run(&ctx, sql).await;
    server.fail_next(1_000, Kind::Get, "000003.jpg", Failure::Truncated);
    let error = error(&ctx, "SELECT content FROM images").await;
    assert!(
        error.contains("could not read 's3://fruits/t/Kind 0/000003.jpg'"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_changes_after_the_listing_is_an_error() {
    let server = server(5);
    let ctx = session();
    create(&ctx, "s3://fruits/t/", &server.options()).await;
    let frame = ctx.sql("SELECT content FROM images").await.unwrap();
    let plan = frame.create_physical_plan().await.unwrap();
    server.put("fruits", "t/Kind 0/000003.jpg", b"shorter".as_slice());
    let error = collect(plan, ctx.task_ctx()).await.unwrap_err().to_string();
    assert!(
        error.contains("'s3://fruits/t/Kind 0/000003.jpg' has 7 bytes but"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_vanishes_after_the_listing_is_an_error_or_left_out() {
    for ignore in [false, true] {
        let server = server(5);
        let ctx = session();
        let options = format!("{}, 'ignoreMissingFiles' '{ignore}'", server.options());
        create(&ctx, "s3://fruits/t/", &options).await;
        let frame = ctx.sql("SELECT path, content FROM images").await.unwrap();
        let plan = frame.create_physical_plan().await.unwrap();
        server.remove("fruits", "t/Kind 0/000003.jpg");
        let result = collect(Arc::clone(&plan), ctx.task_ctx()).await;
        if ignore {
            assert_eq!(contents(&result.unwrap()).len(), 4);
            assert_eq!(metric(&plan, "files_skipped"), 1);
        } else {
            let error = result.unwrap_err().to_string();
            assert!(
                error.contains("'s3://fruits/t/Kind 0/000003.jpg'"),
                "{error}"
            );
            assert!(error.contains("ignoreMissingFiles"), "{error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_of_more_than_a_page_are_listed_whole() {
    let server = server(2_500);
    let ctx = session();
    create(&ctx, "s3://fruits/t/", &server.options()).await;
    let sql = "SELECT count(*), count(DISTINCT path), sum(length) FROM images";
    for failures in [0.0, 0.3] {
        server.set_failures(failures, &[Kind::List], &EVERY_FAILURE, 7);
        let row = &run(&ctx, sql).await[0];
        let value = |column: usize| row.column(column).as_primitive::<Int64Type>().value(0);
        let bytes: usize = (0..2_500).map(|number| content(number).len()).sum();
        assert_eq!((value(0), value(1), value(2)), (2_500, 2_500, bytes as i64));
    }
    assert_eq!(server.requests(Kind::Get), 0);
    // A folder without folders is listed page by page too.
    let sql = create_sql("s3://fruits/t/Kind 0/", &server.options()).replace("images", "flat");
    run(&ctx, &sql.replace("'recursiveFileLookup' 'true',", "")).await;
    let row = &run(&ctx, "SELECT count(DISTINCT path) FROM flat").await[0];
    assert_eq!(row.column(0).as_primitive::<Int64Type>().value(0), 1_100);
}
