//! Targets of writing are places: whatever characters a folder's name has, it is written there and
//! nowhere else. The whole store is compared before and after, with neighbours whose names a target
//! would match as a pattern, or be when decoded.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use datafusion::execution::SessionStateBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_featurize::SessionStateBuilderFeaturize;
use futures::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use tempfile::TempDir;
use url::Url;

use crate::scan::s3_server::S3Server;
use crate::write_place::run;

/// What breaks those who take a name for a pattern, a URL, a shell's word or an option.
const NAME: &str = "[\\[\\]*?{}#%+&=~' a1é猫,;:@!$()|<>\"^`\\\\-]{1,6}";

/// Names of neighbours that a target is mixed up with.
const NEIGHBOURS: [&str; 12] = [
    "photos 2",
    "photos [2024",
    "Apple #1",
    "Apple ",
    "Apple%20Red",
    "Apple Red",
    "x",
    "x?y",
    "xy",
    "*",
    "a",
    "%61",
];

struct Store {
    store: Arc<dyn ObjectStore>,
    /// Begins every target.
    base: String,
    root: Path,
    url: Url,
    _server: Option<S3Server>,
    _folder: Option<TempDir>,
}

impl Store {
    fn on_disk(with_scheme: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let scheme = if with_scheme { "file://" } else { "" };
        Self {
            store: Arc::new(LocalFileSystem::new()),
            base: format!("{scheme}{}/", folder.path().display()),
            root: Path::from_absolute_path(folder.path()).unwrap(),
            url: Url::parse("file:///").unwrap(),
            _server: None,
            _folder: Some(folder),
        }
    }

    fn on_s3() -> Self {
        let server = S3Server::on_disk(&["names"]);
        Self {
            store: Arc::new(server.store("names").build().unwrap()),
            base: "s3://names/".to_owned(),
            root: Path::default(),
            url: Url::parse("s3://names/").unwrap(),
            _server: Some(server),
            _folder: None,
        }
    }

    fn session(&self) -> SessionContext {
        let config = SessionConfig::new().with_target_partitions(1);
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_default_features()
            .with_featurize()
            .build();
        let ctx = SessionContext::new_with_state(state);
        ctx.register_object_store(&self.url, Arc::clone(&self.store));
        ctx
    }

    fn path(&self, key: &str) -> Path {
        match self.root.as_ref() {
            "" => Path::parse(key).unwrap(),
            root => Path::parse(format!("{root}/{key}")).unwrap(),
        }
    }

    /// Every object of the store by its key, with its content.
    async fn content(&self) -> BTreeMap<String, Vec<u8>> {
        let objects: Vec<_> = self
            .store
            .list(Some(&self.root))
            .try_collect()
            .await
            .unwrap();
        let mut content = BTreeMap::new();
        for object in objects {
            let bytes = self.store.get(&object.location).await.unwrap();
            let key = object
                .location
                .as_ref()
                .trim_start_matches(self.root.as_ref());
            let key = key.trim_start_matches('/').to_owned();
            content.insert(key, bytes.bytes().await.unwrap().to_vec());
        }
        content
    }

    async fn put(&self, key: &str) {
        let path = self.path(key);
        self.store.put(&path, "innocent".into()).await.unwrap();
    }

    /// Neighbours of `key`: beside it and every folder above it, shorter, longer and decoded.
    async fn surround(&self, key: &str) {
        let mut names: BTreeSet<String> =
            NEIGHBOURS.iter().map(|name| (*name).to_owned()).collect();
        let decoded = percent_encoding::percent_decode_str(key).decode_utf8_lossy();
        let cut = |at: [char; 2]| key.split(at).next().unwrap_or_default().to_owned();
        names.extend([
            decoded.into_owned(),
            cut(['?', '#']),
            cut(['*', '[']),
            format!("{key}x"),
        ]);
        for name in names {
            let name = name.trim_matches('/');
            let is_inside = key == name || name.starts_with(&format!("{key}/"));
            if name.is_empty() || is_inside || Path::parse(name).is_err() {
                continue;
            }
            self.put(&format!("{name}/old.parquet")).await;
            self.put(&format!("{name}/k=v/old.csv")).await;
        }
        self.put("old.parquet").await;
        self.put("part-00000.parquet").await;
        self.put("_SUCCESS").await;
    }
}

fn quoted(text: &str) -> String {
    text.replace('\'', "''")
}

async fn values(ctx: &SessionContext, sql: &str) -> Vec<i64> {
    let batches = ctx.sql(sql).await.unwrap().collect().await.unwrap();
    let column = |batch: &arrow::array::RecordBatch| {
        batch
            .column(0)
            .as_primitive::<Int64Type>()
            .values()
            .to_vec()
    };
    batches.iter().flat_map(column).collect()
}

/// What lies in the folder `key`, and all the rest.
fn split(
    content: BTreeMap<String, Vec<u8>>,
    key: &str,
) -> (BTreeSet<String>, BTreeMap<String, Vec<u8>>) {
    let folder = format!("{key}/");
    let (inside, outside): (BTreeMap<_, _>, _) = content
        .into_iter()
        .partition(|(name, _)| name.starts_with(&folder));
    let names = inside.into_keys();
    let names = names.map(|name| name[folder.len()..].to_owned());
    (names.collect(), outside)
}

async fn check_folder(store: &Store, key: &str, format: &str) {
    store.surround(key).await;
    let (inside, outside) = split(store.content().await, key);
    assert!(inside.is_empty(), "{key:?}: {inside:?}");
    let target = quoted(&format!("{}{key}/", store.base));
    let ctx = store.session();
    let table = format!(
        "CREATE EXTERNAL TABLE t (x BIGINT) STORED AS {format} LOCATION '{target}'
         OPTIONS ('format.has_header' 'true')"
    );
    let table = match format {
        "CSV" => table,
        _ => table.replace("OPTIONS ('format.has_header' 'true')", ""),
    };
    let copy = |x: i64, mode: &str| {
        format!(
            "COPY (SELECT CAST({x} AS BIGINT) AS x) TO '{target}' STORED AS {format}
             OPTIONS ('write_mode' '{mode}')"
        )
    };
    let mut expected = vec![];
    for (step, sql) in [
        copy(1, "append"),
        copy(2, "overwrite"),
        table,
        "INSERT INTO t VALUES (3)".to_owned(),
        copy(4, "append"),
        "INSERT OVERWRITE t VALUES (5)".to_owned(),
        copy(6, "overwrite"),
    ]
    .into_iter()
    .enumerate()
    {
        run_sql(&ctx, &sql).await;
        match step {
            0 => expected = vec![1],
            1 => expected = vec![2],
            3 => expected = vec![2, 3],
            4 => expected = vec![2, 3, 4],
            5 => expected = vec![5],
            6 => expected = vec![6],
            _ => {}
        }
        let (inside, now) = split(store.content().await, key);
        assert_eq!(now, outside, "{key:?} after {sql}");
        let parts = inside.iter().filter(|name| name.starts_with("part-"));
        assert_eq!(parts.count(), expected.len(), "{inside:?} after {sql}");
        if step >= 2 {
            let found = values(&ctx, "SELECT x FROM t ORDER BY x").await;
            assert_eq!(found, expected, "{key:?} after {sql}");
        }
    }
    // A table made later finds the columns by itself.
    let (_, before) = split(store.content().await, key);
    let ctx = store.session();
    let sql = format!("CREATE EXTERNAL TABLE t STORED AS {format} LOCATION '{target}'");
    run_sql(&ctx, &sql).await;
    assert_eq!(values(&ctx, "SELECT x FROM t").await, [6], "{key:?}");
    assert_eq!(split(store.content().await, key).1, before);
}

/// Runs a statement that must succeed.
async fn run_sql(ctx: &SessionContext, sql: &str) {
    let done = run(ctx, sql).await;
    assert!(done.is_ok(), "{sql}: {done:?}");
}

async fn check_file(store: &Store, folder: &str, name: &str) {
    let key = format!("{folder}/{name}");
    store.surround(&key).await;
    let mut before = store.content().await;
    before.remove(&key);
    let target = quoted(&format!("{}{key}", store.base));
    let ctx = store.session();
    for x in 1..=2 {
        let sql = format!("COPY (SELECT CAST({x} AS BIGINT) AS x) TO '{target}' STORED AS PARQUET");
        run_sql(&ctx, &sql).await;
        let mut now = store.content().await;
        assert!(now.remove(&key).is_some(), "{key:?}: {now:?}");
        assert_eq!(now, before, "{key:?}");
    }
    let sql = format!("CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '{target}'");
    run_sql(&ctx, &sql).await;
    assert_eq!(values(&ctx, "SELECT x FROM t").await, [2], "{key:?}");
}

/// Names that a store does not have: those of relative paths. `%2E%2E` is one that it has.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".."
}

/// Names from the issue, and `drawn` others.
fn keys(drawn: usize) -> Vec<String> {
    let mut keys: Vec<String> = [
        "photos [2024]",
        "photos*",
        "photos?",
        "Apple #1",
        "Apple #12",
        "x?y",
        "Apple%20Red",
        "100%",
        "50%de",
        "a%2Fb/%2E%2E",
        "it's {1,2}/~ & + =",
        " blanks /é 猫",
        "k=v/[",
    ]
    .map(str::to_owned)
    .to_vec();
    let mut runner = TestRunner::new(Config::default());
    let names = proptest::collection::vec(NAME.prop_filter("a name", |name| is_name(name)), 1..3);
    for _ in 0..drawn {
        keys.push(names.new_tree(&mut runner).unwrap().current().join("/"));
    }
    keys
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_else_changes_on_disk() {
    for (n, key) in keys(12).iter().enumerate() {
        let store = Store::on_disk(n % 2 == 1);
        check_folder(&store, key, ["PARQUET", "CSV"][n / 2 % 2]).await;
        if !key.ends_with(|c: char| c.is_ascii_digit()) {
            check_file(&store, "files", &format!("{key}.parquet")).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_else_changes_on_s3() {
    for (n, key) in keys(5).iter().enumerate() {
        // The server keeps objects as files, and takes '\' for no part of a name.
        let key = key.replace('\\', "|");
        let store = Store::on_s3();
        check_folder(&store, &key, ["PARQUET", "CSV"][n % 2]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_may_have_any_ending() {
    for store in [Store::on_disk(false), Store::on_s3()] {
        for name in ["data.v#2x", "a b.50%", "c.[x]"] {
            check_file(&store, "endings", name).await;
        }
    }
}

/// What cannot be a place is an error, and nothing is touched.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_place_is_refused_before_anything_is_touched() {
    for store in [Store::on_disk(false), Store::on_s3()] {
        store.surround("x").await;
        let before = store.content().await;
        let ctx = store.session();
        let mut targets = vec!["x\ny/".to_owned()];
        if store.base.starts_with("s3:") {
            targets.extend(["/x/", "x//y/", "x/../y/", "/"].map(str::to_owned));
        } else {
            targets.push("x.parquet#12".to_owned());
        }
        for target in targets {
            let target = format!("{}{target}", store.base);
            for sql in [
                format!("COPY (SELECT 1 AS x) TO '{target}' STORED AS PARQUET"),
                format!(
                    "COPY (SELECT 1 AS x) TO '{target}' STORED AS CSV
                     OPTIONS ('write_mode' 'overwrite')"
                ),
                format!("CREATE EXTERNAL TABLE t (x BIGINT) STORED AS CSV LOCATION '{target}'"),
            ] {
                let error = run(&ctx, &sql).await.unwrap_err().to_string();
                assert!(error.contains("hoose another name"), "{sql}: {error}");
                assert_eq!(store.content().await, before, "{sql}");
            }
        }
    }
}

/// A pattern can be read. Writing to it would be writing to the folder before it.
#[tokio::test(flavor = "multi_thread")]
async fn patterns_are_not_written_to() {
    let store = Store::on_disk(false);
    let ctx = store.session();
    let base = &store.base;
    let copy = format!("COPY (SELECT CAST(1 AS BIGINT) AS x) TO '{base}one.parquet'");
    run(&ctx, &copy).await.unwrap();
    let before = store.content().await;
    for pattern in ["*.parquet", "[!_.]*", "o?e.parquet"] {
        let create = format!(
            "CREATE OR REPLACE EXTERNAL TABLE t STORED AS PARQUET LOCATION '{base}{pattern}'"
        );
        run(&ctx, &create).await.unwrap();
        assert_eq!(values(&ctx, "SELECT x FROM t").await, [1]);
        for sql in ["INSERT INTO t VALUES (2)", "INSERT OVERWRITE t VALUES (2)"] {
            let error = run(&ctx, sql).await.unwrap_err().to_string();
            assert!(error.contains("no place to write to"), "{pattern}: {error}");
        }
    }
    assert_eq!(store.content().await, before);
}
