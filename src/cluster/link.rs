//! The way from a client to its scheduler.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ballista_core::extension::SessionConfigExt;
use ballista_core::serde::protobuf::CancelJobParams;
use ballista_core::serde::protobuf::GetJobStatusParams;
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion::prelude::SessionConfig;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::codegen::http::{Request, StatusCode};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, metadata::AsciiMetadataValue};

use super::tls::{Dialer, READY, Refusal, Security, Token};

/// How long a scheduler may take to answer the first connection.
const CONNECT: Duration = Duration::from_secs(10);

/// The header with the token.
const AUTHORIZATION: &str = "authorization";

/// A scheduler, and how it is reached.
#[derive(Clone)]
pub(super) struct Link {
    host: String,
    port: u16,
    dialer: Option<Arc<Dialer>>,
    token: Option<Token>,
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Link {
    pub(super) fn try_new(host: String, port: u16, security: &Security) -> Result<Self> {
        let dialer = security.tls.as_ref().map(Dialer::try_new).transpose()?;
        let token = security.token()?;
        Ok(Self {
            host,
            port,
            dialer,
            token,
        })
    }

    /// For Ballista, whose hook makes TLS of it.
    pub(super) fn url(&self) -> String {
        format!("http://{}:{}", self.host, self.port)
    }

    pub(super) fn is_secure(&self) -> bool {
        self.dialer.is_some()
    }

    /// What Ballista needs to reach scheduler and executors as this does.
    pub(super) fn configure(&self, mut config: SessionConfig) -> SessionConfig {
        if let Some(dialer) = &self.dialer {
            config = config.with_ballista_override_create_grpc_client_endpoint(dialer.hook());
        }
        if let Some(token) = &self.token {
            let header = (AUTHORIZATION.to_owned(), token.header());
            config = config.with_ballista_grpc_metadata(HashMap::from([header]));
        }
        config
    }

    /// Finds out before the first query whether the scheduler is there and lets this client in.
    pub(super) async fn check(&self, url: &str) -> Result<()> {
        let refusal = match &self.dialer {
            None => {
                let connect = tokio::net::TcpStream::connect((self.bare_host(), self.port));
                match tokio::time::timeout(CONNECT, connect).await {
                    Ok(Ok(_)) => return self.check_plaintext(url).await,
                    Ok(Err(e)) => Refusal::NotThere(e.to_string()),
                    Err(_) => Refusal::NotThere(format!("no answer within {CONNECT:?}")),
                }
            }
            Some(dialer) => match dialer.probe(&self.host, self.port).await {
                Ok(()) => return self.check_token(url).await,
                Err(refusal) => refusal,
            },
        };
        match refusal {
            Refusal::NotThere(why) => exec_err!(
                "there is no scheduler at {url} ({why}); 'featurize scheduler' starts one"
            ),
            Refusal::Tls(why) => exec_err!(
                "no TLS connection to the scheduler at {url}: {why}; expected certificates of the same \
                 authority on both sides (--tls-ca), the scheduler's for the name in this address"
            ),
        }
    }

    /// A scheduler with TLS hangs up on whoever does not speak it.
    pub(super) async fn check_plaintext(&self, url: &str) -> Result<()> {
        match tokio::time::timeout(CONNECT, self.ask_ready()).await {
            Ok(Err(e)) => exec_err!(
                "what listens at {url} does not answer ({e}); if it is a scheduler with TLS, it expects \
                 --tls-ca, --tls-cert and --tls-key (or FEATURIZE_TLS_CA, …)"
            ),
            _ => Ok(()),
        }
    }

    /// Asks for a job that there is not.
    async fn check_token(&self, url: &str) -> Result<()> {
        let asked = async {
            let mut scheduler = SchedulerGrpcClient::new(self.channel().await?);
            let request = self.request(GetJobStatusParams::default())?;
            Ok::<_, BoxError>(scheduler.get_job_status(request).await)
        };
        let answer = tokio::time::timeout(CONNECT, asked).await;
        match answer {
            Ok(Ok(Err(status))) if status.code() == Code::Unauthenticated => exec_err!(
                "the scheduler at {url} does not let this client in: {}",
                status.message()
            ),
            // What is wrong otherwise the first query will say.
            _ => Ok(()),
        }
    }

    /// Whether the scheduler has the executors that it waits for; none if it does not say.
    pub(super) async fn is_ready(&self) -> Option<bool> {
        let asked = tokio::time::timeout(CONNECT, self.ask_ready());
        asked.await.ok()?.ok()
    }

    async fn ask_ready(&self) -> Result<bool, BoxError> {
        let mut channel = self.channel().await?;
        let request = Request::get(READY).body(Body::empty())?;
        std::future::poll_fn(|cx| channel.poll_ready(cx)).await?;
        Ok(channel.call(request).await?.status() == StatusCode::OK)
    }

    pub(super) async fn cancel(&self, job_id: String) -> Result<(), BoxError> {
        let mut scheduler = SchedulerGrpcClient::new(self.channel().await?);
        let request = self.request(CancelJobParams { job_id })?;
        scheduler.cancel_job(request).await?;
        Ok(())
    }

    async fn channel(&self) -> Result<Channel, BoxError> {
        let endpoint = Endpoint::from_shared(self.url())?.connect_timeout(CONNECT);
        let endpoint = match &self.dialer {
            None => endpoint,
            Some(dialer) => dialer.endpoint(&endpoint)?,
        };
        Ok(endpoint.connect().await?)
    }

    fn request<T>(&self, message: T) -> Result<tonic::Request<T>> {
        let mut request = tonic::Request::new(message);
        if let Some(token) = &self.token {
            let header = AsciiMetadataValue::try_from(token.header());
            let header = header.map_err(|_| exec_datafusion_err!("the token is no header"))?;
            request.metadata_mut().insert(AUTHORIZATION, header);
        }
        Ok(request)
    }

    fn bare_host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "df://{}:{}", self.host, self.port)
    }
}
