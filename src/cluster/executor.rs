//! The process that runs tasks.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion::prelude::SessionConfig;
use uuid::Uuid;

use super::codec_logical::FeaturizeLogicalCodec;
use super::codec_physical::FeaturizePhysicalCodec;
use super::scheduler::failed;
use super::session::{CLUSTER_MESSAGE_BYTES, function_registry, session_config};
use super::stores;

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

/// Runs tasks until the process is told to stop. Ports that are 0 become free ones, and without a
/// work folder a temporary one is made; `started` is told the ports.
///
/// # Errors
/// When a port cannot be bound, the scheduler cannot be reached, or the work folder not be made; when
/// the scheduler gives the executor up.
pub async fn run_executor(
    mut config: ExecutorProcessConfig,
    started: impl FnOnce(u16, u16),
) -> Result<()> {
    (config.port, config.grpc_port) = ports(&config)?;
    // Ballista removes the temporary folder that it makes before it is used.
    let temporary = match &config.work_dir {
        Some(_) => None,
        None => Some(TemporaryFolder::try_new()?),
    };
    if let Some(TemporaryFolder(folder)) = &temporary {
        config.work_dir = Some(folder.display().to_string());
    }
    let work_dir = config.work_dir.clone().unwrap_or_default();
    std::fs::create_dir_all(&work_dir)
        .map_err(|e| exec_datafusion_err!("--work-dir '{work_dir}': {e}"))?;
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
    reach_scheduler(&config).await?;
    started(config.port, config.grpc_port);
    let told = Arc::new(AtomicBool::new(false));
    let _listener = SpawnedTask::spawn(note_signals(Arc::clone(&told)));
    Box::pin(start_executor_process(Arc::new(config)))
        .await
        .map_err(failed)?;
    if !told.load(Ordering::Relaxed) {
        return exec_err!(
            "the scheduler has given this executor up, since it had not heard of it for as long as \
             --executor-timeout-seconds of the scheduler; start it again"
        );
    }
    Ok(())
}

/// Waits for the scheduler, since the time that Ballista waits does not pass (in 55.0, it compares the time
/// that has passed since the same moment).
async fn reach_scheduler(config: &ExecutorProcessConfig) -> Result<()> {
    let address = (config.scheduler_host.as_str(), config.scheduler_port);
    let until =
        Instant::now() + Duration::from_secs(config.scheduler_connect_timeout_seconds.into());
    while let Err(e) = tokio::net::TcpStream::connect(address).await {
        if Instant::now() >= until {
            return exec_err!(
                "there is no scheduler at {}:{} ({e}), also not after {} s \
                 (--scheduler-connect-timeout-seconds); 'featurize scheduler' starts one",
                config.scheduler_host,
                config.scheduler_port,
                config.scheduler_connect_timeout_seconds
            );
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

/// Notes that the process was told to end.
async fn note_signals(told: Arc<AtomicBool>) {
    #[cfg(unix)]
    if let Ok(mut terminate) =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
    {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        told.store(true, Ordering::Relaxed);
        return;
    }
    if tokio::signal::ctrl_c().await.is_ok() {
        told.store(true, Ordering::Relaxed);
    }
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

/// A folder that is removed when the executor stops in an orderly way.
struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    fn try_new() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("featurize-executor-{}", Uuid::now_v7()));
        std::fs::create_dir_all(&folder)
            .map_err(|e| exec_datafusion_err!("work folder '{}': {e}", folder.display()))?;
        Ok(Self(folder))
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        if let Err(e) = std::fs::remove_dir_all(&self.0) {
            log::warn!("could not remove '{}': {e}", self.0.display());
        }
    }
}
