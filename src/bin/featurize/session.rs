//! The session that every statement of the program runs in.

use std::io::IsTerminal;
use std::num::NonZeroUsize;
use std::sync::Arc;

use datafusion::common::{Result, config_datafusion_err};
use datafusion::config::{ConfigNonZeroUsize, ConfigOptions};
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{
    FairSpillPool, GreedyMemoryPool, MemoryPool, TrackConsumersPool,
};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::ExplainFormat;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_cli::object_storage::instrumented::InstrumentedObjectStoreRegistry;
use datafusion_cli::pool_type::PoolType;
use datafusion_cli::print_format::PrintFormat;
use datafusion_cli::print_options::PrintOptions;
#[cfg(feature = "cluster")]
use datafusion_featurize::cluster::{secure_remote_session, with_remote_partitions};
use datafusion_featurize::sql::{enable_program_sql, runtime_has_changed};
use datafusion_featurize::{SessionStateBuilderFeaturize, set_weights_access};

use crate::args::Args;
use crate::progress::{ObservePlan, ProgressDisplay};
use crate::weights;

/// Consumers named in an out-of-memory error.
const TOP_CONSUMERS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(2);

/// A DataFusion session with the extension, and how its results are printed.
pub(crate) struct Session {
    pub(crate) ctx: SessionContext,
    pub(crate) print_options: PrintOptions,
    pub(crate) progress: ProgressDisplay,
    /// Whether queries run in this process.
    is_local: bool,
}

impl Session {
    pub(crate) async fn try_new(args: &Args) -> Result<Self> {
        let stores = Arc::new(InstrumentedObjectStoreRegistry::new());
        let mut runtime =
            RuntimeEnvBuilder::new().with_object_store_registry(Arc::clone(&stores) as _);
        if let Some(limit) = args.memory_limit {
            runtime = runtime.with_memory_pool(memory_pool(limit, &args.mem_pool_type)?);
        }
        if let Some(limit) = args.disk_limit {
            runtime = runtime.with_disk_manager_builder(
                DiskManagerBuilder::default()
                    .with_mode(DiskManagerMode::OsTmpDirectory)
                    .with_max_temp_directory_size(limit),
            );
        }
        let terminal = std::io::stderr().is_terminal();
        let progress = ProgressDisplay::new(args.progress.resolve(args.quiet, terminal));
        let ctx = context(args, runtime.build_arc()?, &progress).await?;
        enable_program_sql(&ctx);
        if let Some(rows) = args.batch_size {
            let state = ctx.state_ref();
            let mut state = state.write();
            let options = state.config_mut().options_mut();
            options.execution.batch_size = ConfigNonZeroUsize::try_new(rows as usize)?;
        }
        let access = weights::access(&ctx.runtime_env(), &progress);
        set_weights_access(&ctx, &access)?;
        Ok(Self {
            ctx,
            print_options: PrintOptions {
                // What datafusion-cli makes of it for results that end.
                format: match args.format {
                    PrintFormat::Automatic => PrintFormat::Table,
                    format => format,
                },
                quiet: args.quiet,
                maxrows: args.maxrows,
                color: args.color,
                instrumented_registry: stores,
            },
            progress,
            #[cfg(not(feature = "cluster"))]
            is_local: true,
            #[cfg(feature = "cluster")]
            is_local: args.remote.is_none(),
        })
    }

    /// Hands the memory pool and the temporary folders to the functions that use them, after a statement has
    /// replaced these.
    pub(crate) fn runtime_has_changed(&self) {
        if self.is_local {
            runtime_has_changed(&self.ctx);
        }
    }
}

/// A session of this process.
#[cfg(not(feature = "cluster"))]
async fn context(
    _args: &Args,
    runtime: Arc<RuntimeEnv>,
    progress: &ProgressDisplay,
) -> Result<SessionContext> {
    Ok(local(config()?, runtime, progress))
}

/// A session of this process, or of a cluster's scheduler.
#[cfg(feature = "cluster")]
async fn context(
    args: &Args,
    runtime: Arc<RuntimeEnv>,
    progress: &ProgressDisplay,
) -> Result<SessionContext> {
    let config = config()?;
    // Half of the files are a mistake without --remote, too.
    let security = args.tls.security(&args.token)?;
    match &args.remote {
        None => Ok(local(config, runtime, progress)),
        Some(url) => {
            security.check_scheduler("--remote", url, args.insecure)?;
            let config = with_remote_partitions(config);
            secure_remote_session(url, &security, config, runtime).await
        }
    }
}

fn local(
    config: SessionConfig,
    runtime: Arc<RuntimeEnv>,
    progress: &ProgressDisplay,
) -> SessionContext {
    let state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_default_features()
        .with_featurize()
        // The last of all rules, or it would not see the plan that is executed.
        .with_physical_optimizer_rule(Arc::new(ObservePlan(progress.clone())))
        .build();
    SessionContext::new_with_state(state)
}

fn memory_pool(limit: u64, kind: &PoolType) -> Result<Arc<dyn MemoryPool>> {
    let limit = usize::try_from(limit)
        .map_err(|_| config_datafusion_err!("--memory-limit is beyond this machine's memory"))?;
    Ok(match kind {
        PoolType::Greedy => Arc::new(TrackConsumersPool::new(
            GreedyMemoryPool::new(limit),
            TOP_CONSUMERS,
        )),
        PoolType::Fair => Arc::new(TrackConsumersPool::new(
            FairSpillPool::new(limit),
            TOP_CONSUMERS,
        )),
    })
}

/// Settings from the environment, then what suits a terminal.
fn config() -> Result<SessionConfig> {
    let mut options = ConfigOptions::from_env()?;
    if std::env::var_os("DATAFUSION_EXPLAIN_FORMAT").is_none() {
        options.explain.format = ExplainFormat::Tree;
    }
    if std::env::var_os("DATAFUSION_FORMAT_NULL").is_none() {
        "NULL".clone_into(&mut options.format.null);
    }
    Ok(SessionConfig::from(options).with_information_schema(true))
}
