//! Tests of the public interface, in one binary.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod laws;
mod resize;
mod safetensors;
mod vgg16;
