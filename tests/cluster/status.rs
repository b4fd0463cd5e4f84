//! What operators see of a cluster, and how its processes stop.

use std::collections::HashSet;
use std::fs::File;
use std::time::{Duration, Instant, SystemTime};

use arrow::array::AsArray;

use crate::processes::{Cluster, Setting, create_images, has_files, run, wait_for};

/// The number that an answer gives.
fn number(answer: &str, name: &str) -> u64 {
    let line = answer.lines().find_map(|line| line.strip_prefix(name));
    let line = line.unwrap_or_else(|| panic!("no {name}: {answer}"));
    line.trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_and_prometheus_are_answered() {
    let setting = Setting {
        scheduler: "--metrics-port 0".to_owned(),
        executor: "--metrics-port 0".to_owned(),
        ..Setting::default()
    };
    let mut cluster = Cluster::scheduler(1, &[], setting);
    assert!(cluster.scheduler.status("/healthz").contains("200 OK"));
    let answer = cluster.scheduler.status("/readyz");
    assert!(
        answer.contains("503") && answer.contains("--min-ready-executors"),
        "{answer}"
    );
    cluster.add_executor("");
    assert!(cluster.executors[0].status("/healthz").contains("200 OK"));
    wait_for(|| cluster.scheduler.status("/readyz").contains("200 OK"));
    wait_for(|| cluster.executors[0].status("/readyz").contains("200 OK"));
    let ctx = cluster.session().await;
    create_images(&ctx).await;
    run(&ctx, "SET featurize.weights = 'seeded'").await;
    let sql = "SELECT featurize(content, 'mobilenet_v2') AS f FROM images WHERE path LIKE '%_1%'";
    let rows = run(&ctx, sql).await.num_rows() as u64;
    assert!(rows > 0);
    let answer = cluster.scheduler.status("/metrics");
    assert_eq!(number(&answer, "featurize_executors"), 1);
    assert_eq!(number(&answer, "featurize_jobs_running"), 0);
    assert!(number(&answer, "featurize_jobs_completed_total") >= 1);
    assert_eq!(number(&answer, "featurize_jobs_failed_total"), 0);
    let answer = cluster.executors[0].status("/metrics");
    assert_eq!(number(&answer, "featurize_images_total"), rows);
    assert_eq!(number(&answer, "featurize_files_fetched_total"), rows);
    assert!(number(&answer, "featurize_bytes_fetched_total") > rows);
    #[cfg(target_os = "linux")]
    assert!(number(&answer, "featurize_resident_memory_bytes") > 1_000_000);
    // Numbers only.
    assert!(!answer.contains("fruits"), "{answer}");
}

/// As an orchestrator stops it.
#[tokio::test(flavor = "multi_thread")]
#[expect(
    clippy::disallowed_methods,
    reason = "the query has to be asked whether it has finished"
)]
async fn every_image_comes_once_although_an_executor_is_told_to_stop() {
    let mut cluster = Cluster::scheduler(2, &[], Setting::default());
    for _ in 0..2 {
        cluster.add_executor("--grace-period-seconds 2");
    }
    let ctx = cluster.session().await;
    create_images(&ctx).await;
    run(&ctx, "SET featurize.weights = 'seeded'").await;
    run(&ctx, "SET datafusion.execution.target_partitions = 24").await;
    let query = tokio::spawn(async move {
        let sql = "SELECT path, featurize(content, 'vgg16') AS x FROM images";
        run(&ctx, sql).await
    });
    let work = cluster.work(1);
    tokio::task::spawn_blocking(move || wait_for(|| has_files(&work)))
        .await
        .unwrap();
    assert!(!query.is_finished());
    let told = Instant::now();
    let status = cluster.executors[1].terminate();
    assert!(status.success(), "{status}");
    assert!(
        told.elapsed() < Duration::from_secs(30),
        "{:?}",
        told.elapsed()
    );
    let rows = query.await.unwrap();
    let paths: Vec<&str> = rows.column(0).as_string::<i32>().iter().flatten().collect();
    assert_eq!(paths.len(), 48);
    assert_eq!(paths.iter().collect::<HashSet<_>>().len(), 48);
    let status = cluster.scheduler.terminate();
    assert!(status.success(), "{status}");
}

#[test]
fn the_folder_of_a_killed_executor_is_cleared_by_the_next() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().display().to_string();
    let mut cluster = Cluster::scheduler(1, &[("TMPDIR", &folder)], Setting::default());
    let folders = || {
        let entries = std::fs::read_dir(temporary.path()).unwrap().flatten();
        let paths = entries.map(|entry| entry.path());
        let is_work = |path: &std::path::PathBuf| path.display().to_string().contains("-executor-");
        paths.filter(is_work).collect::<HashSet<_>>()
    };
    cluster.add_bare_executor();
    let killed = folders();
    assert_eq!(killed.len(), 1);
    cluster.executors[0].kill();
    assert_eq!(folders(), killed);
    // As if it had been there for a while.
    let lock = killed.iter().next().unwrap().join(".lock");
    let before = SystemTime::now() - Duration::from_secs(3600);
    File::options()
        .write(true)
        .open(lock)
        .unwrap()
        .set_modified(before)
        .unwrap();
    cluster.add_bare_executor();
    assert_eq!(folders().len(), 1);
    assert!(folders().is_disjoint(&killed));
    assert!(cluster.executors[1].terminate().success());
    assert!(folders().is_empty());
}
