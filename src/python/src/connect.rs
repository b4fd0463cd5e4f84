//! How a session is opened: settings, memory, and whether queries run here or on a cluster.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::config::ConfigOptions;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_featurize::image::weights::WeightsAccess;
use datafusion_featurize::sql::enable_program_sql;
use datafusion_featurize::weights::SessionStores;
use datafusion_featurize::{SessionStateBuilderFeaturize, set_weights_access};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::connection::Connection;
use crate::errors::raised;
use crate::progress::Watched;
use crate::wait::wait;

/// Opens a session in this process, or with remote='df://localhost:50050' one on a cluster. With the variables
/// FEATURIZE_TLS_CA, FEATURIZE_TLS_CERT and FEATURIZE_TLS_KEY, files of PEM, the way there is mutual TLS, and
/// FEATURIZE_TOKEN_FILE is the token that the scheduler may demand. Without them nothing is encrypted, so that a
/// scheduler on another machine needs insecure=True.
///
/// memory_limit is how much memory queries may take, in bytes or as '4G'. Further arguments are settings:
/// weights='seeded' is SET featurize.weights = 'seeded', and **{'datafusion.execution.batch_size': 512}
/// sets one of DataFusion's. Variables of the environment count as for the program: FEATURIZE_WEIGHTS_DIR,
/// AWS_PROFILE, DATAFUSION_EXECUTION_TARGET_PARTITIONS and so on.
///
/// >>> con = datafusion_featurize.connect(memory_limit='8G', model='mobilenet_v2')
///
/// Raises StatementError for a setting that there is not, and ExecutionError where no scheduler answers.
#[pyfunction]
#[pyo3(signature = (memory_limit=None, remote=None, insecure=false, **settings))]
pub(crate) fn connect(
    py: Python<'_>,
    memory_limit: Option<&Bound<'_, PyAny>>,
    remote: Option<String>,
    insecure: bool,
    settings: Option<&Bound<'_, PyDict>>,
) -> PyResult<Connection> {
    let watched = Watched::default();
    let config = configured(settings)?;
    let is_local = remote.is_none();
    let ctx = match remote {
        None => local(config, &watched),
        Some(url) => wait(py, cluster(url, config, insecure), |_| Ok(()))?,
    };
    enable_program_sql(&ctx);
    let stores = SessionStores::new(&ctx.runtime_env());
    let downloads = watched.clone();
    let access = WeightsAccess::new(Arc::new(stores))
        .with_progress(Arc::new(move |progress| downloads.download(progress)));
    set_weights_access(&ctx, &access).map_err(|e| raised(&e))?;
    let connection = Connection::new(ctx, watched, is_local);
    if let Some(limit) = memory_limit {
        let limit = match limit.extract::<u64>() {
            Ok(bytes) => format!("{}K", bytes.div_ceil(1024)),
            Err(_) => limit.str()?.to_string().replace('\'', "''"),
        };
        let set = format!("SET datafusion.runtime.memory_limit = '{limit}'");
        connection.sql(py, &set, None)?;
    }
    Ok(connection)
}

/// Settings of the environment, then those of the call.
fn configured(settings: Option<&Bound<'_, PyDict>>) -> PyResult<SessionConfig> {
    let environment = ConfigOptions::from_env().map_err(|e| raised(&e))?;
    let config = SessionConfig::from(environment).with_information_schema(true);
    // The extension's settings have to be there before they can be set.
    let state = SessionStateBuilder::new().with_config(config);
    let mut config = state.with_featurize().build().config().clone();
    for (name, value) in settings.into_iter().flatten() {
        let name: String = name.extract()?;
        let name = match name.contains('.') {
            true => name,
            false => format!("featurize.{name}"),
        };
        let value = match value.extract::<bool>() {
            Ok(value) => value.to_string(),
            Err(_) => value.str()?.to_string(),
        };
        let set = config.options_mut().set(&name, &value);
        set.map_err(|e| raised(&e))?;
    }
    Ok(config)
}

fn local(config: SessionConfig, watched: &Watched) -> SessionContext {
    let state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(Arc::new(RuntimeEnv::default()))
        .with_default_features()
        .with_featurize()
        // The last of all rules, or it would not see the plan that is executed.
        .with_physical_optimizer_rule(Arc::new(watched.clone()))
        .build();
    SessionContext::new_with_state(state)
}

#[cfg(feature = "cluster")]
async fn cluster(url: String, config: SessionConfig, insecure: bool) -> Result<SessionContext> {
    use datafusion_featurize::cluster::{Security, secure_remote_session, with_remote_partitions};

    let security = Security::of_the_environment()?;
    security.check_scheduler("remote", &url, insecure)?;
    let runtime = Arc::new(RuntimeEnv::default());
    secure_remote_session(&url, &security, with_remote_partitions(config), runtime).await
}

#[cfg(not(feature = "cluster"))]
async fn cluster(url: String, _config: SessionConfig, _insecure: bool) -> Result<SessionContext> {
    datafusion::common::exec_err!(
        "this package was built without the feature 'cluster', which remote='{url}' needs: \
         pip install -C build-args='--features cluster' ./src/python"
    )
}
