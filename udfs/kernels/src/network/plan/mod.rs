//! From layers to steps: what is computed together, by which kernel, and into which memory.

mod assemble;
mod fuse;
mod pack;
mod place;
mod planner;

#[cfg(test)]
pub(super) use planner::{Options, plan};
