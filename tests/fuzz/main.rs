//! Fuzz targets: whatever bytes come from outside, nothing panics, nothing ends the process, memory stays within
//! what is documented, and the work ends.
//!
//! ```text
//! cargo test --features cluster,onnx,avif --test fuzz -- --seconds 60            # all targets, one after the other
//! cargo test --features cluster,onnx,avif --test fuzz -- --seconds 600 pictures  # one of them
//! cargo test --features cluster,onnx,avif --test fuzz -- --replay FILE pictures  # what a file comes to
//! ```
//!
//! It runs on stable Rust, where there is no coverage to guide it. Two things stand in for that. Inputs are
//! good files of the repository that were damaged in the ways that hurt parsers ([`mutate`]), and repaired where
//! a checksum would hide the damage. And an input that comes to something new (another message, a larger
//! allocation) is kept to be damaged further ([`corpus`]).
//!
//! Each target runs in a process of its own ([`supervisor`], [`worker`]), so that a stack that overflows or an
//! allocation that fails is a fault like any other. Faults and the inputs kept lie in `target/tmp/fuzz`. A fault
//! that is mended leaves a test where its code is; none stays here.
//!
//! It is no part of `cargo test`, which builds it only when it is named, and needs a Unix.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
#![expect(
    clippy::panic,
    reason = "a seed that cannot be made is a defect of this program"
)]

mod arguments;
mod corpus;
mod mutate;
mod random;
mod supervisor;
mod targets;
mod worker;

use std::process::ExitCode;

use peak_alloc::PeakAlloc;

use arguments::Arguments;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(what) => {
            println!("{what}");
            return ExitCode::FAILURE;
        }
    };
    let is_good = match (&arguments.replay, arguments.is_worker) {
        (Some(file), _) => worker::replay(&arguments, file),
        (None, true) => worker::work(&arguments),
        (None, false) => supervisor::supervise(&arguments),
    };
    ExitCode::from(u8::from(!is_good))
}
