//! Folders to write to, on several stores, and what a reader finds in them.

use std::any::Any;
use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use datafusion::common::Result;
use datafusion::execution::SessionStateBuilder;
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use datafusion_featurize::SessionStateBuilderFeaturize;
use datafusion_featurize::sink::Manifest;
use futures::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use url::Url;

/// A store, and the folder in it that a test may fill.
pub(crate) struct Place {
    pub(crate) store: Arc<dyn ObjectStore>,
    /// Of the store, such as `s3://bucket`.
    base: Url,
    folder: Path,
    /// What must live as long as the store.
    _guard: Box<dyn Any + Send + Sync>,
}

impl Place {
    pub(crate) fn new(
        store: Arc<dyn ObjectStore>,
        base: &str,
        folder: Path,
        guard: impl Send + Sync + 'static,
    ) -> Self {
        Self {
            store,
            base: Url::parse(base).unwrap(),
            folder,
            _guard: Box::new(guard),
        }
    }

    pub(crate) fn in_memory() -> Self {
        let store = Arc::new(InMemory::new());
        Self::new(store, "s3://memory/", Path::from("data"), ())
    }

    pub(crate) fn on_disk() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = Path::from_absolute_path(folder.path()).unwrap();
        Self::new(Arc::new(LocalFileSystem::new()), "file:///", path, folder)
    }

    pub(crate) fn all() -> [Self; 2] {
        [Self::in_memory(), Self::on_disk()]
    }

    /// The URL of a sub-folder.
    pub(crate) fn url(&self, folder: &str) -> String {
        format!("{}{}/{folder}/", self.base, self.folder)
    }

    pub(crate) fn path(&self, folder: &str, name: &str) -> Path {
        Path::parse(format!("{}/{folder}/{name}", self.folder)).unwrap()
    }

    /// A session whose store is `store`.
    pub(crate) fn session(&self, store: &Arc<dyn ObjectStore>) -> SessionContext {
        let config = SessionConfig::new().with_target_partitions(2);
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_default_features()
            .with_featurize()
            .build();
        let ctx = SessionContext::new_with_state(state);
        ctx.register_object_store(&self.base, Arc::clone(store));
        ctx
    }

    pub(crate) async fn run(&self, sql: &str) -> Result<u64> {
        run(&self.session(&self.store), sql).await
    }

    /// Every object below the folder, relative to it.
    pub(crate) async fn objects(&self, folder: &str) -> BTreeSet<String> {
        let folder = Path::parse(format!("{}/{folder}", self.folder)).unwrap();
        let objects = self.store.list(Some(&folder));
        let objects: Vec<_> = objects.try_collect().await.unwrap();
        objects
            .iter()
            .map(|object| {
                let parts = object.location.prefix_match(&folder).unwrap();
                let parts: Vec<String> = parts.map(|part| part.as_ref().to_owned()).collect();
                parts.join("/")
            })
            .collect()
    }

    /// Deletes every object below the folder.
    pub(crate) async fn clear(&self, folder: &str) {
        for name in self.objects(folder).await {
            let path = Path::parse(format!("{}/{folder}/{name}", self.folder)).unwrap();
            self.store.delete(&path).await.unwrap();
        }
    }

    /// Names of the data files that a plain listing shows.
    pub(crate) async fn parts(&self, folder: &str) -> Vec<String> {
        let objects = self.objects(folder).await;
        let visible = |name: &String| !name.starts_with('_') && !name.contains('/');
        objects.into_iter().filter(visible).collect()
    }

    pub(crate) async fn manifest(&self, folder: &str) -> Option<Manifest> {
        let path = self.path(folder, "_MANIFEST.json");
        let found = self.store.get(&path).await.ok()?;
        let bytes = found.bytes().await.unwrap();
        Some(serde_json::from_slice(&bytes).unwrap())
    }

    /// The values of the column `x` in some Parquet files of the folder, sorted.
    pub(crate) async fn values(&self, folder: &str, names: &[String]) -> Vec<i64> {
        if names.is_empty() {
            return vec![];
        }
        let urls: Vec<String> = names
            .iter()
            .map(|name| format!("{}{name}", self.url(folder)))
            .collect();
        let ctx = self.session(&self.store);
        let files = ctx
            .read_parquet(urls, ParquetReadOptions::default())
            .await
            .unwrap();
        let batches = files.collect().await.unwrap();
        let mut values: Vec<i64> = batches
            .iter()
            .flat_map(|batch| {
                let column = batch.column_by_name("x").unwrap();
                column.as_primitive::<Int64Type>().values().to_vec()
            })
            .collect();
        values.sort_unstable();
        values
    }
}

/// Runs a statement; returns the count that it yields.
pub(crate) async fn run(ctx: &SessionContext, sql: &str) -> Result<u64> {
    let batches = ctx.sql(sql).await?.collect().await?;
    let Some(batch) = batches.first() else {
        return Ok(0);
    };
    let counts = batch
        .column(0)
        .as_primitive_opt::<arrow::datatypes::UInt64Type>();
    Ok(counts.map_or(0, |counts| counts.value(0)))
}
