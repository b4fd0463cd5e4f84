//! `read_blob` and `try_read_blob`: which objects are asked for, when, and what comes of them.

mod web;

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use datafusion::physical_plan::{ExecutionPlan, collect, displayable};
use datafusion::prelude::SessionContext;
use datafusion_featurize::progress::ProgressMonitor;

use crate::counting_store::CountingStore;
use crate::scan::s3_server::{Failure, Kind, S3Server};
use crate::scan::{error, run, session};

/// The content that identifies the object of this number, of 0 to 5,000 bytes.
fn content(number: usize) -> Vec<u8> {
    let bytes = number.to_le_bytes().into_iter().cycle();
    bytes.take(number * 7919 % 5001).collect()
}

/// A table `photos` with the columns `number` and `url`.
fn photos(ctx: &SessionContext, urls: impl IntoIterator<Item = Option<String>>) {
    let urls: ArrayRef = Arc::new(StringArray::from_iter(urls));
    let numbers: ArrayRef = Arc::new(arrow::array::Int64Array::from_iter_values(
        0..urls.len() as i64,
    ));
    let batch = RecordBatch::try_from_iter([("number", numbers), ("url", urls)]).unwrap();
    ctx.deregister_table("photos").unwrap();
    ctx.register_batch("photos", batch).unwrap();
}

/// A session with `count` objects in memory, and their addresses in `photos`.
async fn counted(count: usize) -> (Arc<CountingStore>, SessionContext) {
    let ctx = session();
    // Their order is that of one partition.
    run(&ctx, "SET datafusion.execution.target_partitions = 1").await;
    let objects = (0..count).map(|number| (format!("t/{number}.jpg"), content(number)));
    let store = CountingStore::register(&ctx, objects).await;
    photos(
        &ctx,
        (0..count).map(|n| Some(format!("s3://counted/t/{n}.jpg"))),
    );
    (store, ctx)
}

fn number(batches: &[RecordBatch]) -> i64 {
    let column = batches[0].column(0);
    column
        .as_primitive::<arrow::datatypes::Int64Type>()
        .value(0)
}

/// Checks that `sql`, which selects `number` and the bytes, has every number of `expected` in its order.
async fn check(ctx: &SessionContext, sql: &str, expected: impl IntoIterator<Item = usize>) {
    let mut expected = expected.into_iter();
    for batch in run(ctx, sql).await {
        let numbers = batch
            .column(0)
            .as_primitive::<arrow::datatypes::Int64Type>();
        let blobs = batch.column(1).as_binary_view();
        for (number, blob) in numbers.iter().zip(blobs.iter()) {
            let number = number.unwrap() as usize;
            assert_eq!(Some(number), expected.next(), "{sql}");
            assert_eq!(blob, Some(&*content(number)), "{sql}: {number}");
        }
    }
    assert_eq!(expected.next(), None, "{sql}");
}

/// The sum over the operators of a metric of `plan`.
fn metric(plan: &Arc<dyn ExecutionPlan>, name: &str) -> usize {
    let own = plan.metrics().and_then(|metrics| metrics.sum_by_name(name));
    let children = plan.children().into_iter().map(|child| metric(child, name));
    own.map_or(0, |value| value.as_usize()) + children.sum::<usize>()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bar_counts_the_objects_that_are_read() {
    let (_store, ctx) = counted(40).await;
    for (filter, total) in [("", Some(40)), ("WHERE number % 7 < 6", None)] {
        let sql = format!("SELECT encode(read_blob(url), 'hex') FROM photos {filter}");
        let plan = ctx.sql(&sql).await.unwrap();
        let plan = plan.create_physical_plan().await.unwrap();
        let monitor = ProgressMonitor::new(Arc::clone(&plan));
        let rows = collect(plan, ctx.task_ctx()).await.unwrap();
        let rows: u64 = rows.iter().map(|batch| batch.num_rows() as u64).sum();
        let progress = monitor.progress();
        assert_eq!(progress.total, total, "{filter}");
        assert_eq!((progress.read, progress.files_fetched), (rows, rows));
        assert!(progress.bytes_fetched > 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_may_stand_anywhere_and_asks_for_what_it_needs() {
    let (store, ctx) = counted(300).await;
    let size = "octet_length(encode(read_blob(url), 'hex'))";
    for (sql, gets) in [
        (format!("SELECT sum({size}) FROM photos"), 300),
        // Once for the same call.
        (
            format!("SELECT sum({size}), min({size}), max(number) FROM photos"),
            300,
        ),
        (format!("SELECT count(*) FROM photos WHERE {size} > 0"), 300),
        // What can be told without them is told before.
        (
            format!("SELECT count(*) FROM photos WHERE {size} >= 0 AND number < 20"),
            20,
        ),
        (
            format!("SELECT count(*) FILTER (WHERE {size} > 0) FROM photos"),
            300,
        ),
        (
            format!("SELECT count(*) FROM photos GROUP BY {size} > 0"),
            300,
        ),
        (
            "SELECT count(DISTINCT read_blob(url)) FROM photos".to_owned(),
            300,
        ),
        (
            format!("SELECT number FROM (SELECT number, {size} AS s FROM photos) WHERE s > 0"),
            300,
        ),
        // Only for the rows that come to it.
        (
            format!("SELECT sum(CASE WHEN number < 7 THEN {size} END) FROM photos"),
            7,
        ),
        (
            format!("SELECT count(*) FROM photos WHERE number < 7 AND (number < 0 OR {size} > 0)"),
            7,
        ),
        (
            "SELECT number FROM photos WHERE number < 5 UNION ALL
          SELECT length(encode(read_blob(url), 'hex')) FROM photos WHERE number < 5"
                .to_owned(),
            5,
        ),
        (
            "SELECT number FROM photos WHERE read_blob(url) IN
          (SELECT read_blob(url) FROM photos WHERE number = 1)"
                .to_owned(),
            301,
        ),
        (
            "SELECT a.number FROM photos a JOIN photos b ON read_blob(a.url) = read_blob(b.url)
          WHERE b.number < 10"
                .to_owned(),
            310,
        ),
        (
            "SELECT (SELECT max(read_blob(url)) FROM photos)".to_owned(),
            300,
        ),
        // What nobody wants is not asked for.
        (
            "SELECT count(*) FROM (SELECT number, read_blob(url) FROM photos)".to_owned(),
            0,
        ),
        ("SELECT read_blob(url) FROM photos LIMIT 10".to_owned(), 10),
        (
            "SELECT read_blob(url) FROM (SELECT * FROM photos ORDER BY number LIMIT 10)".to_owned(),
            10,
        ),
        (
            "SELECT read_blob(uri => 's3://counted/t/1.jpg')".to_owned(),
            1,
        ),
        (
            "EXPLAIN SELECT read_blob('s3://counted/t/1.jpg')".to_owned(),
            0,
        ),
    ] {
        let before = store.gets();
        run(&ctx, &sql).await;
        assert_eq!(store.gets() - before, gets, "{sql}");
    }
    // Evaluated by several operators, each for itself.
    for sql in [
        format!("SELECT number FROM photos ORDER BY {size}, number"),
        "SELECT rank() OVER (ORDER BY md5(read_blob(url))) FROM photos".to_owned(),
    ] {
        let rows: usize = run(&ctx, &sql)
            .await
            .iter()
            .map(RecordBatch::num_rows)
            .sum();
        assert_eq!(rows, 300, "{sql}");
    }
    let values = "SELECT count(x) FROM (VALUES (read_blob('s3://counted/t/1.jpg'))) AS v(x)";
    assert_eq!(number(&run(&ctx, values).await), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_keep_their_order_and_null_is_null() {
    let (_, ctx) = counted(300).await;
    check(&ctx, "SELECT number, read_blob(url) FROM photos", 0..300).await;
    let sql = "SELECT number, read_blob(url) FROM photos WHERE octet_length(encode(read_blob(url), 'hex')) > 0";
    check(&ctx, sql, 1..300).await;
    let sql = "SELECT number, read_blob(url) FROM photos ORDER BY number DESC LIMIT 5";
    check(&ctx, sql, (295..300).rev()).await;
    let urls = (0..9).map(|n| (n % 3 > 0).then(|| format!("s3://counted/t/{n}.jpg")));
    let ctx = {
        photos(&ctx, urls);
        ctx
    };
    let sql = "SELECT count(*) - count(read_blob(url)) FROM photos";
    assert_eq!(number(&run(&ctx, sql).await), 3);
    let sql = "SELECT count(read_blob(CAST(NULL AS VARCHAR))) FROM photos";
    assert_eq!(number(&run(&ctx, sql).await), 0);
}

/// Rows wait for earlier ones, and batches for rows: with budgets that hold two objects or none, nothing
/// may wait in a circle.
#[tokio::test(flavor = "multi_thread")]
async fn budgets_of_any_size_lead_to_the_end() {
    for (bytes, rows, concurrency) in [(1, 1, 1), (1, 64, 64), (4000, 3, 16), (6000, 64, 5)] {
        let (_, ctx) = counted(200).await;
        run(&ctx, &format!("SET featurize.scan_batch_bytes = {bytes}")).await;
        run(&ctx, &format!("SET featurize.scan_batch_rows = {rows}")).await;
        run(
            &ctx,
            &format!("SET featurize.scan_concurrency = {concurrency}"),
        )
        .await;
        let sql = "SELECT number, read_blob(url) FROM photos";
        let all = tokio::time::timeout(Duration::from_secs(60), check(&ctx, sql, 0..200));
        assert!(all.await.is_ok(), "{bytes} {rows} {concurrency}");
        // With wide rows of the input, which count too.
        let sql = "SELECT number, read_blob(url) FROM
                   (SELECT number, url, repeat('x', 3000) AS wide, read_blob(url) AS b FROM photos)
                   WHERE length(wide) > 0 AND b IS NOT NULL OR number < 0";
        let all = tokio::time::timeout(Duration::from_secs(60), check(&ctx, sql, 0..200));
        assert!(all.await.is_ok(), "wide, {bytes} {rows} {concurrency}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_ahead_is_bounded_by_bytes() {
    let ctx = session();
    let length = |number: usize| 1000 + number % 10 * 30_000;
    let objects = (0..300).map(|number| (format!("t/{number}"), vec![7; length(number)]));
    let store = CountingStore::register(&ctx, objects).await;
    photos(&ctx, (0..300).map(|n| Some(format!("s3://counted/t/{n}"))));
    run(&ctx, "SET featurize.scan_batch_bytes = 500000").await;
    let sql = "SELECT sum(octet_length(encode(read_blob(url), 'hex'))) / 2 FROM photos";
    let plan = ctx
        .sql(sql)
        .await
        .unwrap()
        .create_physical_plan()
        .await
        .unwrap();
    let found = collect(Arc::clone(&plan), ctx.task_ctx()).await.unwrap();
    assert_eq!(number(&found), (0..300).map(length).sum::<usize>() as i64);
    assert_eq!(metric(&plan, "files_fetched"), 300);
    let peak = metric(&plan, "peak_buffered_bytes");
    let partitions = 3;
    assert!(peak <= partitions * 4 * 500_000, "{peak}");
    // Those of which more was to come than was expected are asked for again, and these are few.
    assert!(store.gets() < 400, "{}", store.gets());
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_show_what_reads() {
    let (_, ctx) = counted(3).await;
    let sql = "SELECT number, try_read_blob(url) AS b FROM photos WHERE number > 1";
    let plan = ctx
        .sql(sql)
        .await
        .unwrap()
        .create_physical_plan()
        .await
        .unwrap();
    let text = displayable(plan.as_ref()).indent(false).to_string();
    assert!(text.contains("ReadBlobExec: try_read_blob(url@"), "{text}");
    assert!(!text.contains("OffloadExec"), "{text}");
    let sql = "SELECT featurize(CASE WHEN number = 9 THEN read_blob(url) END, 'mobilenet_v2', 'seeded') FROM photos";
    let plan = ctx
        .sql(sql)
        .await
        .unwrap()
        .create_physical_plan()
        .await
        .unwrap();
    let text = displayable(plan.as_ref()).indent(false).to_string();
    assert!(
        text.contains("OffloadExec") && !text.contains("ReadBlobExec"),
        "{text}"
    );
}

/// A server with two buckets, and a session that was told how to reach them.
async fn two_buckets(objects: usize) -> (S3Server, SessionContext) {
    let server = S3Server::in_memory(&["fruits", "nuts"]);
    let bucket = |number| if number % 2 == 0 { "fruits" } else { "nuts" };
    for number in 0..objects {
        server.put(
            bucket(number),
            &format!("t/é {number}.jpg"),
            content(number),
        );
    }
    let ctx = session();
    for bucket in ["fruits", "nuts"] {
        let sql = format!(
            "CREATE EXTERNAL TABLE {bucket} STORED AS BINARYFILE LOCATION 's3://{bucket}/t/'
             OPTIONS ({})",
            server.options()
        );
        run(&ctx, &sql).await;
    }
    let scheme = |number| if number % 3 == 0 { "s3a" } else { "s3" };
    photos(
        &ctx,
        (0..objects).map(|n| Some(format!("{}://{}/t/é {n}.jpg", scheme(n), bucket(n)))),
    );
    (server, ctx)
}

const EVERY_FAILURE: [Failure; 6] = [
    Failure::InternalError,
    Failure::SlowDown,
    Failure::Reset,
    Failure::LostAnswer,
    Failure::Truncated,
    Failure::SlowBody,
];

#[tokio::test(flavor = "multi_thread")]
async fn every_row_comes_once_from_two_buckets_while_five_percent_of_the_requests_fail() {
    let (server, ctx) = two_buckets(1000).await;
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("photos.parquet");
    run(&ctx, &format!("COPY photos TO '{}'", list.display())).await;
    let sql = format!(
        "CREATE EXTERNAL TABLE list STORED AS PARQUET LOCATION '{}'",
        list.display()
    );
    run(&ctx, &sql).await;
    server.set_failures(0.05, &[Kind::Get], &EVERY_FAILURE, 20_261_128);
    check(
        &ctx,
        "SELECT number, read_blob(url) FROM list ORDER BY number",
        0..1000,
    )
    .await;
    assert!(server.failures() > 20, "{}", server.failures());
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_flight_reach_the_setting() {
    let (server, ctx) = two_buckets(300).await;
    server.set_latency(Duration::from_millis(100));
    run(&ctx, "SET featurize.scan_concurrency = 40").await;
    server.reset_counters();
    run(&ctx, "SELECT read_blob(url) FROM photos").await;
    let most = server.most_in_flight();
    assert!((35..60).contains(&most), "{most}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_had_is_named_or_null() {
    let (server, ctx) = two_buckets(10).await;
    server.deny("nuts", "t/é 3.jpg");
    let missing = "s3://fruits/t/none.jpg?x=1";
    run(&ctx, "SET featurize.read_blob_max_length = 3000").await;
    for (uri, expected) in [
        (missing, "could not read 's3://fruits/t/none.jpg?x=1'"),
        (missing, "try_read_blob gives NULL"),
        ("s3://nuts/t/é 3.jpg", "s3:GetObject"),
        (
            "s3://nuts/t/é 5.jpg",
            "bytes, more than the 3000 that may be read",
        ),
        (
            "s3://fruits/",
            "expected 's3://', a bucket and the name of an object",
        ),
        ("ftp://host/x", "no object store for 'ftp://'"),
        ("/no/such/file", "could not read '/no/such/file'"),
        ("/dev/zero", "not a file"),
        ("https://me:hush@host/x", "holds a user or a password"),
        ("", "found an empty text"),
    ] {
        photos(&ctx, [Some(uri.to_owned())]);
        for sql in [
            "SELECT read_blob(url) FROM photos".to_owned(),
            // The same where the call stands.
            "SELECT CASE WHEN number >= 0 THEN read_blob(url) END FROM photos".to_owned(),
            format!("SELECT read_blob('{uri}')"),
        ] {
            let said = error(&ctx, &sql).await;
            assert!(
                said.contains(expected) && said.contains("read_blob: "),
                "{sql}: {said}"
            );
            assert!(!said.contains("hush"), "{said}");
            let sql = format!(
                "SELECT count(b) FROM ({}) AS t(b)",
                sql.replace("read_", "try_read_")
            );
            assert_eq!(number(&run(&ctx, &sql).await), 0, "{sql}");
        }
    }
    // Of an undecodable picture, too.
    photos(&ctx, [Some("s3://fruits/t/é 2.jpg".to_owned())]);
    run(&ctx, "SET featurize.read_blob_max_length = '2g'").await;
    let said = error(&ctx, "SELECT image_info(read_blob(url)), featurize(read_blob(url), 'mobilenet_v2', 'seeded') FROM photos").await;
    assert!(said.contains("'s3://fruits/t/é 2.jpg'"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_places_that_the_session_allows_are_read() {
    let (server, ctx) = two_buckets(4).await;
    run(
        &ctx,
        "SET featurize.read_blob_from = 's3://fruits/t/, /data'",
    )
    .await;
    server.reset_counters();
    let said = error(&ctx, "SELECT read_blob(url) FROM photos").await;
    assert!(said.contains("'s3://nuts/t/é"), "{said}");
    assert!(
        said.contains("featurize.read_blob_from is 's3://fruits/t, file:///data'"),
        "{said}"
    );
    let sql = "SELECT count(try_read_blob(url)) FROM photos";
    assert_eq!(number(&run(&ctx, sql).await), 2);
    let said = error(&ctx, "SELECT read_blob('/data/../etc/passwd')").await;
    assert!(said.contains("file:///etc/passwd"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_taken_as_written_and_decoded_if_there_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    for name in ["a b", "a%20b", "c d"] {
        std::fs::write(folder.join(name), name).unwrap();
    }
    let ctx = session();
    for (uri, expected) in [
        (format!("{}/a%20b", folder.display()), "a%20b"),
        (format!("file://{}/a%20b", folder.display()), "a%20b"),
        (format!("file://{}/c%20d", folder.display()), "c d"),
        (format!("file://{}/c d", folder.display()), "c d"),
    ] {
        let found = run(&ctx, &format!("SELECT read_blob('{uri}')")).await;
        let found = found[0].column(0).as_binary_view().value(0).to_vec();
        assert_eq!(String::from_utf8(found).unwrap(), expected, "{uri}");
    }
}
