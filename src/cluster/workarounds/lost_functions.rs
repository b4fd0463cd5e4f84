//! Functions of a session that becomes one of a cluster.
//!
//! # To be filed upstream
//!
//! > **ballista-core 55.0: `upgrade_for_ballista` drops the functions of the session**
//! >
//! > `SessionStateExt::upgrade_for_ballista` (`extension.rs`) ends in `with_scalar_functions`,
//! > `with_aggregate_functions` and `with_window_functions` of DataFusion's own lists, which replace those of the
//! > state. Functions that were registered before are gone: "Invalid function". The lists should be added to
//! > what is there.

use ballista_core::extension::SessionStateExt;
use datafusion::common::Result;
use datafusion::execution::SessionState;
use datafusion::prelude::SessionContext;

use crate::session::enable_featurize;

/// A session of the scheduler at `url`, with this crate's functions, and the table factories that it had.
pub(in crate::cluster) fn upgraded(state: SessionState, url: String) -> Result<SessionContext> {
    let factories = state.table_factories().clone();
    let ctx = SessionContext::new_with_state(state.upgrade_for_ballista(url)?);
    enable_featurize(&ctx)?;
    *ctx.state_ref().write().table_factories_mut() = factories;
    Ok(ctx)
}

#[cfg(test)]
mod tests {
    use datafusion::execution::{FunctionRegistry, SessionStateBuilder};

    use super::*;
    use crate::session::SessionStateBuilderFeaturize;

    #[test]
    fn upstream_still_loses_them() {
        let state = || {
            let state = SessionStateBuilder::new().with_default_features();
            state.with_featurize().build()
        };
        let url = "http://localhost:50050";
        let lost = state().upgrade_for_ballista(url.to_owned()).unwrap();
        assert!(lost.udf("image_info").is_err(), "mended: this file can go");
        let kept = upgraded(state(), url.to_owned()).unwrap();
        assert!(kept.udf("image_info").is_ok());
    }
}
