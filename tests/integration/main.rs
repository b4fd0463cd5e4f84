//! One binary for all integration tests: linking DataFusion once is enough.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod blobs;
mod cancel;
mod cli;
mod counting_store;
mod examples;
mod faulty_store;
mod guide;
mod hints;
mod interrupt;
mod kill;
#[cfg(feature = "onnx")]
mod onnx;
mod pipeline;
mod printing;
mod readme;
mod registration;
mod repl;
mod report;
mod scan;
mod weights;
mod write;
mod write_faults;
mod write_formats;
#[cfg(unix)]
mod write_links;
mod write_names;
mod write_notices;
mod write_place;
mod write_readers;
mod write_s3;
