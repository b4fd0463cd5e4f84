//! The commit of a write happens once, whatever happens to the machine that commits.

use std::collections::BTreeSet;
use std::path::Path;

use arrow::array::AsArray;
use datafusion::prelude::SessionContext;
use datafusion_featurize::sink::Manifest;
use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::processes::{Cluster, fruits, local, run, wait_for};
use crate::s3_server::{Failure, Kind, S3Server};

/// A server with the sample images in `s3://fruits/Training/`.
pub(crate) fn s3_with_fruits() -> S3Server {
    let server = S3Server::on_disk(&["fruits"]);
    for label in std::fs::read_dir(fruits()).unwrap() {
        let label = label.unwrap();
        for image in std::fs::read_dir(label.path()).unwrap() {
            let image = image.unwrap().path();
            let name = image.strip_prefix(fruits()).unwrap().display().to_string();
            let content = std::fs::read(&image).unwrap();
            server.put("fruits", &format!("Training/{name}"), content);
        }
    }
    server
}

/// Creates the table `images` over them, with the server's keys.
pub(crate) async fn create_images_of(ctx: &SessionContext, server: &S3Server) {
    let create = format!(
        "CREATE EXTERNAL TABLE images STORED AS BINARYFILE LOCATION 's3://fruits/Training/'
         OPTIONS ('pathGlobFilter' '*.jpg', 'recursiveFileLookup' 'true', {})",
        server.options()
    );
    run(ctx, &create).await;
}

/// The executor is killed with `kill -9` while it waits for the answer to a request of the commit:
/// before the manifest names the new data, and after it.
#[tokio::test(flavor = "multi_thread")]
#[expect(
    clippy::disallowed_methods,
    reason = "the query has to go on while its executor is killed"
)]
async fn every_image_is_written_once_although_the_machine_that_commits_is_lost() {
    let server = s3_with_fruits();
    for (stalled, folder) in [("_MANIFEST.json", "before"), ("_SUCCESS", "after")] {
        let mut cluster = Cluster::start_with(1, &[]);
        let ctx = cluster.session().await;
        create_images_of(&ctx, &server).await;
        let target = format!("s3://fruits/{folder}/");
        let copy = format!(
            "COPY (SELECT path, sha256(content) AS hash FROM images) TO '{target}'
             STORED AS PARQUET OPTIONS ('write_mode' 'overwrite', 'manifest' true, {})",
            server.options()
        );
        // What is there before is replaced, once.
        run(&ctx, &copy).await;
        let failures = server.failures();
        let url = format!("{folder}/{stalled}");
        server.fail_next(1, Kind::Put, &url, Failure::Stall);
        let query = tokio::spawn(async move { run(&ctx, &copy).await });
        tokio::task::block_in_place(|| wait_for(|| server.failures() > failures));
        // All that has been computed is lost with the only executor, the names of the parts too.
        cluster.add_executor("");
        cluster.executors[0].kill();
        let counted = query.await.unwrap();
        let rows = counted
            .column(0)
            .as_primitive::<arrow::datatypes::UInt64Type>();
        assert_eq!(rows.values(), &[48], "{stalled}");
        assert_written_once(&server, folder).await;
    }
}

/// A reader that lists the folder, and one that reads the manifest, find every image once.
async fn assert_written_once(server: &S3Server, folder: &str) {
    let ctx = local();
    let create = format!(
        "CREATE EXTERNAL TABLE written STORED AS PARQUET LOCATION 's3://fruits/{folder}/'
         OPTIONS ({})",
        server.options()
    );
    run(&ctx, &create).await;
    let sql = "SELECT count(*), count(DISTINCT path) FROM written";
    let counts = run(&ctx, sql).await;
    for column in counts.columns() {
        let count = column.as_primitive::<arrow::datatypes::Int64Type>();
        assert_eq!(count.values(), &[48], "{folder}");
    }
    let store = server.store("fruits").build().unwrap();
    let object = |name: &str| object_store::path::Path::from(format!("{folder}/{name}"));
    store.head(&object("_SUCCESS")).await.unwrap();
    // Some readers fail at any other file that is not empty, wherever it lies.
    let folder_path = object_store::path::Path::from(folder);
    let objects: Vec<_> = store.list(Some(&folder_path)).try_collect().await.unwrap();
    for object in objects {
        let name = object.location.filename().unwrap();
        let is_named = name.ends_with(".parquet") || name == "_MANIFEST.json";
        assert!(is_named || object.size == 0, "{}", object.location);
    }
    let manifest = store.get(&object("_MANIFEST.json")).await.unwrap();
    let manifest = manifest.bytes().await.unwrap();
    let manifest: Manifest = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(manifest.rows, Some(48));
    let named: BTreeSet<String> = manifest.parts.into_iter().map(|part| part.path).collect();
    let listed = store.list_with_delimiter(Some(&folder_path)).await.unwrap();
    let listed = listed.objects.into_iter().filter_map(|object| {
        let name = object.location.filename()?.to_owned();
        Path::new(&name)
            .extension()
            .is_some_and(|x| x == "parquet")
            .then_some(name)
    });
    assert_eq!(named, listed.collect());
}
