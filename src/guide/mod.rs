//! Guides: how to do with this crate what people do.
//!
//! The SQL of these pages runs in the tests, as it stands here, from the root of the repository.

#[doc = include_str!("porting.md")]
pub mod porting {}

#[doc = include_str!("tuning.md")]
pub mod tuning {}
