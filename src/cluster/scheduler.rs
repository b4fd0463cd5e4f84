//! The process that plans queries and hands out their tasks.

use std::net::SocketAddr;
use std::sync::Arc;

use ballista_core::error::BallistaError;
use ballista_core::serde::BallistaCodec;
use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::config::SchedulerConfig;
use ballista_scheduler::scheduler_process::start_grpc_service_with_listener;
use ballista_scheduler::scheduler_server::SchedulerServer;
use datafusion::common::{DataFusionError, Result, exec_datafusion_err};
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use tokio::net::TcpListener;

use super::codec_logical::FeaturizeLogicalCodec;
use super::codec_physical::FeaturizePhysicalCodec;
use super::session::{CLUSTER_MESSAGE_BYTES, scheduler_state, session_config};
use super::signals::told_to_stop;
use super::status::{Jobs, StatusPort, scheduler_status};
use super::tls::{Dialer, SecureScheduler, Security};

pub(super) type Scheduler = SchedulerServer<LogicalPlanNode, PhysicalPlanNode>;

/// Ballista's defaults with this crate's functions, tables, formats and message sizes.
///
/// The REST interface, which shows the settings of every query to whoever asks, is not compiled in.
pub fn scheduler_config() -> SchedulerConfig {
    SchedulerConfig {
        grpc_server_max_decoding_message_size: CLUSTER_MESSAGE_BYTES,
        grpc_server_max_encoding_message_size: CLUSTER_MESSAGE_BYTES,
        grpc_client_max_message_size: CLUSTER_MESSAGE_BYTES,
        override_config_producer: Some(Arc::new(session_config)),
        override_session_builder: Some(Arc::new(scheduler_state)),
        override_logical_codec: Some(Arc::<FeaturizeLogicalCodec>::default()),
        override_physical_codec: Some(Arc::<FeaturizePhysicalCodec>::default()),
        ..SchedulerConfig::default()
    }
}

/// Serves until the process is told to stop, with what `security` gives, and answers probes at `status`. Port 0
/// is any free one; `started` is told which.
///
/// # Errors
/// When the address cannot be bound, a file of `security` not be used, or the configuration is not valid.
pub async fn run_scheduler(
    mut config: SchedulerConfig,
    security: &Security,
    status: Option<StatusPort>,
    started: impl FnOnce(SocketAddr),
) -> Result<()> {
    let secure = SecureScheduler::try_new(security)?;
    if let Some(files) = &security.tls {
        config.override_create_grpc_client_endpoint = Some(Dialer::try_new(files)?.hook());
    }
    let address = format!("{}:{}", config.bind_host, config.bind_port);
    let listener = TcpListener::bind((config.bind_host.as_str(), config.bind_port))
        .await
        .map_err(|e| exec_datafusion_err!("the scheduler cannot listen on {address}: {e}"))?;
    let address = listener.local_addr()?;
    config.bind_port = address.port();
    config.validate().map_err(failed)?;
    let cluster = BallistaCluster::new_from_config(&config)
        .await
        .map_err(failed)?;
    let config = Arc::new(config);
    let jobs = Arc::<Jobs>::default();
    let server = scheduler(cluster, Arc::clone(&config), Arc::clone(&jobs)).await?;
    let _status = status.map(|port| port.serve(scheduler_status(server.clone(), jobs)));
    let told = told_to_stop();
    started(address);
    let served = async {
        match secure {
            Some(secure) => secure.serve(listener, server, &config).await,
            None => start_grpc_service_with_listener(listener, server)
                .await
                .map_err(failed),
        }
    };
    // Its queries end with it in any case, since it keeps them in memory.
    tokio::select! {
        result = served => result,
        () = told => Ok(()),
    }
}

/// Ballista's, whose queries are counted.
async fn scheduler(
    cluster: BallistaCluster,
    config: Arc<SchedulerConfig>,
    jobs: Arc<Jobs>,
) -> Result<Scheduler> {
    let logical = config.override_logical_codec.clone();
    let physical = config.override_physical_codec.clone();
    let codec = BallistaCodec::new(
        logical.unwrap_or_else(|| Arc::<FeaturizeLogicalCodec>::default()),
        physical.unwrap_or_else(|| Arc::<FeaturizePhysicalCodec>::default()),
    );
    let mut server = Scheduler::new(config.scheduler_endpoint(), cluster, codec, config, jobs);
    server.init().await.map_err(failed)?;
    Ok(server)
}

pub(super) fn failed(error: BallistaError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
