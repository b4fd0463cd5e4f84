//! Who may ask what, of those who have shown a certificate of the cluster.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use ballista_core::serde::protobuf::{executor_grpc_server, scheduler_grpc_server};
use futures::future::{Either, Ready, ready};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::codegen::http::header::AUTHORIZATION;
use tonic::codegen::http::{HeaderMap, Request, Response, StatusCode};
use tonic::service::Routes;

use super::files::Reloading;
use super::incoming::Peer;
use super::token::Token;

/// What executors ask of a scheduler. Everything else is asked by clients.
const OF_MACHINES: [&str; 5] = [
    "PollWork",
    "RegisterExecutor",
    "HeartBeatFromExecutor",
    "UpdateTaskStatus",
    "ExecutorStopped",
];

/// Asked without a token: the answer says nothing but yes or no.
pub(crate) const READY: &str = "/readyz";
const ALIVE: &str = "/healthz";

/// What a server demands besides a certificate.
#[derive(Clone)]
pub(super) struct Rules {
    /// What clients have to show.
    pub(super) token: Option<Arc<Reloading<Token>>>,
    /// Whether this process can work.
    pub(super) is_ready: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl Rules {
    fn check(&self, path: &str, headers: &HeaderMap, peer: Option<&Peer>) -> Result<(), Refused> {
        let is_machine = peer.is_some_and(|peer| peer.is_machine);
        let (service, method) = path
            .strip_prefix('/')
            .and_then(|path| path.split_once('/'))
            .unwrap_or_default();
        let needs_machine = service == executor_grpc_server::SERVICE_NAME
            || service == scheduler_grpc_server::SERVICE_NAME && OF_MACHINES.contains(&method);
        if needs_machine {
            return is_machine.then_some(()).ok_or(Refused::NoMachine);
        }
        match &self.token {
            Some(token) if service == scheduler_grpc_server::SERVICE_NAME => {
                let shown = headers.get(AUTHORIZATION);
                match token.current().is_in(shown.map(|value| value.as_bytes())) {
                    true => Ok(()),
                    false => Err(Refused::NoToken),
                }
            }
            _ => Ok(()),
        }
    }

    /// The answer to a probe.
    fn probed(&self, path: &str) -> Option<StatusCode> {
        match path {
            ALIVE => Some(StatusCode::OK),
            READY if (self.is_ready)() => Some(StatusCode::OK),
            READY => Some(StatusCode::SERVICE_UNAVAILABLE),
            _ => None,
        }
    }
}

#[derive(Debug, PartialEq)]
enum Refused {
    NoMachine,
    NoToken,
}

impl Refused {
    fn status(&self) -> Status {
        match self {
            Self::NoMachine => Status::permission_denied(self.to_string()),
            Self::NoToken => Status::unauthenticated(self.to_string()),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoMachine => {
                "only machines of the cluster may ask this: their certificates are good for servers \
                 (extended key usage serverAuth)"
            }
            Self::NoToken => {
                "the token is missing or not the scheduler's: a client shows that of its --token-file \
                 (FEATURIZE_TOKEN_FILE)"
            }
        })
    }
}

/// Lets requests through to the services behind it, or not.
#[derive(Clone)]
pub(super) struct Guard {
    pub(super) rules: Rules,
    pub(super) services: Routes,
}

impl Service<Request<Body>> for Guard {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<
        Ready<Result<Response<Body>, Infallible>>,
        <Routes as Service<Request<Body>>>::Future,
    >;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<Request<Body>>::poll_ready(&mut self.services, cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let path = request.uri().path();
        let peer = request.extensions().get::<Peer>();
        if let Some(status) = self.rules.probed(path) {
            let mut answer = Response::new(Body::empty());
            *answer.status_mut() = status;
            return Either::Left(ready(Ok(answer)));
        }
        if let Err(refused) = self.rules.check(path, request.headers(), peer) {
            // The path is one of whoever asks, and may be anything.
            let from = peer.map(|peer| peer.address.to_string());
            log::warn!("refused {}: {refused}", from.unwrap_or_default());
            return Either::Left(ready(Ok(refused.status().into_http())));
        }
        Either::Right(self.services.call(request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(token: bool) -> Rules {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "0123456789abcdef").unwrap();
        let read = move || Token::read(&file);
        let made = Reloading::try_new(vec![], read).unwrap();
        Rules {
            token: token.then(|| Arc::new(made)),
            is_ready: Arc::new(|| false),
        }
    }

    #[test]
    fn machines_do_what_machines_do_and_clients_show_a_token() {
        let client = Peer {
            address: ([10, 0, 0, 9], 7).into(),
            is_machine: false,
        };
        let machine = Peer {
            is_machine: true,
            ..client
        };
        let mut headers = HeaderMap::new();
        let register = "/ballista.protobuf.SchedulerGrpc/RegisterExecutor";
        let task = "/ballista.protobuf.ExecutorGrpc/LaunchMultiTask";
        let query = "/ballista.protobuf.SchedulerGrpc/ExecuteQueryPush";
        let flight = "/arrow.flight.protocol.FlightService/DoGet";
        for rules in [rules(true), rules(false)] {
            for path in [register, task] {
                assert_eq!(rules.check(path, &headers, Some(&machine)), Ok(()));
                for peer in [Some(&client), None] {
                    let refused = rules.check(path, &headers, peer);
                    assert_eq!(refused, Err(Refused::NoMachine), "{path}");
                }
            }
            assert_eq!(rules.check(flight, &headers, Some(&client)), Ok(()));
        }
        assert_eq!(rules(false).check(query, &headers, Some(&client)), Ok(()));
        for peer in [client, machine] {
            let refused = rules(true).check(query, &headers, Some(&peer));
            assert_eq!(refused, Err(Refused::NoToken));
        }
        headers.insert(AUTHORIZATION, "Bearer 0123456789abcdef".parse().unwrap());
        assert_eq!(rules(true).check(query, &headers, Some(&client)), Ok(()));
    }

    #[test]
    fn every_method_that_executors_ask_for_is_one_of_the_scheduler() {
        let source = include_str!("scheduler.rs");
        for method in OF_MACHINES {
            let snake: String = method
                .chars()
                .flat_map(|c| {
                    [
                        c.is_uppercase().then_some('_'),
                        Some(c.to_ascii_lowercase()),
                    ]
                })
                .flatten()
                .collect();
            let snake = snake.trim_start_matches('_');
            assert!(source.contains(&format!(" {snake}(")), "{method}");
        }
    }
}
