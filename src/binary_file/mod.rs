//! `STORED AS BINARYFILE`: one row an object, as Spark's `binaryFile` reads them.
//!
//! Data flows one way: a `location` and its `options` become a `listing`; predicates on the
//! metadata thin it out and what remains is the `work_list`, an ordinary in-memory source; above
//! it [`FetchExec`] adds `content`, if a query asks for it.
//!
//! What cannot be named is left out of a listing, and told in a warning that names the first and counts
//! them: keys with an empty, `.` or `..` folder, a `/` at their beginning, or a control character; on
//! the local disk names that are not UTF-8 or end in `#` and digits, and links that lead back to a
//! folder above. Folders that consoles and Hadoop mark by an empty object (`k/`, `k_$folder$`, or the
//! name of a folder that other objects lie in) are no rows.
//!
//! A `location` that names an archive, or lies in one, lists its members;
//! an archive in a folder is one row, as every file is.
//!
//! The scan is these two operators, and not one leaf of our own, because Apache Ballista cuts a
//! plan into tasks at the leaves that it knows: it would run every partition of an unknown leaf in
//! every task and so duplicate rows.

pub(crate) mod ahead;
pub(crate) mod content;
pub mod credentials;
mod factory;
pub(crate) mod fetch;
mod in_archives;
mod late;
mod listing;
pub(crate) mod location;
mod members;
pub(crate) mod metrics;
mod objects;
mod options;
mod page;
mod partitions;
mod schema;
mod selection;
mod slices;
mod table;
#[cfg(feature = "cluster")]
mod travel;
mod work_list;

pub use factory::BinaryFileTableFactory;
pub use fetch::{FetchExec, ListingSummary};
pub use late::FetchAfterJoins;
pub use location::split_uri;
pub use options::{BinaryFileOptions, Oversize};
pub use schema::{CONTENT, LENGTH, MODIFICATION_TIME, PATH};
pub use table::BinaryFileTable;
#[cfg(feature = "cluster")]
pub(crate) use travel::{FetchParts, TableParts};

/// The word after `STORED AS`.
pub const FILE_TYPE: &str = "BINARYFILE";
