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
//! all three sides.
//!
//! # On one machine
//!
//! In three terminals (`cargo build --release --features cluster`):
//!
//! ```sh
//! featurize scheduler
//! featurize executor --concurrent-tasks 1
//! featurize executor --concurrent-tasks 1 --bind-port 50061 --bind-grpc-port 50062
//! ```
//!
//! and then `featurize --remote df://localhost:50050`, with a prompt, `-c` or `-f` as without it.
//!
//! # On several
//!
//! Each process shows a certificate, and knows by whose authority those of the others must be. A trial:
//!
//! ```sh
//! featurize certs certs host0 host1 host2      # ca.pem, and scheduler, executor, client as .pem and .key
//! openssl rand -hex 32 > token                 # what clients show besides
//! # the same files on all hosts, of each process its own; here of the executors:
//! export FEATURIZE_TLS_CA=certs/ca.pem FEATURIZE_TLS_CERT=certs/executor.pem FEATURIZE_TLS_KEY=certs/executor.key
//! ```
//!
//! ```sh
//! host0$ featurize scheduler --bind-host 0.0.0.0 --external-host host0 --token-file token
//! host1$ featurize executor --bind-host 0.0.0.0 --external-host host1 --scheduler-host host0
//! host2$ featurize executor --bind-host 0.0.0.0 --external-host host2 --scheduler-host host0
//! laptop$ featurize --remote df://host0:50050 --token-file token
//! ```
//!
//! | port | on | reached by |
//! |---|---|---|
//! | 50050 | the scheduler | clients and executors |
//! | 50051 | each executor: results and intermediate data (Arrow Flight), with TLS tasks too | clients, other executors, with TLS the scheduler |
//! | 50052 | each executor without TLS: tasks | the scheduler |
//!
//! Without `--tls-ca`, `--tls-cert` and `--tls-key` (or `FEATURIZE_TLS_CA`, `FEATURIZE_TLS_CERT`,
//! `FEATURIZE_TLS_KEY`), all three bind and ask addresses of their own machine only, unless `--insecure` is
//! said. See below for what is protected, and what is not.
//!
//! All machines run the same release, which the codecs check. Images, files of `COPY` and weights
//! are found at the same URL or path from each: an object store, or a shared folder. The scheduler
//! lists; executors read and write.
//!
//! **Probes.** `--metrics-port` (of both, none by default) answers `GET /healthz`, `/readyz` and `/metrics`, the
//! numbers for Prometheus, in plaintext and on this machine only unless `--metrics-host` says otherwise. A
//! scheduler is ready when `--min-ready-executors` are there, an executor when the scheduler has answered it.
//! Told to stop (SIGTERM), an executor takes no more tasks and hands those that run to the others; it waits for
//! them for `--grace-period-seconds` (20) at most. The temporary folder of one that was killed is removed by the
//! next on its machine.
//!
//! **Partitions.** A query has `datafusion.execution.target_partitions` parts (16 in a remote
//! session, unless `DATAFUSION_EXECUTION_TARGET_PARTITIONS` or `SET` says otherwise). Take two or
//! three times the number of all executors' concurrent tasks: what is lost with an executor is
//! done again in units of a task.
//!
//! **Weights.** Each executor process loads a network once, from its own cache folder
//! (`FEATURIZE_WEIGHTS_DIR`) or from the URL or path that the query names, the former with the
//! credentials of its environment. A query fails with the reason if an executor cannot.
//!
//! **Credentials.** Executors and scheduler find those of their environment, as the program does
//! alone: variables, profiles, web identity, roles. `aws.…` and `gcp.…` options of `CREATE EXTERNAL
//! TABLE` and `COPY` travel with the plans that need them, to the scheduler and to the executors. Calls of
//! `read_blob` take those of all buckets of the session along, since nobody knows which they will name.
//!
//! **Addresses.** Executors run `read_blob`. What they are told to read is data, so web servers on their own
//! machine and link are not asked unless `featurize.read_blob_local_hosts` is set
//! ([`blobs`](crate::blobs)).
//!
//! **In-memory tables.** Those of `CREATE TABLE` live in the client and are sent with every query
//! that reads them, to the scheduler and again with every task: a PCA model of some megabytes is
//! well placed there, features of a million images are not (`COPY` them to Parquet). Beyond
//! `ballista.client.grpc_max_message_size`, 128 MiB unless set, a query is refused. A fit
//! that a larger query joins is run before that query, which then takes the model along in this way.
//!
//! **Scalar subqueries** that need nothing of the rows around them are queries of their own, which run
//! first; their values are part of the query that is then sent. `EXPLAIN` runs nothing and shows them as
//! joins, and is refused where none can be made (in the arguments of aggregates, `GROUP BY`, `ORDER BY`).
//!
//! # When machines fail
//!
//! An executor that is not heard of for `--executor-timeout-seconds` (scheduler, 180) is lost. Its
//! tasks, and those whose results it held, are run again elsewhere; each row is still there once.
//! It says that it is alive every `--executor-heartbeat-interval-seconds` (60), and the scheduler
//! looks for lost ones every `--expire-dead-executor-interval-seconds` (15). 30, 5 and 5 are sound
//! on a quiet network. A query waits `--no-executors-grace-period-seconds` (180) when no executor
//! is left; one that is asked before the first executor has come waits for it, and says so. An
//! interrupted query is cancelled. The scheduler keeps its state in memory: if it dies, its queries
//! have to be started again.
//!
//! A task names its parts of a `COPY` or `INSERT` by a uuid, and they stay invisible until the
//! commit, which takes those of the attempts that counted; repeated, it finishes what its first
//! attempt has begun ([`sink`](crate::sink)). What a failed query leaves, the next write to the same
//! target removes.
//!
//! # Where Ballista is set otherwise
//!
//! * The adaptive planner (`ballista.planner.adaptive.enabled`) is off: in 55.0, a query of its never
//!   ends when a machine is lost that held results of a finished stage.
//! * Sources in memory keep neither limits nor projections: cutting them into tasks loses the first,
//!   and the second make their order undecodable.
//! * Sorts below a union are operators of ours: executors panic on DataFusion's when a task has no
//!   partition of that input.
//! * Schedulers and executors remember no listing of files: they would not see what others write.
//!
//! # How large
//!
//! Measured by hand: a million files of 4 kB on a local disk, listed, sent and read by two executors of one
//! thread each in 149 s on two busy cores (the listing 8 s); the scheduler took 0.5 GB, the executors 0.3 and
//! 0.4. `benches/cluster.sh` measures images a second with 1, 2 and 4 executors.
//!
//! An argument, not a measurement: 100 executors of 16 cores, 100 million images of 100 kB.
//!
//! * *Listing* is the scheduler's: 100,000 requests of 1,000 names each. Folders are listed at the
//!   same time; in one flat folder the requests follow each other, at 0.1 s each for three hours.
//! * *The work list* is held whole by the scheduler, as an in-memory source of at most 150 bytes an
//!   image (a test says so): 15 GB. **This is the first bottleneck**, at some tens of millions of
//!   images on an ordinary machine. Tables of parts of the bucket, one `INSERT` or `COPY` each, are
//!   the way around it.
//! * *Messages*: a task's share of the list goes with it. A million images in 16 partitions are
//!   9 MB a task, all of them 150 MB; `CLUSTER_MESSAGE_BYTES` is 1 GiB. For 100 million, 3,200
//!   partitions (two a core) are 5 MB each.
//! * *Shuffles*: extraction has none.
//! * *Merging a fit*: each partition of `pca_fit` sends its moments, 8 d² bytes at most, to the one
//!   task that decomposes them. For MobileNetV2 (d = 1,280) these are 13 MB, 42 GB from 3,200
//!   partitions; for VGG16 without pooling (d = 25,088) 5 GB each, which no machine merges: fit on a
//!   sample, or use `pooling => 'avg'`.
//! * *Statements* such as `CREATE TABLE … AS` bring their result to the client; at this size, write
//!   with `COPY`.
//!
//! # What does not work
//!
//! * Table functions (`generate_series`, `parquet_metadata`), since their tables cannot travel.
//! * `COPY` and `INSERT` to other formats than Parquet and CSV, or `PARTITIONED BY` columns: those are
//!   written by DataFusion's own operator, which has no commit, so that the rows of a task that is run
//!   again would be there twice.
//! * `WITH RECURSIVE`, and `UPDATE` and `DELETE` of tables in memory.
//!
//! # What is protected
//!
//! With TLS, on every link: client to scheduler, executor to scheduler, scheduler to executor, and what executors
//! give to each other and to clients.
//!
//! * *Nobody reads along or changes anything*: TLS 1.3, and nothing goes out without it.
//! * *Nobody without a certificate of the cluster's authority gets an answer*, at any of these ports.
//! * *Whoever is asked by name shows a certificate for that name*: the hosts in `--remote`, `--scheduler-host`
//!   and `--external-host`. An executor without `--external-host` is asked by its address, which its certificate
//!   then has to be for.
//! * *Machines and clients differ*: only a certificate that is good for servers (extended key usage `serverAuth`,
//!   or none said) may register as an executor, say what became of tasks, or give an executor tasks. One for
//!   clients only (`clientAuth`) runs queries and reads their results.
//! * *Clients show a token* if the scheduler was given `--token-file`: without the same one, no query, status or
//!   cancellation. Certificates and tokens are compared as the files have them now: they may be replaced while
//!   the processes run. A connection that stands keeps what it was made with; a client keeps its token.
//! * Who is refused is logged with their address, and not with what they have shown. A scheduler tries the port of
//!   each executor that registers without TLS, saying nothing, and is refused once: Ballista 55.0 does not ask
//!   the hook there.
//!
//! Without TLS as with it: options of stores are in no log of scheduler and executors, at any level, in no
//! `Debug` or error, and what the `featurize` program logs ends where such an option begins. Ballista's
//! REST interface, which shows all settings of a query to anyone, and its event log, which writes them
//! down, are not compiled in and not offered. Settings (`SET`) are shown by
//! `SHOW ALL` and logged at the level `trace`, so keep secrets out of them.
//!
//! # What is not protected
//!
//! * *Without TLS, nothing*: whoever reaches the scheduler's port runs queries, and reads and writes files with
//!   the executors' rights; whoever reaches an executor's ports sends it tasks and reads intermediate data;
//!   whoever listens on the wire sees plans, with the options of stores in them. Use `--insecure` on a private
//!   network only, or behind a mesh with mutual TLS (WireGuard, Linkerd).
//! * *Other users of an executor's machine* can send it tasks also with TLS: Ballista's server of tasks listens in
//!   plaintext on the loopback interface, at a port that is announced to nobody and found by who looks. Give each
//!   executor a container of its own, or a machine that others do not log in to.
//! * *Clients are not kept from each other.* Whoever may run queries does so with the executors' rights: their
//!   files, their credentials. Whoever has a certificate, token or not, reads intermediate data if it guesses
//!   the name of a query.
//! * *Certificates are not taken back*: there are no revocation lists. Let them end soon, or replace the authority.
//! * *Disks*: what executors keep between stages lies in their work folders, in plaintext.
//! * *Denial of service*: handshakes and connections are bounded in number and time, queries are not. Whoever
//!   reaches a port and keeps some hundreds of silent connections to it keeps others waiting, without a
//!   certificate, too: let only the cluster and its clients reach it.
//! * `featurize certs` is for trials: the authority's key lies next to what it has signed, all executors share one
//!   key, and nothing takes a certificate back.
//! * TLS needs Unix sockets, in a folder that only the process's user may enter, so that there is none on Windows.

mod cancel;
mod client;
mod codec_functions;
mod codec_logical;
mod codec_physical;
mod codec_sink;
mod deferred;
mod executor;
mod formats;
mod link;
mod loopback;
mod messages;
mod planner;
mod scheduler;
mod session;
mod signals;
mod sorts;
mod status;
mod stored;
mod stores;
mod subqueries;
mod temporary;
#[cfg(test)]
mod tests;
mod tls;
mod work_lists;

pub use ballista_core::config::TaskSchedulingPolicy;
pub use ballista_executor::executor_process::ExecutorProcessConfig;
pub use ballista_scheduler::config::{SchedulerConfig, TaskDistributionPolicy};
pub use cancel::cancellations;
pub use client::{SCHEDULER_PORT, remote_session, secure_remote_session, with_remote_partitions};
pub use codec_logical::FeaturizeLogicalCodec;
pub use codec_physical::FeaturizePhysicalCodec;
pub use executor::{ExecutorOperation, executor_config, run_executor};
pub(crate) use formats::is_packed;
pub use scheduler::{run_scheduler, scheduler_config};
pub use session::{
    CLIENT_MESSAGE_BYTES, CLUSTER_MESSAGE_BYTES, function_registry, scheduler_state, session_config,
};
pub use status::StatusPort;
pub use tls::{CERTIFICATE_DAYS, Security, TlsFiles, make_certificates};
