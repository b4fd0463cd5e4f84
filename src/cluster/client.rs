//! Sessions whose queries run on a cluster.

use std::sync::Arc;

use ballista_core::extension::SessionConfigExt;
use datafusion::common::{Result, config_datafusion_err};
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::prelude::{SessionConfig, SessionContext};
use url::Url;

use super::link::Link;
use super::planner::{ClientPlanner, NotingFactory, SessionStores};
use super::session::with_cluster;
use super::tls::Security;
use super::workarounds::upgraded;
use crate::session::SessionStateBuilderFeaturize;

/// The port of a scheduler when none is given.
pub const SCHEDULER_PORT: u16 = 50050;

/// Partitions of a query on a cluster, as Ballista has them.
const REMOTE_PARTITIONS: usize = 16;

/// The settings with as many partitions as suit a cluster, unless the environment says how many: the cores
/// of this machine say nothing about those of the cluster.
pub fn with_remote_partitions(config: SessionConfig) -> SessionConfig {
    match std::env::var_os("DATAFUSION_EXECUTION_TARGET_PARTITIONS") {
        Some(_) => config,
        None => config.with_target_partitions(REMOTE_PARTITIONS),
    }
}

/// A session that sends its queries to the scheduler at `url`, such as `df://host:50050`, without TLS.
///
/// Tables, views and settings live in this session; queries, `COPY` and `CREATE TABLE … AS` run on
/// the cluster. `CREATE TABLE` and `VALUES` make tables in the memory of this process, which are
/// sent with every query that reads them.
///
/// # Errors
/// When `url` is not one of a scheduler, or no scheduler answers.
pub async fn remote_session(
    url: &str,
    config: SessionConfig,
    runtime: Arc<RuntimeEnv>,
) -> Result<SessionContext> {
    secure_remote_session(url, &Security::default(), config, runtime).await
}

/// As [`remote_session`], with the certificate and the token of `security`.
///
/// # Errors
/// When `url` is not one of a scheduler, no scheduler answers, or one of both does not let the other in.
pub async fn secure_remote_session(
    url: &str,
    security: &Security,
    config: SessionConfig,
    runtime: Arc<RuntimeEnv>,
) -> Result<SessionContext> {
    let (host, port) = address(url)?;
    let link = Link::try_new(host, port, security)?;
    link.check(url).await?;
    remote_session_unchecked(&link, config, &runtime)
}

/// Without asking whether a scheduler is there.
fn remote_session_unchecked(
    link: &Link,
    config: SessionConfig,
    runtime: &RuntimeEnv,
) -> Result<SessionContext> {
    // Lists of files would not show what executors write.
    let runtime = RuntimeEnvBuilder::from_runtime_env(runtime)
        .with_object_list_cache_limit(0)
        .build_arc()?;
    let stores = SessionStores::default();
    let planner = ClientPlanner::new(link.clone(), stores.clone());
    let config = link
        .configure(with_cluster(config.upgrade_for_ballista()))
        .with_ballista_query_planner(Arc::new(planner));
    let mut state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_default_features()
        .with_featurize()
        .build();
    for factory in state.table_factories_mut().values_mut() {
        *factory = Arc::new(NotingFactory {
            inner: Arc::clone(factory),
            stores: stores.clone(),
        });
    }
    let ctx = upgraded(state, link.url())?;
    let state = ctx.state_ref();
    let mut state = state.write();
    // The planner puts their values in their places, and Ballista's joins are not needed.
    let optimizer = &mut state.config_mut().options_mut().optimizer;
    optimizer.enable_physical_uncorrelated_scalar_subquery = true;
    drop(state);
    Ok(ctx)
}

/// Host and port of `df://host:port`.
fn address(url: &str) -> Result<(String, u16)> {
    let bad =
        || config_datafusion_err!("'{url}' is not the URL of a scheduler: expected df://host:port");
    let parsed = Url::parse(url).map_err(|_| bad())?;
    match (parsed.scheme(), parsed.host()) {
        ("df", Some(host)) => {
            let port = parsed.port().unwrap_or(SCHEDULER_PORT);
            Ok((host.to_string(), port))
        }
        _ => Err(bad()),
    }
}

/// Says that a query is going to wait, unless the scheduler is ready for it.
pub(super) async fn warn_unless_ready(link: &Link) {
    // What is wrong otherwise the query will say.
    if link.is_ready().await == Some(false) {
        log::warn!(
            "the scheduler at {link:?} has fewer executors than it waits for, perhaps none: queries wait, \
             too; 'featurize executor' starts one"
        );
    }
}

#[cfg(test)]
mod tests {
    use datafusion::execution::FunctionRegistry;

    use super::*;
    use crate::session::{all_default_aggregate_functions, all_default_scalar_functions};

    #[test]
    fn urls() {
        assert_eq!(address("df://host:7").unwrap(), ("host".to_owned(), 7));
        let here = ("[::1]".to_owned(), SCHEDULER_PORT);
        assert_eq!(address("df://[::1]").unwrap(), here);
        for bad in ["host:7", "http://host:7", "df:///x", ""] {
            let error = address(bad).unwrap_err().to_string();
            assert!(error.contains("expected df://host:port"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_scheduler_that_is_not_there_is_named() {
        let runtime = Arc::new(RuntimeEnv::default());
        // Nothing listens on the discard port of a test machine.
        let error = remote_session("df://127.0.0.1:9", SessionConfig::new(), runtime).await;
        let error = error.err().unwrap().to_string();
        assert!(error.contains("df://127.0.0.1:9"), "{error}");
        assert!(error.contains("featurize scheduler"), "{error}");
    }

    #[test]
    fn becoming_remote_drops_no_function() {
        let runtime = Arc::new(RuntimeEnv::default());
        let link = Link::try_new("h".to_owned(), 1, &Security::default()).unwrap();
        let ctx = remote_session_unchecked(&link, SessionConfig::new(), &runtime).unwrap();
        for function in all_default_scalar_functions() {
            assert!(ctx.udf(function.name()).is_ok(), "{}", function.name());
        }
        for function in all_default_aggregate_functions() {
            assert!(ctx.udaf(function.name()).is_ok(), "{}", function.name());
        }
        for name in ["split_part", "array_length"] {
            assert!(ctx.udf(name).is_ok(), "{name}");
        }
    }
}
