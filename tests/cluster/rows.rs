//! Every row once: Ballista runs all partitions of a leaf that it does not know in every task.

use arrow::util::pretty::pretty_format_batches;
use datafusion::prelude::SessionContext;

use crate::processes::{Cluster, create_images, local, run};

async fn text(ctx: &SessionContext, sql: &str) -> String {
    let batch = run(ctx, sql).await;
    pretty_format_batches(&[batch]).unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_those_of_the_local_engine() {
    let cluster = Cluster::start();
    let (remote, local) = (cluster.session().await, local());
    for ctx in [&remote, &local] {
        create_images(ctx).await;
        run(
            ctx,
            "CREATE TABLE labels AS VALUES ('Lemon', 1), ('Kiwi', 2)",
        )
        .await;
    }
    for sql in [
        // One partition, whose limit is all there is.
        "SET datafusion.execution.target_partitions = 1",
        "SELECT path FROM images LIMIT 7",
        "SELECT sha256(content) FROM images LIMIT 7",
        "SELECT length FROM images UNION ALL SELECT column2 FROM labels ORDER BY length",
        "SET datafusion.execution.target_partitions = 8",
        "SELECT count(*) FROM images",
        // With the content, so that there is an operator of ours above the list.
        "SELECT count(content), count(DISTINCT sha256(content)) FROM images",
        "SELECT count(*) FROM (SELECT content FROM images UNION ALL SELECT content FROM images)",
        "SELECT path, length FROM images UNION ALL SELECT path, length FROM images
         ORDER BY path, length",
        "SELECT count(*), count(b.content) FROM images a JOIN images b ON a.path = b.path",
        "SELECT count(*) FROM (SELECT content FROM images LIMIT 7)",
        "SELECT count(*) FROM (SELECT path FROM images LIMIT 7)",
        "SELECT count(*) FROM (SELECT column1 FROM labels LIMIT 1)",
        "SELECT path, length FROM images ORDER BY path LIMIT 3",
        "SELECT length, path FROM images ORDER BY path DESC LIMIT 3 OFFSET 2",
        "SELECT sum(a.length) FROM images a JOIN (SELECT length, path FROM images ORDER BY path) b
         ON a.path = b.path",
        "SELECT split_part(path, '/', -2) AS label, count(*), count(DISTINCT sha256(content)) FROM images
         GROUP BY label ORDER BY label",
        "SELECT path, \"modificationTime\", length FROM images WHERE path LIKE '%Lemon%'
         ORDER BY path",
        "SELECT sha256(content) FROM images WHERE length > 1000 ORDER BY path",
        // An in-memory table of the client.
        "SELECT column2, count(content) FROM images
         JOIN labels ON split_part(path, '/', -2) = column1 GROUP BY column2 ORDER BY column2",
    ] {
        assert_eq!(text(&remote, sql).await, text(&local, sql).await, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_runs_scripts_on_a_cluster() {
    let cluster = Cluster::start();
    let folder = cluster.folder.path();
    let script = folder.join("script.sql");
    let fruits = crate::processes::fruits();
    std::fs::write(
        &script,
        format!(
            "CREATE EXTERNAL TABLE images STORED AS BINARYFILE LOCATION '{fruits}'
             OPTIONS ('recursiveFileLookup' 'true', 'pathGlobFilter' '*.jpg');
             SELECT count(*) AS rows, count(DISTINCT path) AS paths FROM images;"
        ),
    )
    .unwrap();
    let script = script.display().to_string();
    let output = cluster.program(&["-q", "--format", "csv", "-f", &script]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{error}");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "rows,paths\n48,48\n"
    );

    let output = cluster.program(&["-q", "-c", "SELECT nonsense"]);
    assert_eq!(output.status.code(), Some(1));
}
