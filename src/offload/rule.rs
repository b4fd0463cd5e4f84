//! Where an [`OffloadExec`] goes.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::physical_expr::ScalarFunctionExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateOutputMode};
use datafusion::physical_plan::execution_plan::ChildrenPropertiesMode;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::{ExecutionPlan, ReplaceChildrenOptions};

use super::named::with_names;
use super::{OffloadExec, SmallBatchesExec};
use crate::binary_file::FetchExec;
use crate::blobs::{BlobCall, ReadBlobExec};

/// Puts an [`OffloadExec`] above each operator that evaluates a function which computes or waits for long
/// and can be told to stop, and lets such a function name the file that it fails on. It comes last: no
/// other rule has to know that operator.
#[derive(Debug, Default)]
pub struct OffloadComputation;

impl PhysicalOptimizerRule for OffloadComputation {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|plan| {
            if computes_long(plan.as_ref())? {
                let plan = in_small_batches(with_names(plan)?)?;
                return Ok(Transformed::yes(Arc::new(OffloadExec::new(plan))));
            }
            // A session that has the rule twice, or a plan that is optimised twice.
            match plan.downcast_ref::<OffloadExec>() {
                Some(offload) if offload.input().is::<OffloadExec>() => {
                    Ok(Transformed::yes(Arc::clone(offload.input())))
                }
                _ => Ok(Transformed::no(plan)),
            }
        })
        .data()
    }

    fn name(&self) -> &str {
        "offload_computation"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// A projection computes on whole batches, which are small only where they come from a store.
fn in_small_batches(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let Some(projection) = plan.downcast_ref::<ProjectionExec>() else {
        return Ok(plan);
    };
    let input = projection.input();
    let are_small = |plan: &dyn ExecutionPlan| {
        plan.is::<FetchExec>() || plan.is::<ReadBlobExec>() || plan.is::<SmallBatchesExec>()
    };
    let offloaded = input.downcast_ref::<OffloadExec>();
    if are_small(offloaded.map_or(input, |offload| offload.input()).as_ref()) {
        return Ok(plan);
    }
    let input = Arc::new(SmallBatchesExec::new(Arc::clone(input)));
    plan.replace_children(
        vec![input],
        ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute),
    )
}

/// Whether an expression of this operator, not of its inputs, calls such a function.
fn computes_long(plan: &dyn ExecutionPlan) -> Result<bool> {
    // Collecting rows is done in short pieces; it is the model that takes long.
    let mut found = plan
        .downcast_ref::<AggregateExec>()
        .is_some_and(|aggregate| {
            aggregate.mode().output_mode() == AggregateOutputMode::Final
                && aggregate
                    .aggr_expr()
                    .iter()
                    .any(|call| datafusion_functions_pca::looks_for_cancellation(call.fun()))
        });
    plan.apply_expressions(&mut |root| {
        root.apply(|expression| {
            let call = expression.downcast_ref::<ScalarFunctionExpr>();
            found |= call.is_some_and(|call| {
                datafusion_functions_image::looks_for_cancellation(call.fun())
                    || BlobCall::of(call.fun()).is_some()
            });
            Ok(if found {
                TreeNodeRecursion::Stop
            } else {
                TreeNodeRecursion::Continue
            })
        })
    })?;
    Ok(found)
}
