//! The scheduler's port with TLS.

use std::sync::Arc;
use std::time::Duration;

use ballista_core::serde::protobuf::scheduler_grpc_server::{SchedulerGrpc, SchedulerGrpcServer};
use ballista_core::serde::protobuf::{
    CancelJobParams, CancelJobResult, CleanJobDataParams, CleanJobDataResult,
    CreateUpdateSessionParams, CreateUpdateSessionResult, ExecuteQueryParams, ExecuteQueryResult,
    ExecutorRegistration, ExecutorStoppedParams, ExecutorStoppedResult, GetJobMetricsParams,
    GetJobMetricsResult, GetJobStatusParams, GetJobStatusResult, HeartBeatParams, HeartBeatResult,
    PollWorkParams, PollWorkResult, RegisterExecutorParams, RegisterExecutorResult,
    RemoveSessionParams, RemoveSessionResult, UpdateTaskStatusParams, UpdateTaskStatusResult,
};
use ballista_scheduler::config::SchedulerConfig;
use datafusion::common::{Result, exec_datafusion_err};
use futures::future::BoxFuture;
use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use super::Security;
use super::config::ServerSide;
use super::files::Reloading;
use super::guard::{Guard, Rules};
use super::incoming::{Incoming, Peer};
use super::token::Token;
use crate::cluster::scheduler::Scheduler;

/// How often a connection that is silent is asked whether the other end is still there, and how long that may
/// take.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
const KEEP_ALIVE_ANSWER: Duration = Duration::from_secs(20);

/// The services of a scheduler on a port with TLS.
pub(crate) struct SecureScheduler {
    tls: Arc<Reloading<ServerSide>>,
    token: Option<Arc<Reloading<Token>>>,
}

impl SecureScheduler {
    /// None without TLS.
    pub(crate) fn try_new(security: &Security) -> Result<Option<Self>> {
        let Some(files) = &security.tls else {
            return Ok(None);
        };
        Ok(Some(Self {
            tls: Arc::new(ServerSide::reloading(files)?),
            token: security.reloading_token()?,
        }))
    }

    pub(crate) async fn serve(
        self,
        listener: TcpListener,
        scheduler: Scheduler,
        config: &SchedulerConfig,
    ) -> Result<()> {
        let ready = scheduler.clone();
        let service = SchedulerGrpcServer::new(Addressed(scheduler))
            .max_decoding_message_size(config.grpc_server_max_decoding_message_size as usize)
            .max_encoding_message_size(config.grpc_server_max_encoding_message_size as usize);
        let guard = Guard {
            rules: Rules {
                token: self.token,
                is_ready: Arc::new(move || ready.is_ready()),
            },
            services: Routes::new(service).prepare(),
        };
        Server::builder()
            .http2_keepalive_interval(Some(KEEP_ALIVE))
            .http2_keepalive_timeout(Some(KEEP_ALIVE_ANSWER))
            .serve_with_incoming(
                guard,
                Incoming::new(listener, self.tls, "the scheduler", ""),
            )
            .await
            .map_err(|e| exec_datafusion_err!("the scheduler serves no longer: {e}"))
    }
}

/// A scheduler that is told where its executors are.
struct Addressed(Scheduler);

/// With TLS, an executor has one port, since it has one server; tasks come in there, too. One that does not say
/// its name has the address that it comes from.
fn address(registration: &mut ExecutorRegistration, peer: Option<Peer>) {
    registration.grpc_port = registration.port;
    if registration.host.is_none() {
        registration.host = peer.map(|peer| peer.address.ip().to_string());
    }
}

fn peer<T>(request: &Request<T>) -> Option<Peer> {
    request.extensions().get::<Peer>().copied()
}

/// Methods that are the scheduler's own, as `async_trait`, which does not look into macros, writes them.
macro_rules! passed_on {
    ($($method:ident($params:ty) -> $result:ty;)*) => {
        $(fn $method<'a, 'b>(
            &'a self,
            request: Request<$params>,
        ) -> BoxFuture<'b, Result<Response<$result>, Status>>
        where
            'a: 'b,
            Self: 'b,
        {
            SchedulerGrpc::$method(&self.0, request)
        })*
    };
}

#[tonic::async_trait]
impl SchedulerGrpc for Addressed {
    type ExecuteQueryPushStream = <Scheduler as SchedulerGrpc>::ExecuteQueryPushStream;

    async fn poll_work(
        &self,
        mut request: Request<PollWorkParams>,
    ) -> Result<Response<PollWorkResult>, Status> {
        let peer = peer(&request);
        if let Some(metadata) = &mut request.get_mut().metadata {
            address(metadata, peer);
        }
        self.0.poll_work(request).await
    }

    async fn register_executor(
        &self,
        mut request: Request<RegisterExecutorParams>,
    ) -> Result<Response<RegisterExecutorResult>, Status> {
        let peer = peer(&request);
        if let Some(metadata) = &mut request.get_mut().metadata {
            address(metadata, peer);
        }
        self.0.register_executor(request).await
    }

    async fn heart_beat_from_executor(
        &self,
        mut request: Request<HeartBeatParams>,
    ) -> Result<Response<HeartBeatResult>, Status> {
        let peer = peer(&request);
        if let Some(metadata) = &mut request.get_mut().metadata {
            address(metadata, peer);
        }
        self.0.heart_beat_from_executor(request).await
    }

    passed_on! {
        update_task_status(UpdateTaskStatusParams) -> UpdateTaskStatusResult;
        executor_stopped(ExecutorStoppedParams) -> ExecutorStoppedResult;
        create_update_session(CreateUpdateSessionParams) -> CreateUpdateSessionResult;
        remove_session(RemoveSessionParams) -> RemoveSessionResult;
        execute_query_push(ExecuteQueryParams) -> Self::ExecuteQueryPushStream;
        execute_query(ExecuteQueryParams) -> ExecuteQueryResult;
        get_job_status(GetJobStatusParams) -> GetJobStatusResult;
        get_job_metrics(GetJobMetricsParams) -> GetJobMetricsResult;
        cancel_job(CancelJobParams) -> CancelJobResult;
        clean_job_data(CleanJobDataParams) -> CleanJobDataResult;
    }
}
