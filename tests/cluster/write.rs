//! What `COPY` and `INSERT` say reaches the machines that write, and nothing is written twice.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use arrow::util::pretty::pretty_format_batches;
use datafusion::prelude::SessionContext;
use datafusion_featurize::cluster::cancellations;
use futures::StreamExt;

use crate::processes::{Cluster, create_images, error, local, run, wait_for};

/// Files of a folder whose names do not begin with `_`, with their content.
fn parts(folder: &Path) -> Vec<(PathBuf, String)> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut parts: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.is_file() && !path.file_name().unwrap().to_str().unwrap().starts_with('_')
        })
        .map(|path| {
            (
                path.clone(),
                String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned(),
            )
        })
        .collect();
    parts.sort();
    parts
}

async fn text(ctx: &SessionContext, sql: &str) -> String {
    let batch = run(ctx, sql).await;
    pretty_format_batches(&[batch]).unwrap().to_string()
}

/// DataFusion's encoding of the statement has no options, and that of CSV quotes everything.
#[tokio::test(flavor = "multi_thread")]
async fn what_copy_says_is_done() {
    let cluster = Cluster::start();
    let (remote, local) = (cluster.session().await, local());
    let folder = cluster.folder.path();
    let rows = "SELECT column1 AS a, column2 AS b, column3 AS c
                FROM (VALUES (1, 'a b', NULL), (2, 'x,y', 'z\"')) ORDER BY a";
    for options in [
        "",
        "OPTIONS ('format.delimiter' ';', 'format.has_header' 'false')",
        "OPTIONS ('format.quote_style' 'Always', 'format.null_value' 'NULL')",
        "OPTIONS ('format.compression' 'gzip')",
    ] {
        let mut written = vec![];
        for (name, ctx) in [("remote", &remote), ("local", &local)] {
            let file = folder.join(format!("{name}.csv"));
            let copy = format!(
                "COPY ({rows}) TO '{}' STORED AS CSV {options}",
                file.display()
            );
            run(ctx, &copy).await;
            written.push(std::fs::read(file).unwrap());
        }
        assert_eq!(written[0], written[1], "{options}");
    }
    // Lists, in a folder: all text is the same, whatever the parts.
    let rows = "SELECT column1 AS a, [column1, NULL] AS b FROM (VALUES (1), (2), (3))";
    let mut lines = vec![];
    for (name, ctx) in [("remote", &remote), ("local", &local)] {
        let target = folder.join(name);
        let copy = format!(
            "COPY ({rows}) TO '{}/' STORED AS CSV OPTIONS ('write_mode' 'overwrite', 'num_files' '2')",
            target.display()
        );
        // Twice: the second replaces the first.
        for _ in 0..2 {
            run(ctx, &copy).await;
            assert_eq!(parts(&target).len(), 2, "{name}");
            assert!(target.join("_SUCCESS").exists(), "{name}");
        }
        let text = parts(&target).into_iter().map(|(_, text)| text);
        let text: Vec<String> = text
            .flat_map(|text| text.lines().map(ToOwned::to_owned).collect::<Vec<_>>())
            .collect();
        lines.push(text.into_iter().collect::<BTreeSet<_>>());
    }
    assert_eq!(lines[0], lines[1]);

    let copy = format!(
        "COPY (SELECT 1 AS a) TO '{}/' STORED AS CSV OPTIONS ('write_mode' 'error_if_exists')",
        folder.join("remote").display()
    );
    let message = error(&remote, &copy).await;
    assert!(message.contains("holds data already"), "{message}");
    let copy = format!(
        "COPY (SELECT 1 AS a) TO '{}/x/' STORED AS CSV OPTIONS ('no_such' '1')",
        folder.display()
    );
    let message = error(&remote, &copy).await;
    assert!(message.contains("no_such"), "{message}");
}

/// Executors number the partitions of each task from 0, so parts that were named by them would
/// overwrite each other.
#[tokio::test(flavor = "multi_thread")]
async fn tables_are_appended_to_and_read_again() {
    let cluster = Cluster::start();
    let remote = cluster.session().await;
    create_images(&remote).await;
    let folder = cluster.folder.path().join("hashes");
    std::fs::create_dir(&folder).unwrap();
    let create = format!(
        "CREATE EXTERNAL TABLE hashes (path VARCHAR, hash BYTEA) STORED AS PARQUET
         LOCATION '{}/' OPTIONS ('success_file' 'true')",
        folder.display()
    );
    run(&remote, &create).await;
    let insert = "INSERT INTO hashes SELECT path, sha256(content) FROM images";
    let counts = "SELECT count(*) AS rows, count(DISTINCT path) AS paths FROM hashes";
    for times in 1..=2 {
        run(&remote, insert).await;
        let expected = format!("| {:<4} | 48    |", 48 * times);
        // The scheduler sees what executors have written since it listed the folder.
        let counted = text(&remote, counts).await;
        assert!(counted.contains(&expected), "{counted}");
        // A session that has not listed it before.
        let local = local();
        run(&local, &create).await;
        assert_eq!(counted, text(&local, counts).await);
        assert!(folder.join("_SUCCESS").exists());
    }
    let written = parts(&folder);
    assert!(written.len() > 2, "several tasks have written: {written:?}");
    run(
        &remote,
        "INSERT OVERWRITE hashes SELECT path, sha256(content) FROM images",
    )
    .await;
    let counted = text(&remote, counts).await;
    assert!(counted.contains("| 48   | 48    |"), "{counted}");

    // A pattern is not part of DataFusion's encoding of a table either.
    for name in ["a1.csv", "a2.csv", "b.csv"] {
        std::fs::write(cluster.folder.path().join(name), "x\n1\n").unwrap();
    }
    for ctx in [&remote, &local()] {
        let create = format!(
            "CREATE EXTERNAL TABLE some STORED AS CSV LOCATION '{}/a*.csv'",
            cluster.folder.path().display()
        );
        run(ctx, &create).await;
        let counted = text(ctx, "SELECT count(*) AS n FROM some").await;
        assert!(counted.contains("| 2 |"), "{counted}");
    }

    // A table in the memory of the client takes rows from the cluster.
    run(
        &remote,
        "CREATE TABLE mine AS SELECT path FROM images LIMIT 5",
    )
    .await;
    run(&remote, "INSERT INTO mine SELECT path FROM hashes LIMIT 7").await;
    let counted = text(&remote, "SELECT count(*) AS n FROM mine").await;
    assert!(counted.contains("| 12 |"), "{counted}");
}

/// Nor does an empty result lose its columns on the way.
#[tokio::test(flavor = "multi_thread")]
async fn an_empty_result_keeps_its_columns() {
    let cluster = Cluster::start();
    let (remote, local) = (cluster.session().await, local());
    let folder = cluster.folder.path();
    for (i, rows) in [
        "SELECT 1 AS a, 'x' AS b WHERE false",
        "SELECT t.a, u.a AS b, u.a + 1 AS c FROM (SELECT 1 AS a WHERE false) t
         CROSS JOIN (SELECT 2 AS a WHERE 1 > 2) u",
    ]
    .iter()
    .enumerate()
    {
        let mut written = vec![];
        for (name, ctx) in [("remote", &remote), ("local", &local)] {
            assert_eq!(run(ctx, rows).await.num_rows(), 0);
            for format in ["csv", "parquet"] {
                let file = folder.join(format!("{name}{i}.{format}"));
                run(ctx, &format!("COPY ({rows}) TO '{}'", file.display())).await;
            }
            let file = folder.join(format!("{name}{i}.parquet"));
            let file = file.display();
            let table = format!("{name}{i}");
            let create =
                format!("CREATE EXTERNAL TABLE {table} STORED AS PARQUET LOCATION '{file}'");
            run(&local, &create).await;
            let back = run(&local, &format!("SELECT * FROM {table}")).await;
            let csv = std::fs::read_to_string(folder.join(format!("{name}{i}.csv"))).unwrap();
            written.push((back.schema(), csv));
        }
        assert_eq!(written[0], written[1], "{rows}");
    }
}

/// What has no commit would have the rows of a task twice that is run again.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_written_once_is_not_written() {
    let cluster = Cluster::start();
    let ctx = cluster.session().await;
    let folder = cluster.folder.path().join("out");
    let target = folder.display();
    for (options, reason) in [
        ("STORED AS JSON", "PARQUET or CSV"),
        ("STORED AS ARROW", "PARQUET or CSV"),
        (
            "STORED AS PARQUET PARTITIONED BY (b)",
            "without PARTITIONED BY",
        ),
    ] {
        let copy = format!("COPY (SELECT 1 AS a, 2 AS b) TO '{target}/' {options}");
        let message = error(&ctx, &copy).await;
        assert!(message.contains(reason), "{message}");
        assert!(!folder.exists(), "{options}");
    }
}

/// A query that nobody waits for any more ends on the cluster, too, and commits nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_is_dropped_is_cancelled() {
    drop_a_query(&Cluster::start_with(2, &CANCELLING)).await;
}

/// What the scheduler says of it.
pub(crate) const CANCELLING: [(&str, &str); 1] = [("RUST_LOG", "ballista_scheduler=info")];

/// In the middle of a `COPY`: of many stages, and of one, of which the scheduler has had nothing to tell yet.
/// Each is more than it can do in the time that it gets.
pub(crate) async fn drop_a_query(cluster: &Cluster) {
    let ctx = cluster.session().await;
    create_images(&ctx).await;
    run(&ctx, "SET featurize.weights = 'seeded'").await;
    let queries = [
        "SELECT featurize(a.content, 'vgg16') AS f FROM images a CROSS JOIN images b CROSS JOIN images c",
        "SELECT featurize(content, 'vgg16') AS f
         FROM (SELECT content, unnest(range(1, 1000)) AS n FROM images)",
    ];
    let said = |words: &str| cluster.scheduler.log().matches(words).count();
    for (before, query) in queries.into_iter().enumerate() {
        let folder = cluster.folder.path().join(format!("out{before}"));
        let copy = format!(
            "COPY ({query}) TO '{}/' STORED AS PARQUET",
            folder.display()
        );
        let frame = ctx.sql(&copy).await.unwrap();
        let mut stream = frame.execute_stream().await.unwrap();
        loop {
            let next = tokio::time::timeout(Duration::from_secs(1), stream.next()).await;
            assert!(next.is_err(), "it has ended: {next:?}");
            if said("Job submitted") > before {
                break;
            }
        }
        drop(stream);
        cancellations().await;
        wait_for(|| said("Job cancelled") > before);
        assert!(!folder.join("_SUCCESS").exists());
    }
}

/// All vectors go through one task, which sees whether they are of one length.
#[tokio::test(flavor = "multi_thread")]
async fn vectors_are_written_as_they_are_locally() {
    let cluster = Cluster::start();
    let (remote, local) = (cluster.session().await, local());
    create_images(&remote).await;
    create_images(&local).await;
    let features = "CASE WHEN path LIKE '%Plum%' THEN NULL ELSE [length, 1.5] END AS features";
    for vectors in ["text", "list", "fixed_size_list", "columns"] {
        let mut read = vec![];
        for (name, ctx) in [("remote", &remote), ("local", &local)] {
            let name = format!("{name}_{vectors}");
            let target = cluster.folder.path().join(&name);
            let copy = format!(
                "COPY (SELECT path, {features} FROM images) TO '{}/' STORED AS PARQUET
                 OPTIONS ('write_mode' 'overwrite', 'vectors' '{vectors}')",
                target.display()
            );
            run(ctx, &copy).await;
            let create = format!(
                "CREATE EXTERNAL TABLE {name} STORED AS PARQUET LOCATION '{}/'",
                target.display()
            );
            run(&local, &create).await;
            let types = text(&local, &format!("DESCRIBE {name}")).await;
            let rows = text(&local, &format!("SELECT * FROM {name} ORDER BY path")).await;
            read.push((types, rows));
        }
        assert_eq!(read[0], read[1], "{vectors}");
    }
    let other = "CASE WHEN path LIKE '%Plum%' THEN [1.5] ELSE [length, 1.5] END AS features";
    let copy = format!(
        "COPY (SELECT path, {other} FROM images) TO '{}/' STORED AS CSV
         OPTIONS ('write_mode' 'overwrite', 'vectors' 'columns')",
        cluster.folder.path().join("other").display()
    );
    let message = error(&remote, &copy).await;
    assert!(message.contains("needs vectors of one length"), "{message}");
}

/// What formats of files hold of NULL and of the order of columns is known there too.
#[tokio::test(flavor = "multi_thread")]
async fn tables_in_json_are_read_and_lose_nothing() {
    let cluster = Cluster::start();
    let remote = cluster.session().await;
    let folder = cluster.folder.path().join("json");
    for label in ["a", "b", "__HIVE_DEFAULT_PARTITION__"] {
        let folder = folder.join(format!("label={label}"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("1.json"), "{\"x\": 1}\n").unwrap();
    }
    let create = format!(
        "CREATE EXTERNAL TABLE t (label VARCHAR, x BIGINT) STORED AS JSON PARTITIONED BY (label)
         LOCATION '{}/'",
        folder.display()
    );
    run(&remote, &create).await;
    let message = error(&remote, "SELECT x, label FROM t").await;
    assert!(message.contains("which is NULL"), "{message}");
    let known = "SELECT sum(x) AS s FROM t WHERE label IN ('a', 'b')";
    let sum = text(&remote, known).await;
    assert!(sum.contains("| 2 |"), "{sum}");
    let message = error(&remote, "INSERT INTO t VALUES ('3', '4')").await;
    assert!(message.contains("into the wrong columns"), "{message}");
}
