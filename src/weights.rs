//! Weights through the object stores of a session.

use std::fmt;
use std::sync::Arc;

use datafusion::execution::object_store::ObjectStoreRegistry;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion_functions_image::error::{Error, Result};
use datafusion_functions_image::weights::{WebStores, WeightsStores, WeightsUrl};
use futures::future::BoxFuture;
use object_store::ObjectStore;
use object_store::path::Path;

use crate::object_stores::address::is_web;
use crate::object_stores::{StoreOptions, register};

/// Serves weights from the object stores that a session has registered, such as those of its
/// external tables, with their credentials; then from stores that are made from the environment's
/// credentials, for all later statements too, and from the web.
pub struct SessionStores {
    registry: Arc<dyn ObjectStoreRegistry>,
}

impl SessionStores {
    /// The stores of this runtime, those that are registered later included.
    pub fn new(runtime: &RuntimeEnv) -> Self {
        Self::from(Arc::clone(&runtime.object_store_registry))
    }
}

impl From<Arc<dyn ObjectStoreRegistry>> for SessionStores {
    fn from(registry: Arc<dyn ObjectStoreRegistry>) -> Self {
        Self { registry }
    }
}

impl fmt::Debug for SessionStores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionStores").finish_non_exhaustive()
    }
}

impl WeightsStores for SessionStores {
    fn locate<'a>(
        &'a self,
        weights: &'a WeightsUrl,
    ) -> BoxFuture<'a, Result<(Arc<dyn ObjectStore>, Path)>> {
        Box::pin(async move {
            let url = weights.url();
            let failed = |why: &dyn fmt::Display| {
                Error::Configuration(format!("weights at {weights}: {why}"))
            };
            if is_web(url.scheme()) {
                // A store of the whole server knows neither a query nor a user.
                let is_plain = url.query().is_none() && url.username().is_empty();
                if !is_plain || self.registry.get_store(url).is_err() {
                    return WebStores.locate(weights).await;
                }
            }
            let store = register(&self.registry, url.as_str(), &StoreOptions::default()).await;
            let store = store.and_then(|()| self.registry.get_store(url));
            let store = store.map_err(|error| failed(&error.strip_backtrace()))?;
            let path = Path::from_url_path(url.path()).map_err(|error| failed(&error))?;
            Ok((store, path))
        })
    }
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt;
    use object_store::memory::InMemory;
    use url::Url;

    use super::*;

    #[tokio::test]
    async fn registered_stores_serve_weights() {
        let runtime = RuntimeEnv::default();
        let stores = SessionStores::new(&runtime);
        let bucket = Arc::new(InMemory::new());
        bucket
            .put(&Path::from("a b/w.h5"), "x".into())
            .await
            .unwrap();
        let root = Url::parse("s3://bucket").unwrap();
        runtime.register_object_store(&root, bucket);
        let url = WeightsUrl::parse("s3://bucket/a%20b/w.h5").unwrap();
        let (store, path) = stores.locate(&url).await.unwrap();
        assert_eq!(store.head(&path).await.unwrap().size, 1);
    }
}
