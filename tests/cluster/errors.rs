//! What a user reads when something goes wrong on a cluster: what they read without one, and where it was.

use datafusion::prelude::SessionContext;

use crate::commit::s3_with_fruits;
use crate::processes::{Cluster, Setting, create_images, error, local, program, run};

/// The executor's name: `executor executor0: ports 40001 (data) and 40002 (tasks)`.
fn name(line: &str) -> String {
    let (_, ports) = line.split_once("ports ").unwrap();
    format!("127.0.0.1:{}", ports.split(' ').next().unwrap())
}

/// Without the kinds of errors, which the program does not show either.
fn plain(message: &str) -> &str {
    let kinds = [
        "External error: ",
        "Execution error: ",
        "Object Store error: ",
    ];
    let mut rest = message;
    while let Some(inner) = kinds.iter().find_map(|kind| rest.strip_prefix(kind)) {
        rest = inner;
    }
    rest
}

/// Without how long a request has taken: `in 38.8ms - `.
fn without_times(message: &str) -> String {
    let mut parts = message.split(" in ");
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(" - ") {
            Some((_, rest)) if part.starts_with(|letter: char| letter.is_ascii_digit()) => {
                kept += " - ";
                kept += rest;
            }
            _ => {
                kept += " in ";
                kept += part;
            }
        }
    }
    kept
}

async fn messages(remote: &SessionContext, local: &SessionContext, sql: &str) -> [String; 2] {
    let messages = [error(remote, sql).await, error(local, sql).await];
    messages.map(|message| without_times(plain(&message)))
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_those_of_one_process_and_name_the_executor() {
    let server = s3_with_fruits();
    let mut cluster = Cluster::scheduler(1, &[], Setting::default());
    let place = format!(" (on executor {})", name(&cluster.add_executor("")));
    let damaged = cluster.folder.path().join("damaged");
    std::fs::create_dir(&damaged).unwrap();
    std::fs::write(
        damaged.join("x's \"[1]\".jpg"),
        b"\xff\xd8\xff\xe0 no image",
    )
    .unwrap();
    let gone = cluster.folder.path().join("gone");
    std::fs::create_dir(&gone).unwrap();
    std::fs::write(gone.join("x.jpg"), "x").unwrap();
    let weights = cluster.folder.path().join("damaged.safetensors");
    std::fs::write(&weights, "no weights").unwrap();
    let (remote, local) = (cluster.session().await, local());
    for ctx in [&remote, &local] {
        create_images(ctx).await;
        for (table, folder) in [("damaged", &damaged), ("gone", &gone)] {
            let sql = format!(
                "CREATE EXTERNAL TABLE {table} STORED AS BINARYFILE LOCATION '{}'",
                folder.display()
            );
            run(ctx, &sql).await;
        }
        // Names the bucket's keys, and asks for nothing.
        let sql = format!(
            "CREATE EXTERNAL TABLE none (x INT) STORED AS PARQUET LOCATION 's3://nowhere/t/' OPTIONS ({})",
            server.options()
        );
        run(ctx, &sql).await;
    }
    std::fs::remove_dir_all(gone).unwrap();
    let weights = weights.display();
    for sql in [
        "SELECT featurize(content, 'mobilenet_v2', 'seeded') FROM damaged",
        "SELECT sum(f[1]) FROM (SELECT featurize(content, 'mobilenet_v2', 'seeded') AS f FROM damaged)",
        &format!("SELECT featurize(content, 'mobilenet_v2', '{weights}') FROM images LIMIT 1"),
        &format!(
            "SELECT read_blob('{}/' || length) FROM damaged",
            damaged.display()
        ),
        "SELECT read_blob('s3://nowhere/' || length) FROM damaged",
    ] {
        let [remote, local] = messages(&remote, &local, sql).await;
        assert_eq!(remote, format!("{local}{place}"), "{sql}");
    }
    // The scheduler lists.
    let [listed, local] = messages(&remote, &local, "SELECT count(*) FROM gone").await;
    assert_eq!(listed, local);
    assert!(local.contains("gone"), "{local}");
    let rounds = "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT n FROM r";
    let refused = error(&remote, rounds).await;
    let expected = "WITH RECURSIVE r does not run on a cluster";
    assert!(refused.contains(expected), "{refused}");
    // The program.
    let sql = format!(
        "CREATE EXTERNAL TABLE d STORED AS BINARYFILE LOCATION '{}';
         SELECT featurize(content, 'mobilenet_v2', 'seeded') FROM d",
        damaged.display()
    );
    let shown = [
        cluster.program(&["-q", "-c", &sql]),
        program(&[], &["-q", "-c", &sql]),
    ];
    let [remote, local] = shown.map(|output| String::from_utf8(output.stderr).unwrap());
    assert_eq!(remote.trim_end(), format!("{}{place}", local.trim_end()));
}
