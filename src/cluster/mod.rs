//! More than one machine: the same SQL on [Apache Ballista](https://datafusion.apache.org/ballista).
//!
//! ```text
//! client      SQL → logical plan                 remote_session, featurize --remote
//!   │ logical plan, settings
//! scheduler   lists, plans, cuts into tasks      run_scheduler, featurize scheduler
//!   │ physical plan of each task
//! executors   fetch, infer, fit, write           run_executor, featurize executor
//! ```
//!
//! Scheduling, shuffles and fault tolerance are Ballista's. Here is only what makes plans of this
//! crate travel: codecs for its tables, operators and formats, and sessions with its functions on
//! all three sides; what its processes show to each other (`tls`) and to operators (`status`); and, in
//! `workarounds`, what goes wrong upstream.
//!
//! * [`running`]: how to start a cluster, and what becomes of it when machines fail;
//! * [`scale`]: how large it may be;
//! * [`security`]: what is protected, and what is not.

mod client;
mod codec_functions;
mod codec_logical;
mod codec_physical;
mod codec_sink;
mod deferred;
mod errors;
mod executor;
mod link;
mod loopback;
mod merging;
mod messages;
mod planner;
mod scheduler;
mod session;
mod signals;
mod status;
mod stored;
mod stores;
mod temporary;
#[cfg(test)]
mod tests;
mod tls;
mod workarounds;

#[doc = include_str!("guide/running.md")]
pub mod running {}

#[doc = include_str!("guide/scale.md")]
pub mod scale {}

#[doc = include_str!("guide/security.md")]
pub mod security {}

pub use ballista_core::config::TaskSchedulingPolicy;
pub use ballista_executor::executor_process::ExecutorProcessConfig;
pub use ballista_scheduler::config::{SchedulerConfig, TaskDistributionPolicy};
pub use client::{SCHEDULER_PORT, remote_session, secure_remote_session, with_remote_partitions};
pub use codec_logical::FeaturizeLogicalCodec;
pub use codec_physical::FeaturizePhysicalCodec;
pub use executor::{ExecutorOperation, executor_config, run_executor};
pub use scheduler::{run_scheduler, scheduler_config};
pub use session::{
    CLIENT_MESSAGE_BYTES, CLUSTER_MESSAGE_BYTES, function_registry, scheduler_state, session_config,
};
pub use status::StatusPort;
pub use tls::{CERTIFICATE_DAYS, Security, TlsFiles, make_certificates};
pub use workarounds::cancellations;
pub(crate) use workarounds::is_packed;
