//! What is needed by all tasks is computed once and travels once.

use arrow::array::AsArray;

use crate::commit::{create_images_of, s3_with_fruits};
use crate::processes::{Cluster, create_images, files, run};
use crate::s3_server::Kind;

/// A fit inside the query that uses its model: every image is fetched for the fit, and once more to be
/// transformed, however many tasks there are.
#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_fitted_once() {
    let server = s3_with_fruits();
    let cluster = Cluster::start();
    let ctx = cluster.session().await;
    create_images_of(&ctx, &server).await;
    // Of the content, as the length is known from the listing.
    let hash = "encode(sha256(content), 'hex')";
    let vector = format!("[ascii({hash})::FLOAT, strpos({hash}, 'a')::FLOAT]");
    for (sql, times) in [
        (format!("SELECT path, {vector} AS v FROM images"), 1),
        (
            format!(
                "SELECT path, pca_transform({vector}, (SELECT pca_fit({vector}, 2) FROM images))
                 FROM images"
            ),
            2,
        ),
    ] {
        server.reset_counters();
        assert_eq!(run(&ctx, &sql).await.num_rows(), 48);
        assert_eq!(server.requests(Kind::Get), times * 48, "{sql}");
    }
}

/// A model of a subquery is a value of the plan: what tasks leave on disk for the next ones holds rows,
/// not a copy of the model for each.
#[tokio::test(flavor = "multi_thread")]
async fn a_model_does_not_travel_with_the_rows() {
    let cluster = Cluster::start();
    let ctx = cluster.session().await;
    create_images(&ctx).await;
    // A value of each image in 2,000 columns.
    let vectors = "SELECT path, range(2000) AS columns, length FROM images";
    let vectors = format!(
        "SELECT path, array_agg((length * (c + 1) % 1009)::FLOAT) AS v
         FROM (SELECT path, length, unnest(columns) AS c FROM ({vectors})) GROUP BY path"
    );
    run(&ctx, &format!("CREATE TABLE vectors AS {vectors}")).await;
    run(
        &ctx,
        "CREATE TABLE model AS SELECT pca_fit(v, 8) AS pca FROM vectors",
    )
    .await;
    let model = run(&ctx, "SELECT pca FROM model").await;
    let model = model.column(0).as_binary_view().value(0).len() as u64;
    assert!(model > 100_000, "{model}");
    let before: u64 = written(&cluster);
    let sql =
        "SELECT path, pca_transform(v, (SELECT pca FROM model)) AS t FROM vectors ORDER BY path";
    assert_eq!(run(&ctx, sql).await.num_rows(), 48);
    let added = written(&cluster) - before;
    assert!(
        0 < added && added < 12 * model,
        "{added} bytes, the model has {model}"
    );
}

/// Bytes of the results of all tasks so far.
fn written(cluster: &Cluster) -> u64 {
    (0..2)
        .flat_map(|executor| files(&cluster.work(executor)))
        .sum()
}
