//! Extraction, principal components and export: the session that the README shows, on a cluster, in
//! the program, against the same program without `--remote`.

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Float32Type, Float64Type, UInt64Type};
use datafusion::prelude::SessionContext;

use crate::commit::s3_with_fruits;
use crate::processes::{Cluster, create_images, local, program, run};
use crate::s3_server::{ACCESS_KEY_ID, REGION, S3Server, SECRET_ACCESS_KEY};

const SESSION: &str = "
SET featurize.weights = 'seeded';

CREATE EXTERNAL TABLE images STORED AS BINARYFILE
LOCATION 's3://fruits/Training/'
OPTIONS ('pathGlobFilter' '*.jpg', 'recursiveFileLookup' 'true', 'aws.region' 'eu-west-3');

COPY (SELECT path, split_part(path, '/', -2) AS label,
             featurize(content, 'mobilenet_v2') AS features
      FROM images)
TO 's3://fruits/Features/' STORED AS PARQUET OPTIONS ('write_mode' 'overwrite');

CREATE EXTERNAL TABLE features STORED AS PARQUET LOCATION 's3://fruits/Features/';
CREATE TABLE model AS SELECT pca_fit(features, 0.9) AS pca FROM features;

SELECT pca_n_components(pca), pca_explained_variance_ratio(pca) FROM model;

COPY (SELECT path, label, pca_transform(features, (SELECT pca FROM model)) AS features_pca
      FROM features)
TO 's3://fruits/Export_csv/' STORED AS CSV OPTIONS ('write_mode' 'overwrite');
";

#[tokio::test(flavor = "multi_thread")]
async fn the_session_runs_unchanged_and_gives_the_rows_of_the_local_engine() {
    let server = s3_with_fruits();
    let endpoint = server.endpoint();
    let environment = [
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID),
        ("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY),
        ("AWS_REGION", REGION),
        ("AWS_ENDPOINT", endpoint.as_str()),
        ("AWS_ALLOW_HTTP", "true"),
    ];
    let cluster = Cluster::start_with(2, &environment);
    let output = cluster.program(&["-q", "-c", SESSION]);
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{message}");
    let here = SESSION.replace("/Features/", "/here/Features/");
    let here = here.replace("/Export_csv/", "/here/Export_csv/");
    let output = program(&environment, &["-q", "-c", &here]);
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{message}");

    let remote = written(&server, "s3://fruits").await;
    let local = written(&server, "s3://fruits/here").await;
    assert_eq!(remote.0.num_rows(), 48);
    // Every image, once; features bit for bit, of which the last column is the text.
    assert_eq!(remote.0, local.0);
    let bits = remote
        .0
        .column_by_name("features")
        .unwrap()
        .as_list::<i32>();
    let bits = bits.values().as_primitive::<Float32Type>();
    assert_eq!(bits.len(), 48 * 1280);
    assert!(bits.values().iter().any(|x| *x != 0.0));
    for column in ["path", "label"] {
        assert_eq!(
            remote.1.column_by_name(column),
            local.1.column_by_name(column)
        );
    }
    close(&components(&remote.1), &components(&local.1));
}

/// The features and the export below a folder.
async fn written(server: &S3Server, folder: &str) -> (RecordBatch, RecordBatch) {
    let ctx = local();
    for (name, format, path) in [("f", "PARQUET", "Features"), ("e", "CSV", "Export_csv")] {
        let create = format!(
            "CREATE EXTERNAL TABLE {name} STORED AS {format} LOCATION '{folder}/{path}/'
             OPTIONS ({})",
            server.options()
        );
        run(&ctx, &create).await;
    }
    (
        run(&ctx, "SELECT * FROM f ORDER BY path").await,
        run(&ctx, "SELECT * FROM e ORDER BY path").await,
    )
}

/// The numbers of all lists `[a, b, c]`.
fn components(export: &RecordBatch) -> Vec<f64> {
    let column = export.column_by_name("features_pca").unwrap();
    let column = arrow::compute::cast(column, &arrow::datatypes::DataType::Utf8).unwrap();
    let lists = column.as_string::<i32>().iter().flatten();
    lists
        .flat_map(|list| {
            let list = list.strip_prefix('[').unwrap().strip_suffix(']').unwrap();
            list.split(", ")
                .map(|number| number.parse::<f64>().unwrap())
        })
        .collect()
}

fn close(a: &[f64], b: &[f64]) {
    assert_eq!(a.len(), b.len());
    assert!(!a.is_empty());
    for (a, b) in a.iter().zip(b) {
        assert!((a - b).abs() <= 1e-9 * b.abs().max(1.0), "{a} is not {b}");
    }
}

fn doubles(batch: &RecordBatch) -> Vec<f64> {
    let values = batch.column(0).as_list::<i32>().values();
    match values.as_list_opt::<i32>() {
        Some(rows) => rows
            .values()
            .as_primitive::<Float64Type>()
            .values()
            .to_vec(),
        None => values.as_primitive::<Float64Type>().values().to_vec(),
    }
}

/// A model that is fitted in parts on several machines, in a statement of its own and inside the
/// query that uses it.
#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_that_of_the_local_engine() {
    let cluster = Cluster::start();
    let (remote, local) = (cluster.session().await, local());
    let features = "SELECT path, [length::FLOAT, (length % 97)::FLOAT,
                           (length % 89 * length % 31)::FLOAT] AS v FROM images";
    for ctx in [&remote, &local] {
        create_images(ctx).await;
        let sql = format!("CREATE TABLE features AS {features}");
        run(ctx, &sql).await;
        let sql = format!("CREATE TABLE model AS SELECT pca_fit(v, 2) AS pca FROM ({features})");
        run(ctx, &sql).await;
    }
    for sql in [
        "SELECT pca_explained_variance_ratio(pca) FROM model",
        "SELECT pca_mean(pca) FROM model",
        "SELECT pca_components(pca) FROM model",
        "SELECT pca_transform(v, (SELECT pca FROM model)) FROM features ORDER BY path",
        "SELECT pca_transform(v, (SELECT pca_fit(v, 2) FROM features)) FROM features ORDER BY path",
        "SELECT pca_transform(v, pca) FROM features, model ORDER BY path",
        // Options in a struct travel too.
        "SELECT pca_transform(v, (SELECT pca_truncate(pca_fit(v, {convention: 'spark', with_mean: true}), 2)
                                  FROM features))
         FROM features ORDER BY path",
        "SELECT [length(CAST(arrow_cast(v, 'FixedSizeList(3, Float32)') AS VARCHAR))::DOUBLE] FROM features
         ORDER BY path",
    ] {
        close(
            &doubles(&run(&remote, sql).await),
            &doubles(&run(&local, sql).await),
        );
    }
    let samples = "SELECT pca_n_samples(pca) FROM model";
    let count = |batch: RecordBatch| {
        arrow::compute::cast(batch.column(0), &arrow::datatypes::DataType::UInt64).unwrap()
    };
    let counted = count(run(&remote, samples).await);
    assert_eq!(counted.as_primitive::<UInt64Type>().values(), &[48]);
    explains(&remote).await;
}

/// What is explained is not run, and reaches the scheduler.
async fn explains(ctx: &SessionContext) {
    let sql = "EXPLAIN SELECT pca_transform(v, (SELECT pca_fit(v, 2) FROM features)) FROM features";
    let text = format!("{:?}", run(ctx, sql).await);
    assert!(text.contains("pca_fit"), "{text}");
}
