//! A fit of many partitions, which is merged in a tree.

use arrow::array::AsArray;
use arrow::datatypes::{Float64Type, Int64Type};
use datafusion::prelude::SessionContext;

use crate::processes::{Cluster, create_images, local, run};

/// Of vectors that are moments after a few rows, and of some that are rows to the end.
const FITS: [&str; 2] = [
    "pca_fit([length, ascii(hash)::BIGINT, strpos(hash, 'a')::BIGINT], 2)",
    "pca_fit(array_resize([length, ascii(hash)::BIGINT], 200, strpos(hash, 'a')::BIGINT), 2)",
];

async fn variances(ctx: &SessionContext, fit: &str) -> Vec<f64> {
    // Of the content, so that there are partitions.
    let hashed = "SELECT length, encode(sha256(content), 'hex') AS hash FROM images";
    let sql = format!("SELECT pca_explained_variance({fit}) AS v, count(*) AS n FROM ({hashed})");
    let rows = run(ctx, &sql).await;
    assert_eq!(rows.column(1).as_primitive::<Int64Type>().value(0), 48);
    let variances = rows.column(0).as_list::<i32>().value(0);
    variances.as_primitive::<Float64Type>().values().to_vec()
}

/// The number of the last stage of a query, which is the one whose results are kept for the client.
fn last_stage(cluster: &Cluster) -> u32 {
    let folders = |folder| std::fs::read_dir(folder).into_iter().flatten().flatten();
    let stages = (0..2)
        .flat_map(|executor| folders(cluster.work(executor)))
        .flat_map(|job| folders(job.path()))
        .filter_map(|stage| stage.file_name().to_str()?.parse().ok());
    stages.max().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fit_of_many_partitions_is_that_of_one_process() {
    let cluster = Cluster::start();
    let (remote, local) = (cluster.session().await, local());
    create_images(&remote).await;
    create_images(&local).await;
    let mut found = vec![];
    for partitions in [8, 24] {
        let set = format!("SET datafusion.execution.target_partitions = {partitions}");
        run(&remote, &set).await;
        for fit in FITS {
            let (ours, expected) = (variances(&remote, fit).await, variances(&local, fit).await);
            assert_eq!(ours.len(), 2);
            for (ours, expected) in ours.iter().zip(&expected) {
                assert!(
                    (ours - expected).abs() <= 1e-9 * expected,
                    "{ours} {expected} {fit}"
                );
            }
        }
        found.push(last_stage(&cluster));
    }
    // Partial fits and the last step; with four groups, partial fits and merges of each besides.
    assert_eq!(found[0], 2);
    assert!(found[1] >= 9, "{found:?}");
}
