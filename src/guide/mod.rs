//! Guides: how to do with this crate what people do.
//!
//! * [`reference`](mod@reference): the table's options, the ways of writing, every function and setting, weights;
//! * [`porting`]: a PySpark and Keras job, line by line in SQL;
//! * [`credentials`](crate::binary_file::credentials): buckets and who may read them;
//! * [`performance`]: the job stage by stage, and beside other engines;
//! * [`tuning`]: memory, threads and requests;
//! * [`embedding`]: the same inside a Rust program.
//!
//! The SQL and the programs of these pages run in the tests, as they stand here, from the root of the
//! repository.

#[doc = include_str!("embedding.md")]
pub mod embedding {}

#[doc = include_str!("performance.md")]
pub mod performance {}

#[doc = include_str!("porting.md")]
pub mod porting {}

#[doc = include_str!("reference.md")]
pub mod reference {}

#[doc = include_str!("tuning.md")]
pub mod tuning {}
