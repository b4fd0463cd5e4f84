//! `read_blob(uri)` and `try_read_blob(uri)`: the bytes of the objects that a query names.
//!
//! ```sql
//! SELECT url, featurize(read_blob(url)) FROM 'photos.parquet';
//! ```
//!
//! # How a call is evaluated
//!
//! Both are scalar functions and may stand wherever one may. Evaluated where it stands, a call fetches
//! the objects of one batch of rows at the same time, and while it does so nothing else of its partition
//! happens: the network waits for the processor, and the processor for the network. The rule
//! [`FetchBlobs`] therefore takes the calls that are made for every row out of the projections, filters
//! and aggregates, and puts a [`ReadBlobExec`] below. That operator reads ahead in the background, as a
//! BINARYFILE table does, and adds a column with what it has read. Calls that are made for some rows only
//! (in `CASE`, behind `AND`), of constants, and in other operators stay where they are; the operator
//! around them is polled by an [`OffloadExec`](crate::offload::OffloadExec), whose thread may wait.
//!
//! DataFusion's own way is `AsyncScalarUDF`. Its operator waits for each batch before it asks for the
//! next, gathers whole batches of rows however long their values are, evaluates calls for rows that a
//! `CASE` leaves out, and cannot stand in `ORDER BY`, `GROUP BY`, `PARTITION BY` and `VALUES`
//! ([`offload`](crate::offload) has the list).
//!
//! The functions are volatile to the optimizer, not because objects change, but because this is its word
//! for "not twice, not while planning, and not where it was not written".
//!
//! # What is reached
//!
//! Buckets with the options that this session's statements gave for them, else with the environment's
//! credentials; web servers; the local disk. Addresses are data, so there are settings:
//! `featurize.read_blob_from` names the places that count, `featurize.read_blob_local_hosts` whether web
//! servers on the machine that reads, and on its own link, are among them (by default not on a cluster,
//! whose executors sit next to services that trust their neighbours), and
//! `featurize.read_blob_max_length` what is too long. Redirects keep to the same rules.

mod access;
mod ahead;
mod allowed;
mod exec;
mod function;
#[cfg(feature = "http")]
mod hosts;
mod in_place;
mod read_blob;
mod reader;
mod rule;
mod try_read_blob;
mod uri;
#[cfg(feature = "http")]
mod web;

use std::sync::Arc;

use datafusion::execution::object_store::ObjectStoreRegistry;
use datafusion::functions::make_udf_function;
use datafusion::logical_expr::ScalarUDF;

pub(crate) use access::BlobCall;
pub(crate) use allowed::Allowed;
pub use exec::ReadBlobExec;
pub(crate) use in_place::with_stores;
pub use read_blob::ReadBlob;
pub use rule::FetchBlobs;
pub use try_read_blob::TryReadBlob;

make_udf_function!(ReadBlob, read_blob);
make_udf_function!(TryReadBlob, try_read_blob);

/// Functions that build expressions.
pub mod expr_fn {
    use datafusion::functions::export_functions;

    export_functions!(
        (read_blob, "The bytes of the object at a URI", uri),
        (
            try_read_blob,
            "The bytes of the object at a URI, NULL if it cannot be had",
            uri
        )
    );
}

/// Both functions.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![read_blob(), try_read_blob()]
}

/// Both functions, which find the stores of this registry where no operator tells them of others.
pub(crate) fn functions_with(registry: &Arc<dyn ObjectStoreRegistry>) -> Vec<Arc<ScalarUDF>> {
    let calls = [false, true].map(|tries| BlobCall::new(tries, Some(Arc::clone(registry))));
    calls.map(BlobCall::into_function).into()
}
