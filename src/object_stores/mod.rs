//! Object stores: which one a location needs, and with which credentials.

mod access;
pub(crate) mod address;
mod answers;
pub(crate) mod errors;
mod explaining;
#[cfg(feature = "http")]
mod hugging_face;
pub(crate) mod local;
mod made;
mod open;
#[cfg(any(feature = "aws", feature = "azure", feature = "gcp"))]
mod options;
#[cfg(any(feature = "remote", test))]
mod pages;
pub(crate) mod reading;
mod register;
#[cfg(all(feature = "aws", feature = "cli"))]
mod renewing;
pub(crate) mod requests;
pub(crate) mod retry;
#[cfg(feature = "aws")]
mod s3;
mod store_options;
#[cfg(feature = "remote")]
pub(crate) mod transport;
mod xml;

pub(crate) use self::local::register_local_disk;
pub(crate) use self::made::is_made_here;
pub use self::made::opened_stores;
pub(crate) use self::register::register;
pub use self::register::{is_remote, register_object_store};
pub use self::store_options::is_store_option;
#[cfg(feature = "cluster")]
pub(crate) use self::store_options::store_url;
pub(crate) use self::store_options::{StoreOptions, Stores};
