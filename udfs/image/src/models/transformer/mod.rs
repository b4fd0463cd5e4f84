//! Vision transformers: what a folder of Hugging Face says of one, and the graph that it is.
//!
//! Dosovitskiy et al., "An image is worth 16×16 words", ICLR 2021, and what was made of it.

mod build;
pub(super) mod candle;
mod config;
mod linear;
mod positions;
mod published;

pub(crate) use build::{Tensors, build};
pub(crate) use config::Config;
pub use published::Published;

#[cfg(test)]
mod tests;
