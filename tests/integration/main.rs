//! One binary for all integration tests: linking DataFusion once is enough.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod cli;
mod counting_store;
mod readme;
mod registration;
mod scan;
