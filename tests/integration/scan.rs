//! What a scan asks of the store, and what it gives back.

pub(crate) mod archives;
#[cfg(feature = "azure")]
mod azure;
mod empty;
#[cfg(feature = "http")]
mod hugging_face;
mod memory;
mod named;
mod odd_names;
mod one_way;
mod s3;
mod s3_answers;
mod s3_faults;
mod s3_requests;
mod s3_secrets;
#[path = "../support/s3_server/mod.rs"]
pub(crate) mod s3_server;
mod two_servers;
mod url_tables;
#[cfg(any(feature = "azure", feature = "http"))]
mod web_server;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::physical_plan::displayable;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_featurize::enable_featurize;

use crate::counting_store::CountingStore;

pub(crate) fn objects(count: usize) -> Vec<(String, Vec<u8>)> {
    (0..count)
        .map(|i| {
            let path = format!("t/Kind {}/{i:03}.jpg", i % 7);
            (path, vec![i as u8; i * 10])
        })
        .collect()
}

pub(crate) fn session() -> SessionContext {
    let config = SessionConfig::new().with_target_partitions(3);
    let ctx = SessionContext::new_with_config(config);
    enable_featurize(&ctx).unwrap();
    ctx
}

pub(crate) async fn run(ctx: &SessionContext, sql: &str) -> Vec<RecordBatch> {
    ctx.sql(sql).await.unwrap().collect().await.unwrap()
}

pub(crate) async fn error(ctx: &SessionContext, sql: &str) -> String {
    let result = match ctx.sql(sql).await {
        Ok(frame) => frame.collect().await.map(|_| ()),
        Err(e) => Err(e),
    };
    result.unwrap_err().to_string()
}

async fn create(ctx: &SessionContext, options: &str) {
    let sql = format!(
        "CREATE EXTERNAL TABLE images STORED AS BINARYFILE LOCATION 's3://counted/t/'
         OPTIONS ('recursiveFileLookup' 'true' {options})"
    );
    run(ctx, &sql).await;
}

/// The content of each path, with every row checked to be there once.
pub(crate) fn contents(batches: &[RecordBatch]) -> BTreeMap<String, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    for batch in batches {
        let paths = batch.column_by_name("path").unwrap().as_string::<i32>();
        let contents = batch.column_by_name("content").unwrap().as_binary_view();
        for row in 0..batch.num_rows() {
            let content = contents.is_valid(row).then(|| contents.value(row).to_vec());
            let earlier = found.insert(paths.value(row).to_owned(), content);
            assert!(earlier.is_none(), "{} came twice", paths.value(row));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_costs_no_get() {
    let ctx = session();
    let store = CountingStore::register(&ctx, objects(50)).await;
    create(&ctx, "").await;
    let batches = run(&ctx, "SELECT count(*), sum(length) FROM images").await;
    let sum = batches[0].column(1).as_primitive::<Int64Type>().value(0);
    assert_eq!(sum, (0..50).map(|i| i * 10).sum::<i64>());
    run(
        &ctx,
        "SELECT path, length FROM images WHERE length > 100 ORDER BY path LIMIT 3",
    )
    .await;
    run(&ctx, "SELECT count(*) FROM images").await;
    assert_eq!(store.gets(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn content_is_read_once_an_object_and_only_for_rows_that_are_left() {
    let ctx = session();
    let store = CountingStore::register(&ctx, objects(50)).await;
    create(&ctx, "").await;
    let batches = run(&ctx, "SELECT content, path FROM images").await;
    assert_eq!(store.gets(), 50);
    let expected = objects(50)
        .into_iter()
        .map(|(path, content)| (format!("s3://counted/{path}"), Some(content)))
        .collect();
    assert_eq!(contents(&batches), expected);

    let sql = "SELECT content FROM images
               WHERE length >= 400 AND path LIKE '%/Kind 1/%' AND \"modificationTime\" > '2020-01-01'";
    let rows: usize = run(&ctx, sql).await.iter().map(RecordBatch::num_rows).sum();
    assert_eq!(rows, 1);
    assert_eq!(store.gets(), 51);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_reads_no_more_than_it_needs() {
    let ctx = session();
    let store = CountingStore::register(&ctx, objects(50)).await;
    create(&ctx, "").await;
    let rows: usize = run(&ctx, "SELECT content FROM images LIMIT 4")
        .await
        .iter()
        .map(RecordBatch::num_rows)
        .sum();
    assert_eq!((rows, store.gets()), (4, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_flight_are_bounded() {
    let ctx = session();
    let store = CountingStore::register(&ctx, objects(200)).await;
    create(&ctx, "").await;
    run(&ctx, "SET featurize.scan_concurrency = 5").await;
    run(&ctx, "SELECT content FROM images").await;
    assert!(
        (2..=5).contains(&store.most_running()),
        "{}",
        store.most_running()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_are_bounded_by_rows_and_bytes() {
    let ctx = session();
    CountingStore::register(&ctx, objects(100)).await;
    create(&ctx, "").await;
    run(&ctx, "SET featurize.scan_batch_rows = 8").await;
    run(&ctx, "SET featurize.scan_batch_bytes = 2000").await;
    for batch in run(&ctx, "SELECT content, length FROM images").await {
        let bytes: i64 = batch
            .column(1)
            .as_primitive::<Int64Type>()
            .values()
            .iter()
            .sum();
        assert!(
            batch.num_rows() <= 8 && bytes <= 2000,
            "{} rows, {bytes} bytes",
            batch.num_rows()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_do_not_depend_on_partitions_or_concurrency() {
    let mut results = vec![];
    for (partitions, concurrency, rows) in [(1, 1, 1), (3, 64, 7), (8, 3, 64)] {
        let config = SessionConfig::new().with_target_partitions(partitions);
        let ctx = SessionContext::new_with_config(config);
        enable_featurize(&ctx).unwrap();
        CountingStore::register(&ctx, objects(60)).await;
        create(&ctx, "").await;
        run(
            &ctx,
            &format!("SET featurize.scan_concurrency = {concurrency}"),
        )
        .await;
        run(&ctx, &format!("SET featurize.scan_batch_rows = {rows}")).await;
        results.push(contents(
            &run(&ctx, "SELECT path, content FROM images").await,
        ));
    }
    assert_eq!(results[0].len(), 60);
    assert!(results.windows(2).all(|pair| pair[0] == pair[1]));
}

/// A plan of the query, made before the store changes.
async fn planned_then<F: Future<Output = ()>>(
    ctx: &SessionContext,
    sql: &str,
    change: F,
) -> datafusion::error::Result<Vec<RecordBatch>> {
    let plan = ctx.sql(sql).await?.create_physical_plan().await?;
    change.await;
    datafusion::physical_plan::collect(plan, ctx.task_ctx()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_vanishes_is_an_error_or_left_out() {
    let ctx = session();
    let store = CountingStore::register(&ctx, objects(10)).await;
    create(&ctx, "").await;
    let sql = "SELECT path, content FROM images";
    let error = planned_then(&ctx, sql, store.remove("t/Kind 3/003.jpg")).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("'s3://counted/t/Kind 3/003.jpg'"), "{error}");
    assert!(error.contains("ignoreMissingFiles"), "{error}");

    let ctx = session();
    let store = CountingStore::register(&ctx, objects(10)).await;
    create(&ctx, ", 'ignoreMissingFiles' 'true'").await;
    let batches = planned_then(&ctx, sql, store.remove("t/Kind 3/003.jpg"))
        .await
        .unwrap();
    assert_eq!(contents(&batches).len(), 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn oversize_objects_fail_vanish_or_are_null() {
    for (oversize, rows, nulls) in [("skip", 6, 0), ("null", 10, 4)] {
        let ctx = session();
        CountingStore::register(&ctx, objects(10)).await;
        create(
            &ctx,
            &format!(", 'maxLength' '50', 'oversize' '{oversize}'"),
        )
        .await;
        let found = contents(&run(&ctx, "SELECT path, content FROM images").await);
        assert_eq!(found.len(), rows, "{oversize}");
        assert_eq!(
            found.values().filter(|c| c.is_none()).count(),
            nulls,
            "{oversize}"
        );
        let count = run(&ctx, "SELECT count(*) FROM images").await;
        let count = count[0].column(0).as_primitive::<Int64Type>().value(0);
        assert_eq!(count, rows as i64, "{oversize}");
    }
    let ctx = session();
    CountingStore::register(&ctx, objects(10)).await;
    create(&ctx, ", 'maxLength' '50'").await;
    run(&ctx, "SELECT length FROM images").await;
    let error = error(&ctx, "SELECT content FROM images").await;
    assert!(
        error.contains("more than the table's maxLength of 50"),
        "{error}"
    );
}

#[tokio::test]
async fn the_plan_shows_files_columns_and_filters() {
    let ctx = session();
    CountingStore::register(&ctx, objects(20)).await;
    create(&ctx, "").await;
    let plan = ctx
        .sql("SELECT content FROM images WHERE length > 100")
        .await
        .unwrap()
        .create_physical_plan()
        .await
        .unwrap();
    let text = displayable(plan.as_ref()).indent(false).to_string();
    let expected = "FetchExec: files=9, bytes=1350, projection=[content], \
                    filters=[length > Int64(100)]\n  DataSourceExec: partitions=3";
    assert!(text.contains(expected), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn too_little_memory_is_an_error_that_says_what_to_lower() {
    let objects = (0..20).map(|i| (format!("t/{i:03}.jpg"), vec![i as u8; 1000]));
    for (limit, fits) in [(4_000, false), (1_000_000, true)] {
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(GreedyMemoryPool::new(limit)))
            .build_arc()
            .unwrap();
        let config = SessionConfig::new().with_target_partitions(1);
        let ctx = SessionContext::new_with_config_rt(config, runtime);
        enable_featurize(&ctx).unwrap();
        CountingStore::register(&ctx, objects.clone()).await;
        create(&ctx, "").await;
        let frame = ctx.sql("SELECT content FROM images").await.unwrap();
        let result = frame.collect().await;
        if fits {
            assert_eq!(
                result
                    .unwrap()
                    .iter()
                    .map(RecordBatch::num_rows)
                    .sum::<usize>(),
                20
            );
        } else {
            let error = result.unwrap_err().to_string();
            assert!(
                error.contains("lower featurize.scan_batch_bytes or"),
                "{error}"
            );
        }
        // Nothing stays reserved.
        assert_eq!(ctx.runtime_env().memory_pool.reserved(), 0);
    }
}
