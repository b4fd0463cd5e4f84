//! The adaptive planner, which is off.
//!
//! # To be filed upstream
//!
//! > **ballista-scheduler 55.0: with the adaptive planner, a query never ends when an executor is lost**
//! >
//! > With `ballista.planner.adaptive.enabled`, `kill -9` of an executor that holds results of a finished stage
//! > leaves the query `Running` for ever. `finalise_stage_internal` (`state/aqe/planner.rs`) removes a stage from
//! > `runnable_stage_cache` when it ends; `rerun_successful_stage` (`state/aqe/mod.rs`) runs it again without
//! > putting it back, and its second end is the error "cant find stage_id". Running a stage again should put it,
//! > and its output, into the planner's caches again.

use ballista_core::config::BALLISTA_ADAPTIVE_PLANNER_ENABLED;
use datafusion::prelude::SessionConfig;

/// The settings without it.
pub(in crate::cluster) fn without_adaptive_planner(config: SessionConfig) -> SessionConfig {
    config.set_bool(BALLISTA_ADAPTIVE_PLANNER_ENABLED, false)
}
