//! One scheduler and two executors, each a process of its own on the loopback interface, against
//! the engine of one process. What shared Ballista code does to plans that it does not know is
//! silent (rows that come twice, options that are lost), so every such trap has a test.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod commit;
mod errors;
mod failures;
mod inventory;
mod kubernetes;
mod merging;
mod once;
#[cfg(feature = "onnx")]
mod onnx;
mod pipeline;
mod processes;
mod rows;
#[path = "../support/s3_server/mod.rs"]
#[expect(dead_code, reason = "other tests need more of the server")]
mod s3_server;
mod secrets;
mod status;
mod subqueries;
mod tls;
mod wire;
mod write;
