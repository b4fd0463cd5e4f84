//! Tests of the PCA functions through their public interface.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers outside #[test] functions; a panic is how a test fails"
)]

mod apply;
mod calls;
mod conventions;
mod fit;
mod golden;
mod golden_large;
mod golden_values;
mod laws;
mod registration;
mod scaler;
mod session;
mod spill;
