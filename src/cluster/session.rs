//! What client, scheduler and executors have in common: settings, functions, formats.

use std::sync::Arc;

use ballista_core::config::BALLISTA_CLIENT_GRPC_MAX_MESSAGE_SIZE;
use ballista_core::extension::SessionConfigExt;
use ballista_core::registry::BallistaFunctionRegistry;
use datafusion::common::Result;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::prelude::SessionConfig;

use super::codec_logical::FeaturizeLogicalCodec;
use super::codec_physical::FeaturizePhysicalCodec;
use super::planner::SchedulerPlanner;
use super::stores;
use super::workarounds::{with_ids_at_once, without_adaptive_planner};
use crate::config::FeaturizeOptions;
use crate::session::SessionStateBuilderFeaturize;

/// The largest message that a client sends or receives, unless
/// `ballista.client.grpc_max_message_size` says otherwise: in-memory tables are part of a plan.
pub const CLIENT_MESSAGE_BYTES: usize = 128 * 1024 * 1024;

/// The largest message between schedulers and executors, unless their arguments say otherwise. It
/// is larger than the client's because several tasks, each with its part of the work list and all
/// of the in-memory tables, may share a message.
pub const CLUSTER_MESSAGE_BYTES: u32 = 1024 * 1024 * 1024;

/// Settings as every member of a cluster starts with them: Ballista's, this crate's, and the
/// codecs. What a client sets travels with its queries.
pub fn session_config() -> SessionConfig {
    with_cluster(SessionConfig::new_with_ballista())
}

/// Adds to Ballista's settings what this crate needs.
pub(super) fn with_cluster(config: SessionConfig) -> SessionConfig {
    let config = with_ids_at_once(without_adaptive_planner(config));
    let mut config = config
        .with_ballista_logical_extension_codec(Arc::<FeaturizeLogicalCodec>::default())
        .with_ballista_physical_extension_codec(Arc::<FeaturizePhysicalCodec>::default())
        .set_usize(BALLISTA_CLIENT_GRPC_MAX_MESSAGE_SIZE, CLIENT_MESSAGE_BYTES);
    let extensions = &mut config.options_mut().extensions;
    if extensions.get::<FeaturizeOptions>().is_none() {
        extensions.insert(FeaturizeOptions::default());
    }
    config
}

/// The state in which the scheduler decodes and plans a query.
///
/// # Errors
/// When the runtime cannot be made.
pub fn scheduler_state(config: SessionConfig) -> Result<SessionState> {
    Ok(SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(stores::runtime_env().build_arc()?)
        .with_default_features()
        .with_featurize()
        .with_query_planner(Arc::new(SchedulerPlanner))
        .build())
}

/// The functions that executors find by name: DataFusion's and this crate's.
/// What some of them cannot hold in memory goes to the temporary files of `runtime`.
pub fn function_registry(runtime: Arc<RuntimeEnv>) -> BallistaFunctionRegistry {
    let state = SessionStateBuilder::new()
        .with_runtime_env(runtime)
        .with_default_features()
        .with_featurize()
        .build();
    BallistaFunctionRegistry::from(&state)
}

#[cfg(test)]
mod tests {
    use datafusion::execution::FunctionRegistry;

    use super::*;
    use crate::session::{all_default_aggregate_functions, all_default_scalar_functions};

    /// Names of ours, then some of DataFusion's own.
    fn scalar_names() -> Vec<String> {
        let ours = all_default_scalar_functions();
        let ours = ours.iter().map(|function| function.name().to_owned());
        let builtin = ["split_part", "upper", "array_length", "sha256"];
        ours.chain(builtin.map(ToOwned::to_owned)).collect()
    }

    fn aggregate_names() -> Vec<String> {
        let ours = all_default_aggregate_functions();
        let ours = ours.iter().map(|function| function.name().to_owned());
        let builtin = ["count", "avg", "array_agg"];
        ours.chain(builtin.map(ToOwned::to_owned)).collect()
    }

    #[test]
    fn the_scheduler_knows_our_functions_and_the_built_in_ones() {
        let state = scheduler_state(session_config()).unwrap();
        for name in scalar_names() {
            assert!(state.scalar_functions().contains_key(&name), "{name}");
        }
        for name in aggregate_names() {
            assert!(state.aggregate_functions().contains_key(&name), "{name}");
        }
        assert!(state.window_functions().contains_key("row_number"));
    }

    #[test]
    fn executors_know_our_functions_and_the_built_in_ones() {
        let registry = function_registry(Arc::default());
        for name in scalar_names() {
            assert!(registry.udf(&name).is_ok(), "{name}");
        }
        for name in aggregate_names() {
            assert!(registry.udaf(&name).is_ok(), "{name}");
        }
        assert!(registry.udwf("row_number").is_ok());
    }

    #[test]
    fn settings_travel() {
        let mut client = session_config();
        let options = client.options_mut();
        options.set("featurize.model", "mobilenet_v2").unwrap();
        options.set("featurize.weights", "seeded").unwrap();
        let sent: Vec<_> = options.entries();
        let mut received = session_config();
        for entry in sent {
            if let Some(value) = &entry.value {
                // Unknown keys are ignored by Ballista too.
                let _ = received.options_mut().set(&entry.key, value);
            }
        }
        let options = FeaturizeOptions::from_config(received.options());
        assert_eq!(options.model, "mobilenet_v2");
        assert_eq!(options.weights, "seeded");
    }
}
