//! Sorts below unions, of which a task has no partition.
//!
//! A task whose partitions come from one input of a union holds the other inputs without any partition. An
//! executor that was built with debug assertions panics at a sort among them; what was built without runs it.
//!
//! # To be filed upstream
//!
//! > **datafusion 55.2: a `SortExec` without output partitions fails a debug assertion**
//! >
//! > `TopKDynamicFilters::new_with_topk_emitter_count` (`physical-plan/src/topk/mod.rs`) asserts
//! > `topk_emitter_count > 0`. A `SortExec` that preserves the partitions of an input that has none makes such a
//! > filter when it has a fetch, and in `reset_state` (`sorts/sort.rs`) also without one. Ballista makes such plans
//! > for each task below a `UnionExec` whose partitions are those of another branch, and decoding or resetting one
//! > ends the task. Without partitions there is no emitter to wait for, so the assertion could go; and `reset_state`
//! > should make a filter only if there is a fetch.

use std::fmt;
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{LexOrdering, PhysicalExpr};
use datafusion::physical_plan::apply_expression_roots;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
};

use crate::unary::unary_methods;

/// Sorts each partition, as a [`SortExec`] that it becomes when it is executed.
#[derive(Debug)]
pub(in crate::cluster) struct SortPartitionsExec {
    input: Arc<dyn ExecutionPlan>,
    order: LexOrdering,
    fetch: Option<usize>,
    properties: Arc<PlanProperties>,
}

impl SortPartitionsExec {
    pub(in crate::cluster) fn try_new(
        input: Arc<dyn ExecutionPlan>,
        order: LexOrdering,
        fetch: Option<usize>,
    ) -> Result<Self> {
        let mut equivalences = input.equivalence_properties().clone();
        equivalences.reorder(order.clone())?;
        let properties = PlanProperties::new(
            equivalences,
            input.output_partitioning().clone(),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Ok(Self {
            input,
            order,
            fetch,
            properties: Arc::new(properties),
        })
    }

    fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        Self::try_new(input, self.order.clone(), self.fetch)
    }

    pub(in crate::cluster) fn order(&self) -> &LexOrdering {
        &self.order
    }

    /// The most rows of each partition.
    pub(in crate::cluster) fn limit(&self) -> Option<usize> {
        self.fetch
    }
}

impl DisplayAs for SortPartitionsExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "SortPartitionsExec: expr=[{}]", self.order)?;
        match self.fetch {
            Some(fetch) => write!(f, ", fetch={fetch}"),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for SortPartitionsExec {
    unary_methods!("SortPartitionsExec", with apply_expressions);

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        apply_expression_roots(self.order.iter().map(|sort| &sort.expr), f)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        SortExec::new(self.order.clone(), Arc::clone(&self.input))
            .with_preserve_partitioning(true)
            .with_fetch(self.fetch)
            .execute(partition, context)
    }
}

/// Puts a [`SortPartitionsExec`] in the place of each sort below a union.
pub(in crate::cluster) fn guard_sorts(
    plan: Arc<dyn ExecutionPlan>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let plan = plan.transform_down(|node| {
        if !node.is::<UnionExec>() {
            return Ok(Transformed::no(node));
        }
        let guarded = node.transform_up(|node| {
            let sort = node.downcast_ref::<SortExec>();
            Ok(match sort.filter(|sort| sort.preserve_partitioning()) {
                Some(sort) => {
                    let (input, order) = (Arc::clone(sort.input()), sort.expr().clone());
                    let guard = SortPartitionsExec::try_new(input, order, sort.fetch())?;
                    Transformed::yes(Arc::new(guard) as Arc<dyn ExecutionPlan>)
                }
                None => Transformed::no(node),
            })
        })?;
        Ok(Transformed::new(
            guarded.data,
            guarded.transformed,
            TreeNodeRecursion::Jump,
        ))
    })?;
    Ok(plan.data)
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array, RecordBatch};
    use datafusion::datasource::memory::MemorySourceConfig;
    use datafusion::physical_expr::PhysicalSortExpr;
    use datafusion::physical_expr::expressions::col;
    use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
    use datafusion::physical_plan::{collect, displayable};

    use super::*;

    #[tokio::test]
    async fn no_sort_stays_below_a_union() {
        let values = |values: [i64; 2]| {
            let values: ArrayRef = Arc::new(Int64Array::from(values.to_vec()));
            vec![RecordBatch::try_from_iter([("x", values)]).unwrap()]
        };
        let partitions = [values([3, 1]), values([2, 0])];
        let schema = partitions[0][0].schema();
        let order = PhysicalSortExpr::new_default(col("x", &schema).unwrap());
        let order = LexOrdering::new([order]).unwrap();
        for fetch in [None, Some(1)] {
            let sorted = || -> Arc<dyn ExecutionPlan> {
                let scan = MemorySourceConfig::try_new_exec(&partitions, Arc::clone(&schema), None);
                let sort = SortExec::new(order.clone(), scan.unwrap());
                Arc::new(sort.with_preserve_partitioning(true).with_fetch(fetch))
            };
            let union = UnionExec::try_new(vec![sorted(), sorted()]).unwrap();
            let merge = SortPreservingMergeExec::new(order.clone(), union);
            let plan: Arc<dyn ExecutionPlan> = Arc::new(merge.with_fetch(fetch));
            let guarded = guard_sorts(Arc::clone(&plan)).unwrap();
            let text = displayable(guarded.as_ref()).indent(false).to_string();
            assert!(!text.contains(" SortExec"), "{text}");
            assert_eq!(text.matches(" SortPartitionsExec").count(), 2, "{text}");
            let rows = |plan| collect(plan, Arc::<TaskContext>::default());
            let (ours, expected) = (rows(guarded).await.unwrap(), rows(plan).await.unwrap());
            assert_eq!(ours, expected);
        }
    }

    #[test]
    #[cfg(debug_assertions)]
    fn upstream_still_panics() {
        let values: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        let schema = RecordBatch::try_from_iter([("x", values)])
            .unwrap()
            .schema();
        let order = PhysicalSortExpr::new_default(col("x", &schema).unwrap());
        let order = LexOrdering::new([order]).unwrap();
        let reset = |plan: Arc<dyn ExecutionPlan>| {
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| plan.reset_state()))
        };
        let scan = MemorySourceConfig::try_new_exec(&[], schema, None).unwrap();
        let sort = SortExec::new(order.clone(), Arc::clone(&scan) as _);
        let sort = sort.with_preserve_partitioning(true);
        assert!(reset(Arc::new(sort)).is_err(), "mended: this file can go");
        let guard = SortPartitionsExec::try_new(scan, order, None).unwrap();
        reset(Arc::new(guard)).unwrap().unwrap();
    }
}
