//! Functions on their way: with what the session that sent them knows, besides their names.
//!
//! Calls of `read_blob` take its stores along, those of `featurize` the settings that they were planned with.

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::logical_expr::{Expr, LogicalPlan, ScalarUDF};
use datafusion_functions_image::functions::{
    loads_network, planned_settings, with_planned_settings,
};
use datafusion_functions_image::settings::FeatureSettings;
use prost::Message;

use super::messages::{BlobCallMessage, FeatureSettingsMessage};
use super::stores::{self, Stores};
use crate::blobs::BlobCall;

/// Notes in `buf` what a function takes along; `false` if it takes nothing, and its name is enough.
pub(super) fn encode(function: &ScalarUDF, buf: &mut Vec<u8>) -> bool {
    let takes_along = |call: &&BlobCall| !call.stores.is_empty() || call.hidden.is_some();
    if let Some(call) = BlobCall::of(function).filter(takes_along) {
        let message = BlobCallMessage {
            stores: Some(call.stores.to_message()),
            hidden: call.hidden.clone(),
        };
        buf.extend(message.encode_to_vec());
    } else if let Some(settings) = planned_settings(function) {
        let entries = settings.entries().into_iter();
        let entries = entries.map(|(name, value)| (name.to_owned(), value));
        let message = FeatureSettingsMessage {
            entries: entries.collect(),
        };
        buf.extend(message.encode_to_vec());
    } else {
        return false;
    }
    true
}

/// The function of this name with what it took along, if it is one of ours and took something.
///
/// # Errors
/// When that cannot be read.
pub(super) fn decode(name: &str, buf: &[u8]) -> Result<Option<Arc<ScalarUDF>>> {
    let unreadable =
        |why: &dyn fmt::Display| exec_datafusion_err!("what a call of {name} took along: {why}");
    let tries = match name {
        _ if buf.is_empty() => return Ok(None),
        "read_blob" => false,
        "try_read_blob" => true,
        _ if !loads_network(name) => return Ok(None),
        _ => {
            let message =
                FeatureSettingsMessage::decode(buf).map_err(|error| unreadable(&error))?;
            let mut settings = FeatureSettings::default();
            for (name, value) in &message.entries {
                settings.set(name, value)?;
            }
            let function = with_planned_settings(name, stores::weights_access(), settings);
            return Ok(function.map(Arc::new));
        }
    };
    let message = BlobCallMessage::decode(buf).map_err(|error| unreadable(&error))?;
    let stores = Stores::from_message(message.stores.unwrap_or_default());
    let mut call = BlobCall::with_stores(tries, stores);
    call.hidden = message.hidden;
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
                function.func = of.and_stores(stores.clone()).into_function();
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
