//! Calls of `read_blob` on their way: with what the session that sent them knows of stores.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::logical_expr::{Expr, LogicalPlan, ScalarUDF};
use prost::Message;

use super::messages::StoresMessage;
use super::stores::Stores;
use crate::blobs::BlobCall;

/// Notes in `buf` what a call takes along; `false` if it takes nothing, and its name is enough.
pub(super) fn encode(function: &ScalarUDF, buf: &mut Vec<u8>) -> bool {
    match BlobCall::of(function) {
        Some(call) if !call.stores.is_empty() => {
            buf.extend(call.stores.to_message().encode_to_vec());
            true
        }
        _ => false,
    }
}

/// The function of this name with what it took along, if it is one of ours and took something.
///
/// # Errors
/// When that cannot be read.
pub(super) fn decode(name: &str, buf: &[u8]) -> Result<Option<Arc<ScalarUDF>>> {
    let tries = match name {
        _ if buf.is_empty() => return Ok(None),
        "read_blob" => false,
        "try_read_blob" => true,
        _ => return Ok(None),
    };
    let stores = StoresMessage::decode(buf)
        .map_err(|e| exec_datafusion_err!("what a call of {name} took along: {e}"))?;
    let call = BlobCall::with_stores(tries, Stores::from_message(stores));
    Ok(Some(call.into_function()))
}

/// Lets the calls of `plan` take `stores` along.
///
/// # Errors
/// When the plan cannot be built anew.
pub(super) fn with_stores(plan: LogicalPlan, stores: &Stores) -> Result<LogicalPlan> {
    if stores.is_empty() {
        return Ok(plan);
    }
    let in_expression = |expression: Expr| match expression {
        Expr::ScalarFunction(mut function) => match BlobCall::of(&function.func) {
            Some(of) => {
                function.func = BlobCall::with_stores(of.tries, stores.clone()).into_function();
                Ok(Transformed::yes(Expr::ScalarFunction(function)))
            }
            None => Ok(Transformed::no(Expr::ScalarFunction(function))),
        },
        other => Ok(Transformed::no(other)),
    };
    let plan = plan.transform_down_with_subqueries(|node| {
        node.map_expressions(|expression| expression.transform(in_expression))
    });
    Ok(plan?.data)
}
