//! What lies in a folder harms no reader of it. `tests/read_back.py` asks other programs.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::datasource::file_format::options::ParquetReadOptions;
use datafusion::prelude::SessionContext;
use datafusion_featurize::sink::Manifest;
use futures::TryStreamExt;
use object_store::ObjectStoreExt;
use object_store::path::Path;

use crate::write::{MODE, copy, one};
use crate::write_place::{Place, run};

/// Polars fails at any file below the folder that is neither empty nor of the format, Daft at most.
async fn only_parts_and_empty_files(place: &Place, folder: &str) {
    let folder = place
        .path(folder, "x")
        .prefix_match(&Path::default())
        .map(|parts| {
            let parts: Vec<_> = parts.collect();
            Path::from_iter(parts[..parts.len() - 1].to_vec())
        });
    let objects: Vec<_> = place
        .store
        .list(folder.as_ref())
        .try_collect()
        .await
        .unwrap();
    assert!(!objects.is_empty());
    for object in objects {
        let name = object.location.filename().unwrap();
        let is_part = name.starts_with("part-") && name.ends_with(".parquet");
        assert!(is_part || object.size == 0, "{}", object.location);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_parts_and_empty_files_is_left() {
    for place in Place::all() {
        for options in [
            MODE,
            MODE,
            "'write_mode' 'append'",
            "'num_files' 2",
            "'success_file' true",
            "'success_file' false",
        ] {
            let sql = copy(&place, "SELECT 1 AS x", "left", options);
            place.run(&sql).await.unwrap();
            only_parts_and_empty_files(&place, "left").await;
        }
    }
}

/// A session without this crate, in which nothing knows what is hidden.
#[tokio::test(flavor = "multi_thread")]
async fn stock_datafusion_reads_the_folder() {
    for place in Place::all() {
        let sql = copy(&place, "SELECT 1 AS x UNION ALL SELECT 2", "stock", MODE);
        for _ in 0..2 {
            place.run(&sql).await.unwrap();
        }
        let url = place.url("stock");
        let ctx = SessionContext::new();
        ctx.register_object_store(&url::Url::parse(&url).unwrap(), Arc::clone(&place.store));
        let create = format!("CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '{url}'");
        run(&ctx, &create).await.unwrap();
        assert_eq!(one(&ctx, "SELECT x FROM t ORDER BY x").await, ["1", "2"]);
        let read = ctx.read_parquet(&url, ParquetReadOptions::default()).await;
        assert_eq!(read.unwrap().count().await.unwrap(), 2);
    }
}

/// Folders as earlier releases left them keep their manifest in appends, and lose it when they are
/// overwritten without the option.
#[tokio::test(flavor = "multi_thread")]
async fn older_folders_are_written_on() {
    for place in Place::all() {
        let with = format!("{MODE}, 'manifest' true");
        let sql = copy(&place, "SELECT 1 AS x", "older", &with);
        place.run(&sql).await.unwrap();
        let path = place.path("older", "_MANIFEST.json");
        let bytes = place.store.get(&path).await.unwrap().bytes().await.unwrap();
        let mut older: HashMap<String, serde_json::Value> = serde_json::from_slice(&bytes).unwrap();
        assert!(older.remove("on_request").is_some());
        let older = serde_json::to_vec(&older).unwrap();
        place.store.put(&path, older.into()).await.unwrap();

        let append = copy(&place, "SELECT 2 AS x", "older", "'write_mode' 'append'");
        place.run(&append).await.unwrap();
        let manifest: Manifest = place.manifest("older").await.unwrap();
        assert_eq!((manifest.parts.len(), manifest.rows), (2, Some(2)));
        assert!(place.objects("older").await.contains("_SUCCESS"));

        let overwrite = copy(&place, "SELECT 3 AS x", "older", MODE);
        place.run(&overwrite).await.unwrap();
        only_parts_and_empty_files(&place, "older").await;
        let parts = place.parts("older").await;
        assert_eq!(place.values("older", &parts).await, [3]);
    }
}

/// What a killed program was writing is neither listed nor left: the local disk's store writes to
/// `<name>#<number>`.
#[tokio::test(flavor = "multi_thread")]
async fn pieces_of_killed_programs_are_cleared_away() {
    let place = Place::on_disk();
    let sql = copy(&place, "SELECT 1 AS x", "pieces", MODE);
    place.run(&sql).await.unwrap();
    let folder = std::path::PathBuf::from(format!("/{}", place.path("pieces", "x")));
    let folder = folder.parent().unwrap();
    std::fs::create_dir_all(folder.join("_temporary")).unwrap();
    let pieces = ["_MANIFEST.json#1", "_SUCCESS#12", "_temporary/_LOCK#1"];
    let others = ["_MANIFEST.json#1a", "notes#1", "_temporary/_LOCK#2"];
    for name in pieces.iter().chain(&others) {
        std::fs::write(folder.join(name), "{").unwrap();
    }
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(61);
    let old = std::fs::File::options()
        .write(true)
        .open(folder.join("_temporary/_LOCK#1"))
        .unwrap();
    old.set_modified(long_ago).unwrap();
    place.run(&sql).await.unwrap();
    for name in pieces {
        assert!(!folder.join(name).exists(), "{name}");
    }
    // A young lock may be another run's.
    for name in others {
        assert!(folder.join(name).exists(), "{name}");
    }
}
