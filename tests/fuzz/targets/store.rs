//! A session with one bucket in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use bytes::Bytes;
use datafusion::common::Result;
use datafusion::execution::SessionStateBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_featurize::SessionStateBuilderFeaturize;
use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::runtime::Runtime;
use url::Url;

/// The address of the bucket.
pub(super) const BUCKET: &str = "s3://b/";

pub(super) struct Session {
    pub(super) ctx: SessionContext,
    pub(super) store: Arc<InMemory>,
    runtime: Runtime,
}

impl Session {
    pub(super) fn new() -> Self {
        let config = SessionConfig::new().with_target_partitions(1);
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_default_features()
            .with_featurize()
            .build();
        let session = Self {
            ctx: SessionContext::new_with_state(state),
            store: Arc::default(),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap(),
        };
        session.register();
        session
    }

    fn register(&self) {
        let store = Arc::clone(&self.store);
        let url = Url::parse(BUCKET).unwrap();
        self.ctx.register_object_store(&url, store);
    }

    /// Replaces the bucket by one that holds these objects.
    pub(super) fn fill<'a>(&mut self, objects: impl IntoIterator<Item = (&'a str, &'a [u8])>) {
        self.store = Arc::default();
        self.register();
        for (name, content) in objects {
            self.put(name, content);
        }
    }

    pub(super) fn put(&self, name: &str, content: &[u8]) {
        let content = Bytes::copy_from_slice(content);
        let put = async {
            self.store
                .put(&Path::parse(name).unwrap(), content.into())
                .await
        };
        self.runtime.block_on(put).unwrap();
    }

    /// Every object, and its content.
    pub(super) fn objects(&self) -> BTreeMap<String, Bytes> {
        self.wait(async {
            let found: Vec<_> = self.store.list(None).try_collect().await.unwrap();
            let mut objects = BTreeMap::new();
            for object in found {
                let content = self.store.get(&object.location).await.unwrap();
                let content = content.bytes().await.unwrap();
                objects.insert(object.location.to_string(), content);
            }
            objects
        })
    }

    pub(super) fn run(&self, sql: &str) -> Result<Vec<RecordBatch>> {
        self.wait(async { self.ctx.sql(sql).await?.collect().await })
    }

    pub(super) fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }
}
