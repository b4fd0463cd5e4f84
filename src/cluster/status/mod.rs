//! What an orchestrator and Prometheus ask of a process, on a port of its own: `GET /healthz` (it lives),
//! `/readyz` (it can work) and `/metrics`.
//!
//! The answers are numbers and words of ours: no names, paths or SQL. They are given in plaintext to whoever
//! asks, so the port is on this machine unless it is said otherwise.

mod executor;
mod scheduler;
mod server;
mod text;

pub(super) use executor::executor_status;
pub(super) use scheduler::{Jobs, scheduler_status};
pub use server::StatusPort;
