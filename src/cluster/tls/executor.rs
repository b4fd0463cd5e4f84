//! The executor's port with TLS: data and tasks.
//!
//! Ballista's server of tasks can only listen itself, in plaintext. It does so on the loopback interface, on a
//! port that nobody is told, and tasks that come in here from the scheduler are passed on to it. Other users
//! of this machine can reach it, if they look for it.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use arrow_flight::flight_service_server::FlightServiceServer;
use ballista_core::error::BallistaError;
use ballista_core::extension::SessionConfigExt;
use ballista_core::serde::protobuf::executor_grpc_server;
use ballista_core::utils::{GrpcServerConfig, create_grpc_server};
use ballista_executor::executor_process::ExecutorProcessConfig;
use ballista_executor::health::ExecutorHealth;
use ballista_executor::shutdown::Shutdown;
use datafusion::common::{Result, exec_datafusion_err};
use futures::FutureExt;
use futures::future::BoxFuture;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::codegen::http::{Request, Response};
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint};

use super::config::ServerSide;
use super::dialer::Dialer;
use super::files::{Reloading, TlsFiles};
use super::guard::{Guard, Rules};
use super::incoming::Incoming;
use crate::cluster::workarounds::CheckedFlight;

/// Ballista's scheduler does so, in plaintext, whatever its hook says; it waits for no answer and says nothing.
const TRIED: &str = " (once for each registration, this is the scheduler, which tries the port)";

/// Makes a configuration of an executor one with TLS: its port for data becomes its only one.
pub(crate) fn secure(
    config: &mut ExecutorProcessConfig,
    files: &TlsFiles,
    dialer: &Arc<Dialer>,
) -> Result<()> {
    let host = config.bind_host.clone();
    let outside = listen(&host, config.port)?;
    config.port = outside.local_addr()?.port();
    let inside = Ipv4Addr::LOCALHOST;
    config.bind_host = inside.to_string();
    // It is free again at once, for Ballista to bind it.
    config.grpc_port = listen(&config.bind_host, 0)?.local_addr()?.port();
    config.override_create_grpc_client_endpoint = Some(dialer.hook());
    if let Some(producer) = config.override_config_producer.take() {
        let hook = dialer.hook();
        config.override_config_producer = Some(Arc::new(move || {
            producer().with_ballista_override_create_grpc_client_endpoint(Arc::clone(&hook))
        }));
    }
    let server = Server {
        tls: Arc::new(ServerSide::reloading(files)?),
        health: config.health.clone(),
        tasks: SocketAddr::from((inside, config.grpc_port)),
        most_read: config.grpc_max_decoding_message_size as usize,
        most_sent: config.grpc_max_encoding_message_size as usize,
    };
    // Ballista calls it once.
    let listener = Mutex::new(Some(outside));
    let server = Arc::new(server);
    config.override_arrow_flight_service =
        Some(Arc::new(move |work_dir, _, shutdown, settings| {
            let mut listener = listener.lock().unwrap_or_else(PoisonError::into_inner);
            let listener = listener.take();
            let server = Arc::clone(&server);
            // Ballista wants the handle.
            tokio::runtime::Handle::current()
                .spawn(async move { server.serve(listener, work_dir, shutdown, &settings).await })
        }));
    Ok(())
}

fn listen(host: &str, port: u16) -> Result<TcpListener> {
    let failed = |e| exec_datafusion_err!("the executor cannot listen on {host}:{port}: {e}");
    let listener = TcpListener::bind((host, port)).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(listener)
}

struct Server {
    tls: Arc<Reloading<ServerSide>>,
    health: ExecutorHealth,
    tasks: SocketAddr,
    most_read: usize,
    most_sent: usize,
}

impl Server {
    async fn serve(
        &self,
        listener: Option<TcpListener>,
        work_dir: String,
        mut shutdown: Shutdown,
        settings: &GrpcServerConfig,
    ) -> Result<(), BallistaError> {
        let failed = |why: String| BallistaError::General(format!("the executor's port: {why}"));
        let listener = listener.ok_or_else(|| failed("it is served already".to_owned()))?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let data = FlightServiceServer::new(CheckedFlight::new(work_dir))
            .max_decoding_message_size(self.most_read)
            .max_encoding_message_size(self.most_sent);
        let tasks = Endpoint::from_shared(format!("http://{}", self.tasks))
            .map_err(|e| failed(e.to_string()))?
            .connect_lazy();
        let health = self.health.clone();
        let guard = Guard {
            rules: Rules {
                token: None,
                is_ready: Arc::new(move || health.is_ready()),
            },
            services: Routes::new(data).add_service(Tasks(tasks)).prepare(),
        };
        create_grpc_server(settings)
            .serve_with_incoming_shutdown(
                guard,
                Incoming::new(listener, Arc::clone(&self.tls), "the executor", TRIED),
                shutdown.recv(),
            )
            .await
            .map_err(|e| failed(e.to_string()))
    }
}

/// Passes requests on to Ballista's server of tasks.
#[derive(Clone)]
struct Tasks(Channel);

impl NamedService for Tasks {
    const NAME: &'static str = executor_grpc_server::SERVICE_NAME;
}

impl Service<Request<Body>> for Tasks {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let mut channel = self.0.clone();
        async move {
            let answer = async {
                std::future::poll_fn(|cx| channel.poll_ready(cx)).await?;
                channel.call(request).await
            };
            Ok(answer.await.unwrap_or_else(|e: tonic::transport::Error| {
                Status::unavailable(format!("the executor takes no tasks: {e}")).into_http()
            }))
        }
        .boxed()
    }
}
