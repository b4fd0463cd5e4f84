//! The process that runs tasks.

use std::net::{IpAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arrow_flight::flight_service_server::FlightServiceServer;
use ballista_core::error::BallistaError;
use ballista_core::utils::create_grpc_server;
use ballista_executor::ArrowFlightServerProvider;
use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion::prelude::SessionConfig;

use super::codec_logical::FeaturizeLogicalCodec;
use super::codec_physical::FeaturizePhysicalCodec;
use super::errors::ExecutorName;
use super::scheduler::failed;
use super::session::{CLUSTER_MESSAGE_BYTES, function_registry, session_config};
use super::signals::told_to_stop;
use super::status::{StatusPort, executor_status};
use super::stores;
use super::tls::{Dialer, Security, secure_executor};
use super::workarounds::{CheckedFlight, reach_scheduler, work_folder};

/// Ballista's defaults with this crate's operators and message sizes. Functions and object stores are
/// added by [`run_executor`], unless they are overridden.
pub fn executor_config() -> ExecutorProcessConfig {
    ExecutorProcessConfig {
        grpc_max_decoding_message_size: CLUSTER_MESSAGE_BYTES,
        grpc_max_encoding_message_size: CLUSTER_MESSAGE_BYTES,
        override_config_producer: Some(Arc::new(session_config)),
        override_logical_codec: Some(Arc::<FeaturizeLogicalCodec>::default()),
        override_physical_codec: Some(Arc::<FeaturizePhysicalCodec>::default()),
        ..ExecutorProcessConfig::default()
    }
}

/// How an executor is watched and stopped.
#[derive(Debug)]
pub struct ExecutorOperation {
    /// Where it answers probes.
    pub status: Option<StatusPort>,
    /// How long its tasks may go on after it was told to stop. Others do them again in any case.
    pub grace: Duration,
}

impl Default for ExecutorOperation {
    fn default() -> Self {
        Self {
            status: None,
            grace: Duration::from_secs(20),
        }
    }
}

/// Runs tasks until the process is told to stop, with what `security` gives. Ports that are 0 become free ones,
/// and without a work folder a temporary one is made; `started` is told the ports for data and for tasks, which
/// are one with TLS.
///
/// # Errors
/// When a port cannot be bound, a file of `security` not be used, the scheduler cannot be reached, or the work
/// folder not be made; when the scheduler gives the executor up.
pub async fn run_executor(
    mut config: ExecutorProcessConfig,
    security: &Security,
    operation: ExecutorOperation,
    started: impl FnOnce(u16, u16),
) -> Result<()> {
    let host = announced_host(&config);
    let dialer = match &security.tls {
        Some(files) => {
            let dialer = Dialer::try_new(files)?;
            secure_executor(&mut config, files, &dialer)?;
            Some(dialer)
        }
        None => {
            (config.port, config.grpc_port) = ports(&config)?;
            serve_checked(&mut config);
            None
        }
    };
    let (work_dir, _temporary) = work_folder(&mut config)?;
    let runtime = stores::runtime_env().with_temp_file_path(Path::new(&work_dir));
    if config.override_function_registry.is_none() {
        let registry = function_registry(runtime.clone().build_arc()?);
        config.override_function_registry = Some(Arc::new(registry));
    }
    if config.override_runtime_producer.is_none() {
        // Its stores are the session's: two may have different credentials for the same bucket.
        config.override_runtime_producer = Some(Arc::new(move |_: &SessionConfig| {
            stores::runtime_env()
                .with_temp_file_path(Path::new(&work_dir))
                .build_arc()
        }));
    }
    if let Some(producer) = config.override_config_producer.take() {
        let name = match host {
            Some(host) => format!("{host}:{}", config.port),
            None => config.executor_id.clone(),
        };
        let name = Arc::new(ExecutorName(name));
        config.override_config_producer = Some(Arc::new(move || {
            producer().with_extension(Arc::clone(&name))
        }));
    }
    reach_scheduler(&config, dialer.as_deref()).await?;
    let signal = told_to_stop();
    match &dialer {
        Some(_) => started(config.port, config.port),
        None => started(config.port, config.grpc_port),
    }
    let told = Arc::new(AtomicBool::new(false));
    let grace = operation.grace;
    let overdue = SpawnedTask::spawn(note_signals(signal, Arc::clone(&told), grace));
    let _status = operation.status.map(|port| {
        let told = Arc::clone(&told);
        let is_stopping = move || told.load(Ordering::Relaxed);
        port.serve(executor_status(config.health.clone(), is_stopping))
    });
    tokio::select! {
        stopped = Box::pin(start_executor_process(Arc::new(config))) => stopped.map_err(failed)?,
        _ = overdue => log::warn!(
            "tasks that have not ended within {grace:?} are given up; others do them again"
        ),
    }
    if !told.load(Ordering::Relaxed) {
        return exec_err!(
            "the scheduler has given this executor up, since it had not heard of it for as long as \
             --executor-timeout-seconds of the scheduler; start it again"
        );
    }
    Ok(())
}

/// The host under which errors name the executor; none if only whoever it connects to knows.
fn announced_host(config: &ExecutorProcessConfig) -> Option<String> {
    let bound = || {
        let address = config.bind_host.parse::<IpAddr>();
        let is_one = address.map_or(true, |address| !address.is_unspecified());
        is_one.then(|| config.bind_host.clone())
    };
    config.external_host.clone().or_else(bound)
}

/// Notes that the process was told to end, and returns when it should have.
async fn note_signals(signal: impl Future<Output = ()>, told: Arc<AtomicBool>, grace: Duration) {
    signal.await;
    told.store(true, Ordering::Relaxed);
    tokio::time::sleep(grace).await;
}

/// The port for data without TLS, as Ballista serves it.
fn serve_checked(config: &mut ExecutorProcessConfig) {
    let most_read = config.grpc_max_decoding_message_size as usize;
    let most_sent = config.grpc_max_encoding_message_size as usize;
    let provider: Arc<ArrowFlightServerProvider> =
        Arc::new(move |work_dir, address, mut shutdown, settings| {
            let service = FlightServiceServer::new(CheckedFlight::new(work_dir))
                .max_decoding_message_size(most_read)
                .max_encoding_message_size(most_sent);
            // Ballista wants the handle.
            tokio::runtime::Handle::current().spawn(async move {
                let server = create_grpc_server(&settings).add_service(service);
                let served = server.serve_with_shutdown(address, shutdown.recv()).await;
                served.map_err(BallistaError::TonicError)
            })
        });
    config.override_arrow_flight_service.get_or_insert(provider);
}

/// The ports to announce, which must be known before they are bound.
fn ports(config: &ExecutorProcessConfig) -> Result<(u16, u16)> {
    // Both are held until both are known, so that they differ.
    let bind = |port: u16| {
        TcpListener::bind((config.bind_host.as_str(), port)).map_err(|e| {
            exec_datafusion_err!(
                "the executor cannot listen on {}:{port}: {e}",
                config.bind_host
            )
        })
    };
    let (flight, grpc) = (bind(config.port)?, bind(config.grpc_port)?);
    Ok((flight.local_addr()?.port(), grpc.local_addr()?.port()))
}
