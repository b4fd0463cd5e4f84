//! Where a plan merges in a tree.

use std::sync::Arc;

use ballista_scheduler::state::task_builder::restrict_plan_to_partitions;
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};

use super::operator::MergeStatesExec;
use crate::session::all_default_aggregate_functions;

/// Up to so many partitions, one task merges all.
const FLAT: usize = 16;

/// `plan` with a step between the partial fits of many partitions and the last one.
pub(in crate::cluster) fn merge_in_trees(
    plan: Arc<dyn ExecutionPlan>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let plan = plan.transform_up(|node| {
        let last = node.downcast_ref::<AggregateExec>();
        let partial = last.and_then(partial_fits);
        let Some(merged) = partial.map(merged_groups).transpose()?.flatten() else {
            return Ok(Transformed::no(node));
        };
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        let gathered = Arc::new(CoalescePartitionsExec::new(merged));
        Ok(Transformed::yes(
            node.replace_children(vec![gathered], options)?,
        ))
    })?;
    Ok(plan.data)
}

/// The partial aggregate below `last`, if that is the one task that ends a fit of all rows.
fn partial_fits(last: &AggregateExec) -> Option<&Arc<dyn ExecutionPlan>> {
    let gathered = last.input().downcast_ref::<CoalescePartitionsExec>()?;
    let partial = gathered.input().downcast_ref::<AggregateExec>()?;
    let functions = all_default_aggregate_functions();
    let is_fit = partial.aggr_expr().iter().any(|call| {
        functions
            .iter()
            .any(|ours| ours.name() == call.fun().name())
    });
    let is_in_steps = matches!(
        (last.mode(), partial.mode()),
        (AggregateMode::Final, AggregateMode::Partial)
    );
    let is_of_all = partial.group_expr().is_true_no_grouping();
    (is_fit && is_in_steps && is_of_all).then(|| gathered.input())
}

/// A partition for each group of partitions of `partial`; none where there are few, or where what is below cannot
/// be divided: what is shuffled or joined first is in partitions that only the shuffle knows.
fn merged_groups(partial: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let partitions = partial.output_partitioning().partition_count();
    let Some(aggregate) = partial.downcast_ref::<AggregateExec>() else {
        return Ok(None);
    };
    if partitions <= FLAT || !is_divisible(partial, partitions) {
        return Ok(None);
    }
    let all: Vec<usize> = (0..partitions).collect();
    let groups = partitions.isqrt();
    let mut merged: Vec<Arc<dyn ExecutionPlan>> = vec![];
    for group in all.chunks(partitions.div_ceil(groups)) {
        let input = restrict_plan_to_partitions(Arc::clone(partial), group)?;
        if input.output_partitioning().partition_count() != group.len() {
            return Ok(None);
        }
        let calls = aggregate.aggr_expr().to_vec();
        let filters = vec![None; calls.len()];
        let reduced = AggregateExec::try_new(
            AggregateMode::PartialReduce,
            aggregate.group_expr().as_final(),
            calls,
            filters,
            Arc::new(CoalescePartitionsExec::new(input)),
            aggregate.input_schema(),
        )?;
        merged.push(Arc::new(MergeStatesExec::new(Arc::new(reduced))));
    }
    UnionExec::try_new(merged).map(Some)
}

/// Whether each partition comes from one of a source, through operators with one input.
fn is_divisible(plan: &Arc<dyn ExecutionPlan>, partitions: usize) -> bool {
    let is_aligned = plan.output_partitioning().partition_count() == partitions;
    is_aligned
        && match plan.children().as_slice() {
            [] => plan.is::<DataSourceExec>(),
            [input] => is_divisible(input, partitions),
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, AsArray, Float32Array, ListArray, RecordBatch};
    use arrow::buffer::OffsetBuffer;
    use arrow::datatypes::{DataType, Field, Float64Type, Int64Type};
    use datafusion::catalog::MemTable;
    use datafusion::physical_plan::{collect, displayable};
    use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};
    use datafusion::prelude::SessionContext;
    use datafusion_proto::physical_plan::AsExecutionPlan;
    use datafusion_proto::protobuf::PhysicalPlanNode;

    use super::*;
    use crate::cluster::{FeaturizePhysicalCodec, scheduler_state, session_config};

    /// A table `t` of vectors `v` of `width` numbers, `rows` in each of `partitions`.
    fn session(partitions: usize, rows: usize, width: usize) -> SessionContext {
        let ctx = SessionContext::new_with_state(scheduler_state(session_config()).unwrap());
        let mut state = 1_u32;
        let mut number = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32
        };
        let mut batch = || {
            let numbers: Float32Array = (0..rows * width)
                .map(|i| number() * (i % width + 1) as f32)
                .collect();
            let vectors = ListArray::new(
                Arc::new(Field::new_list_field(DataType::Float32, true)),
                OffsetBuffer::from_repeated_length(width, rows),
                Arc::new(numbers),
                None,
            );
            RecordBatch::try_from_iter([("v", Arc::new(vectors) as ArrayRef)]).unwrap()
        };
        let batches: Vec<_> = (0..partitions).map(|_| vec![batch()]).collect();
        let table = MemTable::try_new(batches[0][0].schema(), batches).unwrap();
        ctx.register_table("t", Arc::new(table)).unwrap();
        ctx
    }

    async fn planned(ctx: &SessionContext, sql: &str) -> Arc<dyn ExecutionPlan> {
        let state = ctx.state();
        let plan = state.create_logical_plan(sql).await.unwrap();
        let plan = state.optimize(&plan).unwrap();
        let planner = DefaultPhysicalPlanner::default();
        planner.create_physical_plan(&plan, &state).await.unwrap()
    }

    fn text(plan: &Arc<dyn ExecutionPlan>) -> String {
        displayable(plan.as_ref()).indent(false).to_string()
    }

    async fn numbers(ctx: &SessionContext, plan: Arc<dyn ExecutionPlan>) -> Vec<f64> {
        let rows = collect(plan, ctx.task_ctx()).await.unwrap();
        let column = rows[0].column(0).as_list::<i32>().value(0);
        let mut numbers = column.as_primitive::<Float64Type>().values().to_vec();
        if let Some(count) = rows[0].columns().get(1) {
            numbers.push(count.as_primitive::<Int64Type>().value(0) as f64);
        }
        numbers
    }

    /// Vectors of five numbers are moments after a few rows; those of 600 are rows to the end.
    #[tokio::test]
    async fn the_model_is_the_same_for_any_number_of_partitions() {
        for (partitions, rows, width) in [(17, 300, 5), (64, 300, 5), (20, 7, 600)] {
            let ctx = session(partitions, rows, width);
            ctx.sql("SET datafusion.optimizer.repartition_aggregations = false")
                .await
                .unwrap();
            ctx.sql("SET datafusion.execution.target_partitions = 64")
                .await
                .unwrap();
            for sql in [
                "SELECT pca_explained_variance(pca_fit(v, 3)) AS e, count(*) AS n FROM t",
                "SELECT pca_mean(pca_fit(v, 3, false)) AS m, count(v) AS n FROM t",
                "SELECT pca_scale(pca_fit(v, 3)) AS s FROM t",
            ] {
                let flat = planned(&ctx, sql).await;
                let tree = merge_in_trees(Arc::clone(&flat)).unwrap();
                let groups = text(&tree).matches("MergeStatesExec").count();
                assert_eq!(
                    groups,
                    partitions.div_ceil(partitions.div_ceil(partitions.isqrt())),
                    "{}",
                    text(&tree)
                );
                let codec = FeaturizePhysicalCodec::default();
                let sent = PhysicalPlanNode::try_from_physical_plan(Arc::clone(&tree), &codec);
                let sent = sent
                    .unwrap()
                    .try_into_physical_plan(&ctx.task_ctx(), &codec);
                let sent = sent.unwrap();
                assert_eq!(text(&sent), text(&tree));
                let (ours, expected) = (numbers(&ctx, sent).await, numbers(&ctx, flat).await);
                assert_eq!(ours.len(), expected.len());
                for (ours, expected) in ours.iter().zip(&expected) {
                    let close = (ours - expected).abs() <= 1e-10 * expected.abs().max(1e-3);
                    assert!(close, "{ours} {expected} {sql}");
                }
            }
        }
    }

    #[tokio::test]
    async fn few_partitions_and_other_aggregates_stay_as_they_are() {
        let ctx = session(16, 4, 3);
        let many = session(64, 4, 3);
        for (ctx, sql) in [
            (&ctx, "SELECT pca_fit(v, 1) FROM t"),
            (&many, "SELECT count(*), array_agg(v) FROM t"),
            (
                &many,
                "SELECT v[1] > 0.5 AS g, pca_fit(v, 1) FROM t GROUP BY g",
            ),
            (
                &many,
                "SELECT pca_fit(a.v, 1) FROM t a JOIN t b ON a.v[1] = b.v[1]",
            ),
        ] {
            let flat = planned(ctx, sql).await;
            let tree = merge_in_trees(Arc::clone(&flat)).unwrap();
            assert_eq!(text(&tree), text(&flat));
        }
    }
}
