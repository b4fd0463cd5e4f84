//! The order of a source in memory, as its encoding has it.
//!
//! # To be filed upstream
//!
//! > **datafusion 55.2: an ordered `MemorySourceConfig` with a projection does not survive its encoding**
//! >
//! > `try_to_proto` (`datasource/src/memory.rs`) writes `sort_information` in terms of the projected columns,
//! > since `try_with_projections` has rewritten it, and `try_from_proto` reads it in terms of all columns of the
//! > source: the plan either fails to decode, or is said to be ordered by another column, and what relies on
//! > the order gives wrong rows. Decoding should look the expressions up in the projected schema, and set them
//! > without projecting them again.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::source::{DataSource, DataSourceExec};
use datafusion::physical_plan::ExecutionPlan;

/// Applies the projections of ordered sources to their rows, which copies nothing.
pub(in crate::cluster) fn without_projections(
    plan: Arc<dyn ExecutionPlan>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let plan = plan.transform_up(|node| {
        let source = node.downcast_ref::<DataSourceExec>();
        let source = source.and_then(|scan| scan.data_source().downcast_ref());
        Ok(match source.map(projected).transpose()?.flatten() {
            Some(source) => Transformed::yes(DataSourceExec::from_data_source(source) as _),
            None => Transformed::no(node),
        })
    })?;
    Ok(plan.data)
}

/// The same source without a projection; `None` if it needs no change.
fn projected(source: &MemorySourceConfig) -> Result<Option<MemorySourceConfig>> {
    let Some(columns) = source.projection() else {
        return Ok(None);
    };
    if source.sort_information().is_empty() {
        return Ok(None);
    }
    let schema = Arc::new(source.original_schema().project(columns)?);
    let project = |batches: &Vec<RecordBatch>| -> Result<Vec<RecordBatch>> {
        let batches = batches.iter().map(|batch| Ok(batch.project(columns)?));
        batches.collect()
    };
    let partitions = source.partitions().iter().map(project);
    let partitions = partitions.collect::<Result<Vec<_>>>()?;
    let projected = MemorySourceConfig::try_new(&partitions, schema, None)?
        .with_limit(source.fetch())
        .with_show_sizes(source.show_sizes())
        .try_with_sort_information(source.sort_information().to_vec())?;
    Ok(Some(projected))
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array};
    use datafusion::execution::TaskContext;
    use datafusion::physical_expr::expressions::col;
    use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
    use datafusion_proto::physical_plan::{AsExecutionPlan, DefaultPhysicalExtensionCodec};
    use datafusion_proto::protobuf::PhysicalPlanNode;

    use super::*;

    /// Columns `a` and `b`, of which `b` is read, in its order.
    fn ordered() -> Arc<dyn ExecutionPlan> {
        let column = |values: [i64; 2]| -> ArrayRef { Arc::new(Int64Array::from(values.to_vec())) };
        let columns = [("a", column([2, 1])), ("b", column([3, 4]))];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let schema = batch.schema();
        let order = PhysicalSortExpr::new_default(col("b", &schema).unwrap());
        let source = MemorySourceConfig::try_new(&[vec![batch]], schema, Some(vec![1])).unwrap();
        let order = vec![LexOrdering::new([order]).unwrap()];
        DataSourceExec::from_data_source(source.try_with_sort_information(order).unwrap())
    }

    fn survives(plan: Arc<dyn ExecutionPlan>) -> bool {
        let codec = DefaultPhysicalExtensionCodec {};
        let order = plan.properties().output_ordering().cloned();
        assert!(order.is_some());
        let node = PhysicalPlanNode::try_from_physical_plan(plan, &codec).unwrap();
        let again = node.try_into_physical_plan(&TaskContext::default(), &codec);
        again.is_ok_and(|plan| plan.properties().output_ordering() == order.as_ref())
    }

    #[test]
    fn without_projections_the_order_survives() {
        assert!(survives(without_projections(ordered()).unwrap()));
    }

    #[test]
    fn upstream_still_loses_it() {
        assert!(!survives(ordered()), "mended: this file can go");
    }
}
