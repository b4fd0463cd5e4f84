//! Which files an executor gives to whoever asks.
//!
//! # To be filed upstream
//!
//! > **ballista-executor 55.0: the Flight service reads outside of the work folder**
//! >
//! > `BallistaFlightService` joins the `job_id` of a `FetchPartition` to its work folder (`create_shuffle_path` in
//! > ballista-core, `execution_plans/mod.rs`) as it comes: with `../../x` or `/x` it opens `data.arrow`, or an index
//! > beside it, anywhere on the machine. `remove_job_data` asks `is_subdirectory`; fetching should refuse a
//! > `job_id` that is not one normal component of a path.

use arrow_flight::flight_service_server::FlightService;
use arrow_flight::{
    Action, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, PollInfo,
    SchemaResult, Ticket,
};
use ballista_core::serde::decode_protobuf;
use ballista_core::serde::scheduler::Action as Fetch;
use ballista_executor::flight_service::BallistaFlightService;
use futures::future::BoxFuture;
use tonic::{Request, Response, Status, Streaming};

/// Ballista's service, for the queries of its own work folder.
pub(in crate::cluster) struct CheckedFlight(BallistaFlightService);

impl CheckedFlight {
    pub(in crate::cluster) fn new(work_dir: String) -> Self {
        Self(BallistaFlightService::new(work_dir))
    }
}

/// What cannot be decoded, Ballista refuses.
fn check(message: &[u8]) -> Result<(), Status> {
    let Ok(Fetch::FetchPartition { job_id, .. }) = decode_protobuf(message) else {
        return Ok(());
    };
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    match job_id.as_str() {
        id if !id.is_empty() && id.bytes().all(is_letter) => Ok(()),
        _ => Err(Status::invalid_argument(
            "the id of a query has letters, digits, '-' and '_' only",
        )),
    }
}

/// Methods that are the service's own, as `async_trait`, which does not look into macros, writes them.
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
            self.0.$method(request)
        })*
    };
}

#[tonic::async_trait]
impl FlightService for CheckedFlight {
    type DoActionStream = <BallistaFlightService as FlightService>::DoActionStream;
    type DoExchangeStream = <BallistaFlightService as FlightService>::DoExchangeStream;
    type DoGetStream = <BallistaFlightService as FlightService>::DoGetStream;
    type DoPutStream = <BallistaFlightService as FlightService>::DoPutStream;
    type HandshakeStream = <BallistaFlightService as FlightService>::HandshakeStream;
    type ListActionsStream = <BallistaFlightService as FlightService>::ListActionsStream;
    type ListFlightsStream = <BallistaFlightService as FlightService>::ListFlightsStream;

    async fn do_get(
        &self,
        request: Request<Ticket>,
    ) -> Result<Response<Self::DoGetStream>, Status> {
        check(&request.get_ref().ticket)?;
        self.0.do_get(request).await
    }

    async fn do_action(
        &self,
        request: Request<Action>,
    ) -> Result<Response<Self::DoActionStream>, Status> {
        check(&request.get_ref().body)?;
        self.0.do_action(request).await
    }

    passed_on! {
        handshake(Streaming<HandshakeRequest>) -> Self::HandshakeStream;
        list_flights(Criteria) -> Self::ListFlightsStream;
        get_flight_info(FlightDescriptor) -> FlightInfo;
        poll_flight_info(FlightDescriptor) -> PollInfo;
        get_schema(FlightDescriptor) -> SchemaResult;
        do_put(Streaming<FlightData>) -> Self::DoPutStream;
        do_exchange(Streaming<FlightData>) -> Self::DoExchangeStream;
        list_actions(Empty) -> Self::ListActionsStream;
    }
}

#[cfg(test)]
mod tests {
    use ballista_core::serde::protobuf;
    use prost::Message;
    use tonic::Code;

    use super::*;

    fn fetch(job_id: &str) -> Request<Action> {
        let fetch = protobuf::FetchPartition {
            job_id: job_id.to_owned(),
            stage_id: 1,
            ..Default::default()
        };
        let action = protobuf::Action {
            action_type: Some(protobuf::action::ActionType::FetchPartition(fetch)),
            settings: vec![],
        };
        Request::new(Action::new("IO_BLOCK_TRANSPORT", action.encode_to_vec()))
    }

    fn code<T>(answer: Result<T, Status>) -> Code {
        answer.map_or_else(|status| status.code(), |_| Code::Ok)
    }

    #[tokio::test]
    async fn only_queries_of_the_work_folder_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let work = folder.path().join("work");
        let write = |place: &std::path::Path| {
            let place = place.join("1/0");
            std::fs::create_dir_all(&place).unwrap();
            std::fs::write(place.join("data.arrow"), "hush").unwrap();
        };
        write(&work.join("job-1"));
        write(&folder.path().join("elsewhere"));
        let work = work.display().to_string();
        let (upstream, ours) = (
            BallistaFlightService::new(work.clone()),
            CheckedFlight::new(work),
        );
        assert_eq!(code(ours.do_action(fetch("job-1")).await), Code::Ok);
        let absolute = folder.path().join("elsewhere").display().to_string();
        for outside in ["../elsewhere", &absolute] {
            let answer = upstream.do_action(fetch(outside)).await;
            assert_eq!(code(answer), Code::Ok, "mended: this file can go");
            let answer = ours.do_action(fetch(outside)).await;
            assert_eq!(code(answer), Code::InvalidArgument, "{outside}");
            let ticket = Ticket::new(fetch(outside).into_inner().body);
            let answer = ours.do_get(Request::new(ticket)).await;
            assert_eq!(code(answer), Code::InvalidArgument, "{outside}");
        }
        for bad in ["", ".", "..", "a/b"] {
            assert_eq!(
                code(ours.do_action(fetch(bad)).await),
                Code::InvalidArgument
            );
        }
    }
}
