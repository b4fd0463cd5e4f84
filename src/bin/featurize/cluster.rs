//! `featurize scheduler` and `featurize executor`: Ballista's two programs, with their flags.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use datafusion::common::{Result, config_datafusion_err};
use datafusion_featurize::cluster::{
    CLUSTER_MESSAGE_BYTES, ExecutorOperation, ExecutorProcessConfig, SCHEDULER_PORT,
    SchedulerConfig, StatusPort, TaskDistributionPolicy, TaskSchedulingPolicy, executor_config,
    run_executor, run_scheduler, scheduler_config,
};

use crate::security::{CertsArgs, TlsArgs, TokenArgs};

/// The processes of a cluster.
#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Plans queries and hands out their tasks; one to a cluster
    Scheduler(SchedulerArgs),
    /// Runs tasks; any number to a cluster
    Executor(ExecutorArgs),
    Certs(CertsArgs),
}

impl ClusterCommand {
    pub(crate) async fn run(self) -> Result<()> {
        match self {
            Self::Scheduler(args) => {
                let security = args.tls.security(&args.token)?;
                let host = args.bind_host.to_string();
                security.check_address("--bind-host", &host, args.insecure)?;
                let external = args.external_host.clone();
                let status = args.status.bind().await?;
                run_scheduler(args.into_config(), &security, status, move |address| {
                    println!("scheduler: df://{external}:{}", address.port());
                })
                .await
            }
            Self::Executor(args) => {
                let security = args.tls.security(&TokenArgs::default())?;
                let host = args.bind_host.to_string();
                security.check_address("--bind-host", &host, args.insecure)?;
                let host = &args.scheduler_host;
                security.check_address("--scheduler-host", host, args.insecure)?;
                let id = args.id.clone();
                let operation = ExecutorOperation {
                    status: args.status.bind().await?,
                    grace: Duration::from_secs(args.grace_period_seconds),
                };
                run_executor(
                    args.into_config()?,
                    &security,
                    operation,
                    move |flight, grpc| {
                        let id = id.map(|id| format!(" {id}")).unwrap_or_default();
                        match flight == grpc {
                            true => println!("executor{id}: port {flight} (data and tasks, TLS)"),
                            false => {
                                println!("executor{id}: ports {flight} (data) and {grpc} (tasks)")
                            }
                        }
                    },
                )
                .await
            }
            Self::Certs(args) => args.run(),
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum SchedulingPolicy {
    /// The scheduler sends tasks to executors
    PushStaged,
    /// Executors ask for tasks; needs --executor-timeout-seconds of at least 15
    PullStaged,
}

impl From<SchedulingPolicy> for TaskSchedulingPolicy {
    fn from(policy: SchedulingPolicy) -> Self {
        match policy {
            SchedulingPolicy::PushStaged => Self::PushStaged,
            SchedulingPolicy::PullStaged => Self::PullStaged,
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Distribution {
    /// One executor is filled before the next
    Bias,
    /// Tasks are dealt to all executors
    RoundRobin,
}

/// The port for probes and numbers.
#[derive(Debug, Args)]
struct StatusArgs {
    /// The port for GET /healthz, /readyz and /metrics (Prometheus), in plaintext; 0 is any free one, none by
    /// default
    #[arg(long, value_name = "PORT")]
    metrics_port: Option<u16>,

    /// The address of that port
    #[arg(
        long,
        value_name = "IP",
        default_value = "127.0.0.1",
        requires = "metrics_port"
    )]
    metrics_host: IpAddr,
}

impl StatusArgs {
    async fn bind(&self) -> Result<Option<StatusPort>> {
        let Some(port) = self.metrics_port else {
            return Ok(None);
        };
        let status = StatusPort::bind((self.metrics_host, port).into()).await?;
        // The first line of the standard output names the other ports.
        eprintln!("status: http://{}", status.address()?);
        Ok(Some(status))
    }
}

/// Arguments of `featurize scheduler`.
#[derive(Debug, Args)]
pub(crate) struct SchedulerArgs {
    /// The address to listen on; another than one of this machine needs TLS or --insecure
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    bind_host: IpAddr,

    /// Listens on, or asks, other addresses than those of this machine without TLS, though nothing is
    /// encrypted and nobody is asked who they are
    #[arg(long)]
    insecure: bool,

    #[command(flatten)]
    tls: TlsArgs,

    #[command(flatten)]
    token: TokenArgs,

    #[command(flatten)]
    status: StatusArgs,

    /// The port to listen on; 0 is any free one
    #[arg(long, value_name = "PORT", default_value_t = SCHEDULER_PORT)]
    bind_port: u16,

    /// The name under which executors and clients reach this host
    #[arg(long, value_name = "HOST", default_value = "localhost")]
    external_host: String,

    /// How tasks reach executors; all of them need the same
    #[arg(long, value_enum, default_value_t = SchedulingPolicy::PushStaged)]
    scheduler_policy: SchedulingPolicy,

    /// Which executors get tasks
    #[arg(long, value_enum, default_value_t = Distribution::RoundRobin)]
    task_distribution: Distribution,

    /// An executor is lost when it has not been heard of for so long
    #[arg(long, value_name = "SECONDS", default_value_t = 180)]
    executor_timeout_seconds: u64,

    /// How often to look for lost executors
    #[arg(long, value_name = "SECONDS", default_value_t = 15)]
    expire_dead_executor_interval_seconds: u64,

    /// How long queries wait for an executor when none is left
    #[arg(long, value_name = "SECONDS", default_value_t = 180)]
    no_executors_grace_period_seconds: u64,

    /// GET /readyz answers 200 when so many executors are there; on the scheduler's port (with TLS, to whoever
    /// has a certificate) and on --metrics-port
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    min_ready_executors: usize,

    /// Attempts at a task before its query fails
    #[arg(long, value_name = "NUMBER", default_value_t = 4)]
    task_max_failures: usize,

    /// Attempts at a stage before its query fails
    #[arg(long, value_name = "NUMBER", default_value_t = 4)]
    stage_max_failures: usize,

    /// How long executors keep the results of a query
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    finished_job_data_clean_up_interval_seconds: u64,

    /// How long the scheduler remembers a query
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    finished_job_state_clean_up_interval_seconds: u64,

    /// The largest message that is read
    #[arg(long, value_name = "BYTES", default_value_t = CLUSTER_MESSAGE_BYTES)]
    grpc_server_max_decoding_message_size: u32,

    /// The largest message that is answered
    #[arg(long, value_name = "BYTES", default_value_t = CLUSTER_MESSAGE_BYTES)]
    grpc_server_max_encoding_message_size: u32,

    /// The largest message to an executor
    #[arg(long, value_name = "BYTES", default_value_t = CLUSTER_MESSAGE_BYTES)]
    grpc_client_max_message_size: u32,
}

impl SchedulerArgs {
    fn into_config(self) -> SchedulerConfig {
        SchedulerConfig {
            bind_host: self.bind_host.to_string(),
            bind_port: self.bind_port,
            external_host: self.external_host,
            scheduling_policy: self.scheduler_policy.into(),
            task_distribution: match self.task_distribution {
                Distribution::Bias => TaskDistributionPolicy::Bias,
                Distribution::RoundRobin => TaskDistributionPolicy::RoundRobin,
            },
            executor_timeout_seconds: self.executor_timeout_seconds,
            expire_dead_executor_interval_seconds: self.expire_dead_executor_interval_seconds,
            no_executors_grace_period_seconds: self.no_executors_grace_period_seconds,
            min_ready_executors: self.min_ready_executors,
            task_max_failures: self.task_max_failures,
            stage_max_failures: self.stage_max_failures,
            finished_job_data_clean_up_interval_seconds: self
                .finished_job_data_clean_up_interval_seconds,
            finished_job_state_clean_up_interval_seconds: self
                .finished_job_state_clean_up_interval_seconds,
            grpc_server_max_decoding_message_size: self.grpc_server_max_decoding_message_size,
            grpc_server_max_encoding_message_size: self.grpc_server_max_encoding_message_size,
            grpc_client_max_message_size: self.grpc_client_max_message_size,
            ..scheduler_config()
        }
    }
}

/// Arguments of `featurize executor`.
#[derive(Debug, Args)]
pub(crate) struct ExecutorArgs {
    /// The host of the scheduler
    #[arg(long, value_name = "HOST", default_value = "localhost")]
    scheduler_host: String,

    /// The port of the scheduler
    #[arg(long, value_name = "PORT", default_value_t = SCHEDULER_PORT)]
    scheduler_port: u16,

    /// How long to wait for a scheduler that is not there yet
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    scheduler_connect_timeout_seconds: u16,

    /// The address to listen on; another than one of this machine needs TLS or --insecure
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    bind_host: IpAddr,

    /// Listens on, or asks, other addresses than those of this machine without TLS, though nothing is
    /// encrypted and nobody is asked who they are
    #[arg(long)]
    insecure: bool,

    #[command(flatten)]
    tls: TlsArgs,

    #[command(flatten)]
    status: StatusArgs,

    /// How long tasks may go on when the executor was told to stop (SIGTERM); others do them again in any case
    #[arg(long, value_name = "SECONDS", default_value_t = 20)]
    grace_period_seconds: u64,

    /// The port for data (Arrow Flight), with TLS for tasks too; 0 is any free one
    #[arg(long, value_name = "PORT", default_value_t = 50051)]
    bind_port: u16,

    /// The port for tasks without TLS; 0 is any free one
    #[arg(long, value_name = "PORT", default_value_t = 50052)]
    bind_grpc_port: u16,

    /// The name under which scheduler, clients and other executors reach this host
    #[arg(long, value_name = "HOST")]
    external_host: Option<String>,

    /// A name instead of a random one
    #[arg(long, value_name = "NAME")]
    id: Option<String>,

    /// Tasks at once; 0 is one a core. Inference uses all cores whatever the number
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 0,
        visible_alias = "vcores"
    )]
    concurrent_tasks: usize,

    /// The folder for intermediate results; a temporary one by default
    #[arg(long, value_name = "FOLDER")]
    work_dir: Option<PathBuf>,

    /// How tasks reach this executor; as the scheduler has it
    #[arg(long, value_enum, default_value_t = SchedulingPolicy::PushStaged)]
    task_scheduling_policy: SchedulingPolicy,

    /// How often to tell the scheduler that this executor is alive
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    executor_heartbeat_interval_seconds: u64,

    /// Most memory that tasks may reserve, in bytes, 0 for no limit; by default a share of the
    /// machine's
    #[arg(long, value_name = "BYTES")]
    memory_pool_size: Option<u64>,

    /// How long the results of a query are kept at most
    #[arg(long, value_name = "SECONDS", default_value_t = 604_800)]
    job_data_ttl_seconds: u64,

    /// How often to look for old results; 0 is never
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    job_data_clean_up_interval_seconds: u64,

    /// The largest message that is read
    #[arg(long, value_name = "BYTES", default_value_t = CLUSTER_MESSAGE_BYTES)]
    grpc_server_max_decoding_message_size: u32,

    /// The largest message that is sent
    #[arg(long, value_name = "BYTES", default_value_t = CLUSTER_MESSAGE_BYTES)]
    grpc_server_max_encoding_message_size: u32,
}

impl ExecutorArgs {
    fn into_config(self) -> Result<ExecutorProcessConfig> {
        let defaults = executor_config();
        let work_dir = self.work_dir.map(|folder| {
            let text = folder.to_str().map(ToOwned::to_owned);
            text.ok_or_else(|| {
                config_datafusion_err!("--work-dir '{}' is not UTF-8", folder.display())
            })
        });
        Ok(ExecutorProcessConfig {
            executor_id: self.id.unwrap_or_else(|| defaults.executor_id.clone()),
            scheduler_host: self.scheduler_host,
            scheduler_port: self.scheduler_port,
            scheduler_connect_timeout_seconds: self.scheduler_connect_timeout_seconds,
            bind_host: self.bind_host.to_string(),
            port: self.bind_port,
            grpc_port: self.bind_grpc_port,
            external_host: self.external_host,
            vcores: self.concurrent_tasks,
            work_dir: work_dir.transpose()?,
            task_scheduling_policy: self.task_scheduling_policy.into(),
            executor_heartbeat_interval_seconds: self.executor_heartbeat_interval_seconds,
            memory_pool_size: self.memory_pool_size,
            job_data_ttl_seconds: self.job_data_ttl_seconds,
            job_data_clean_up_interval_seconds: self.job_data_clean_up_interval_seconds,
            grpc_max_decoding_message_size: self.grpc_server_max_decoding_message_size,
            grpc_max_encoding_message_size: self.grpc_server_max_encoding_message_size,
            ..defaults
        })
    }
}
