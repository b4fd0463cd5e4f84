//! What happens when a machine goes away, or lacks something.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use arrow::array::AsArray;

use crate::processes::{Cluster, DETECTION, create_images, error, has_files, run, wait_for};

/// How long a query may take from when the scheduler knows that an executor is gone.
const RECOVERY: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn every_image_comes_once_although_an_executor_is_killed() {
    kill_an_executor(Cluster::start()).await;
}

/// In the middle of a query.
#[expect(
    clippy::disallowed_methods,
    reason = "the query has to be asked whether it has finished"
)]
pub(crate) async fn kill_an_executor(mut cluster: Cluster) {
    let ctx = cluster.session().await;
    create_images(&ctx).await;
    run(&ctx, "SET featurize.weights = 'seeded'").await;
    run(&ctx, "SET datafusion.execution.target_partitions = 24").await;
    let query = tokio::spawn(async move {
        run(
            &ctx,
            "SELECT path, featurize(content, 'vgg16') AS x FROM images",
        )
        .await
    });
    // It has finished one of its tasks at least, whose result is lost too.
    let work = cluster.work(1);
    tokio::task::spawn_blocking(move || wait_for(|| has_files(&work)))
        .await
        .unwrap();
    assert!(!query.is_finished());
    cluster.executors[1].kill();
    let killed = Instant::now();
    let rows = query.await.unwrap();
    let elapsed = killed.elapsed();
    assert!(elapsed < DETECTION + RECOVERY, "{elapsed:?}");
    let paths: Vec<&str> = rows.column(0).as_string::<i32>().iter().flatten().collect();
    assert_eq!(paths.len(), 48);
    assert_eq!(paths.iter().collect::<HashSet<_>>().len(), 48);
}

#[tokio::test(flavor = "multi_thread")]
async fn executors_without_weights_say_so() {
    let empty = tempfile::tempdir().unwrap();
    let folder = empty.path().display().to_string();
    let cluster = Cluster::start_with(
        2,
        &[
            ("FEATURIZE_WEIGHTS_DIR", &folder),
            // Nothing listens there.
            ("FEATURIZE_WEIGHTS_URL", "http://127.0.0.1:9/weights"),
        ],
    );
    let ctx = cluster.session().await;
    create_images(&ctx).await;
    for (weights, reasons) in [
        (
            "/no/such/weights.safetensors",
            ["/no/such/weights.safetensors"].as_slice(),
        ),
        ("imagenet", &["http://127.0.0.1:9/weights", "mobilenet_v2"]),
        (
            "http://127.0.0.1:9/mine.h5",
            &["http://127.0.0.1:9/mine.h5"],
        ),
    ] {
        let sql = format!("SELECT featurize(content, 'mobilenet_v2', '{weights}') FROM images");
        let message = error(&ctx, &sql).await;
        for reason in reasons {
            assert!(message.contains(reason), "{message}");
        }
    }
    for left in std::fs::read_dir(&folder).unwrap() {
        let name = left.unwrap().file_name().display().to_string();
        assert!(name.ends_with(".lock"), "{name} is left behind");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_are_too_large_for_a_message_are_refused_clearly() {
    let cluster = Cluster::start();
    let ctx = cluster.session().await;
    run(&ctx, "CREATE TABLE big AS SELECT repeat('x', 3000000) AS x").await;
    assert_eq!(run(&ctx, "SELECT x FROM big").await.num_rows(), 1);
    run(&ctx, "SET ballista.client.grpc_max_message_size = 1000000").await;
    let message = error(&ctx, "SELECT count(x) FROM big").await;
    for part in [
        "1000000",
        "in-memory tables",
        "Parquet",
        "grpc_max_message_size",
    ] {
        assert!(message.contains(part), "{message}");
    }
}
