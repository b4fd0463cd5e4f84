//! From a call to its function, and back.

use std::sync::Arc;

use datafusion::logical_expr::{Expr, ScalarUDF};

use super::access::BlobCall;
use super::read_blob::ReadBlob;
use super::try_read_blob::TryReadBlob;
use crate::object_stores::address::hide_secrets;

impl BlobCall {
    /// The call of a function, if it is one of the two.
    pub(crate) fn of(function: &ScalarUDF) -> Option<&Self> {
        let function = function.inner();
        match function.downcast_ref::<ReadBlob>() {
            Some(function) => Some(&function.call),
            None => Some(&function.downcast_ref::<TryReadBlob>()?.call),
        }
    }

    /// The function that makes such calls.
    pub(crate) fn into_function(self) -> Arc<ScalarUDF> {
        Arc::new(match self.tries {
            false => ReadBlob::with_call(self).into(),
            true => TryReadBlob::with_call(self).into(),
        })
    }
}

/// The name of the column that a call makes. Addresses in it hold no secrets.
pub(super) fn column_name(function: &str, args: &[Expr]) -> String {
    let names = args.iter().map(|arg| arg.schema_name().to_string());
    let names = names.collect::<Vec<_>>().join(",");
    hide_secrets(&format!("{function}({names})"))
}
