//! A cancelled query stops computing, whatever its shape and however large its batches.
//!
//! Time is no judge here: what counts is how many micro-batches the compute pool has begun, of
//! those that the whole query needs.

use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{AsArray, BinaryViewArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use datafusion::datasource::MemTable;
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use datafusion::physical_plan::{collect, displayable};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_featurize::enable_featurize;
use datafusion_featurize::image::pool::ComputePool;
use futures::StreamExt;
use image::{ImageFormat, RgbImage};

/// Images in the one batch of each partition: half a minute of VGG16 in a test build.
const IMAGES: usize = 256;
/// The kernels take at most this many images of VGG16 at once.
const MICRO_BATCH: u64 = 8;

/// Each test has a number of threads of its own, and so a compute pool of its own.
async fn session(threads: usize, partitions: usize) -> SessionContext {
    let config = SessionConfig::new().with_target_partitions(2);
    let ctx = SessionContext::new_with_config(config);
    enable_featurize(&ctx).unwrap();
    let threads = format!("SET featurize.threads = {threads}");
    ctx.sql(&threads).await.unwrap();
    ctx.sql("SET featurize.weights = 'seeded'").await.unwrap();

    let mut png = Vec::new();
    RgbImage::from_fn(16, 16, |x, y| image::Rgb([x as u8 * 16, y as u8 * 16, 99]))
        .write_to(&mut Cursor::new(&mut png), ImageFormat::Png)
        .unwrap();
    let schema = Schema::new(vec![Field::new("content", DataType::BinaryView, true)]);
    let schema = Arc::new(schema);
    let content = BinaryViewArray::from_iter_values(vec![png; IMAGES]);
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(content)]).unwrap();
    let table = MemTable::try_new(schema, vec![vec![batch]; partitions]).unwrap();
    ctx.register_table("images", Arc::new(table)).unwrap();
    ctx
}

/// Starts a query, drops it as soon as it computes, and waits until nothing computes any more.
async fn cancelled_stops(
    ctx: &SessionContext,
    sql: &str,
    pool: &Arc<ComputePool>,
    partitions: u64,
) {
    let before = pool.load().admitted;
    let plan = ctx.sql(sql).await.unwrap();
    let mut stream = plan.execute_stream().await.unwrap();
    let begun = async {
        while pool.load().admitted == before {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        batch = stream.next() => panic!("{sql}: not cancelled in time: {:?}", batch.map(|b| b.is_ok())),
        () = begun => drop(stream),
    }
    // A call holds the pool from its first to its last image; beside it do the process and we.
    while Arc::strong_count(pool) > 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let begun = pool.load().admitted - before;
    let all = partitions * IMAGES as u64 / MICRO_BATCH;
    assert!(begun <= all / 4, "{sql}: {begun} micro-batches of {all}");
}

/// One thread is the hardest case: whoever drops the stream lives on the thread that polls it.
#[tokio::test(flavor = "current_thread")]
async fn in_every_clause() {
    let (ctx, pool) = (session(3, 1).await, ComputePool::shared(3).unwrap());
    for sql in [
        "SELECT featurize(content) FROM images",
        "SELECT 1 FROM images WHERE array_length(featurize(content)) > 0",
        "SELECT CASE WHEN content IS NULL THEN 0 ELSE array_length(try_featurize(content)) END
         FROM images",
        "SELECT content FROM images ORDER BY featurize(content)[1]",
        "SELECT max(featurize(content)[1]) FROM images",
        "SELECT featurize(content)[1] AS f, count(*) FROM images GROUP BY f",
        "SELECT pca_fit(featurize(content), 2) FROM images",
    ] {
        cancelled_stops(&ctx, sql, &pool, 1).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_every_partition() {
    let (ctx, pool) = (session(5, 2).await, ComputePool::shared(5).unwrap());
    // As many query threads as partitions: a call that kept its thread would keep them all.
    let sql = "SELECT max(featurize(content)[1]) FROM images";
    cancelled_stops(&ctx, sql, &pool, 2).await;
}

/// A thread that waits for another of the same few would wait for ever.
#[test]
fn nested_operators_share_a_thread() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let ctx = session(2, 1).await;
        // No exchange, which would end what one thread polls.
        let one = "SET datafusion.execution.target_partitions = 1";
        ctx.sql(one).await.unwrap();
        let sql = "SELECT count(featurize(content, 'mobilenet_v2')) FROM images
                   WHERE image_info(content)['width'] = 16";
        let plan = ctx.sql(sql).await.unwrap();
        let plan = plan.create_physical_plan().await.unwrap();
        let text = displayable(plan.as_ref()).indent(false).to_string();
        assert!(text.matches("OffloadExec").count() > 1, "{text}");
        let query = collect(plan, ctx.task_ctx());
        let rows = tokio::time::timeout(Duration::from_secs(120), query).await;
        let rows = rows.expect("it waits for itself").unwrap();
        assert_eq!(
            rows[0].column(0).as_primitive::<Int64Type>().value(0),
            IMAGES as i64
        );
    });
}

/// What is computed on many rows at once comes out in pieces that a checkpoint, a limit and whoever watches
/// can see.
#[tokio::test]
async fn a_batch_is_computed_on_piece_by_piece() {
    let ctx = session(2, 1).await;
    ctx.sql("SET featurize.checkpoint_rows = 10").await.unwrap();
    let content = BinaryViewArray::from_iter_values((0..256).map(|_| b"no image"));
    let many = RecordBatch::try_from_iter([("content", Arc::new(content) as _)]).unwrap();
    ctx.register_batch("many", many).unwrap();
    for (sql, most) in [
        ("SELECT image_info(content) FROM many", 10),
        (
            "SELECT image_info(content)['error'] FROM many m WHERE NOT EXISTS
          (SELECT 1 FROM many WHERE content = m.content AND content <> m.content)",
            10,
        ),
        ("SELECT content FROM many", 256),
    ] {
        let batches = ctx.sql(sql).await.unwrap().collect().await.unwrap();
        let rows: Vec<usize> = batches.iter().map(RecordBatch::num_rows).collect();
        assert_eq!(rows.iter().sum::<usize>(), 256, "{sql}");
        assert_eq!(rows.iter().max(), Some(&most), "{sql}: {rows:?}");
    }
}

#[tokio::test]
async fn the_operator_is_there_once() {
    let ctx = session(2, 1).await;
    enable_featurize(&ctx).unwrap();
    let plan = |sql: &'static str| {
        let ctx = ctx.clone();
        async move {
            let plan = ctx.sql(sql).await.unwrap();
            let plan = plan.create_physical_plan().await.unwrap();
            displayable(plan.as_ref()).indent(false).to_string()
        }
    };
    let featurize = plan("SELECT featurize(content) FROM images").await;
    assert!(
        featurize.starts_with("OffloadExec\n  ProjectionExec"),
        "{featurize}"
    );
    assert_eq!(featurize.matches("OffloadExec").count(), 1, "{featurize}");
    let other = plan("SELECT arrow_typeof(content) FROM images").await;
    assert!(!other.contains("OffloadExec"), "{other}");
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_analyze_tells_what_the_functions_did() {
    let ctx = SessionContext::new();
    enable_featurize(&ctx).unwrap();
    ctx.sql("CREATE EXTERNAL TABLE t STORED AS BINARYFILE LOCATION 'examples/fruits/Lemon/'")
        .await
        .unwrap();
    let sql = "SELECT try_featurize(content, 'mobilenet_v2', 'seeded') FROM t";
    let frame = ctx.sql(sql).await.unwrap();
    let plan = frame.create_physical_plan().await.unwrap();
    collect(Arc::clone(&plan), ctx.task_ctx()).await.unwrap();
    let text = DisplayableExecutionPlan::with_metrics(plan.as_ref())
        .indent(true)
        .to_string();
    let line = text
        .lines()
        .find(|line| line.contains("OffloadExec"))
        .unwrap();
    for metric in [
        "images_decoded=6",
        "images_undecodable=0",
        "images_inferred=6",
        "decode_time=",
        "inference_time=",
        "images_per_second=",
    ] {
        assert!(line.contains(metric), "{metric} in {line}");
    }
}

/// The operator that makes the model is polled where it can be told to stop; those that collect rows, in
/// short pieces, are not.
#[tokio::test]
async fn a_fit_stops_too() {
    let ctx = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(2));
    enable_featurize(&ctx).unwrap();
    let rows = "SELECT value % 3 AS g, [value::FLOAT, (value * value % 7)::FLOAT] AS v
                FROM generate_series(1, 100)";
    for (sql, partial) in [
        (format!("SELECT pca_fit(v, 1) FROM ({rows})"), true),
        (
            format!("SELECT g, pca_fit(v, 1) FROM ({rows}) GROUP BY g"),
            true,
        ),
        (
            format!("SELECT g, count(v) FROM ({rows}) GROUP BY g"),
            false,
        ),
    ] {
        let plan = ctx.sql(&sql).await.unwrap();
        let plan = plan.create_physical_plan().await.unwrap();
        let text = displayable(plan.as_ref()).indent(false).to_string();
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for (above, line) in lines.iter().zip(&lines[1..]) {
            let fits = line.starts_with("AggregateExec") && !line.contains("mode=Partial");
            assert_eq!(above.starts_with("OffloadExec"), fits && partial, "{text}");
        }
        assert_eq!(text.contains("OffloadExec"), partial, "{text}");
    }
}
