//! From a call to its function, and back.

use std::sync::Arc;

use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::simplify::ExprSimplifyResult;
use datafusion::logical_expr::{Expr, ScalarUDF, lit};

use super::access::BlobCall;
use super::read_blob::ReadBlob;
use super::try_read_blob::TryReadBlob;
use crate::object_stores::address::{hide_secrets, shown};

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

/// A call of one address, of which plans show no more than they may.
pub(super) fn simplified(call: &BlobCall, args: Vec<Expr>) -> ExprSimplifyResult {
    let uri = match args.as_slice() {
        [Expr::Literal(value, _)] => value.try_as_str().flatten(),
        _ => None,
    };
    let Some((uri, told)) = uri.map(|uri| (uri, shown(uri))) else {
        return ExprSimplifyResult::Original(args);
    };
    if told == uri {
        return ExprSimplifyResult::Original(args);
    }
    let call = BlobCall {
        hidden: Some(uri.to_owned()),
        ..call.clone()
    };
    let call = ScalarFunction::new_udf(call.into_function(), vec![lit(told)]);
    ExprSimplifyResult::Simplified(Expr::ScalarFunction(call))
}

/// The name of the column that a call makes. Addresses in it hold no secrets.
pub(super) fn column_name(function: &str, args: &[Expr]) -> String {
    let names = args.iter().map(|arg| arg.schema_name().to_string());
    let names = names.collect::<Vec<_>>().join(",");
    hide_secrets(&format!("{function}({names})"))
}
