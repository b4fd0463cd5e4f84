//! Sorts below unions, which executors of Ballista 55.0 cannot take.

use std::fmt;
use std::sync::Arc;

use crate::unary::unary_methods;
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

/// Sorts each partition, as a [`SortExec`] that it becomes when it is executed.
///
/// A task whose partitions come from one input of a union holds the other inputs without any
/// partition, and an executor that decodes a [`SortExec`] without partitions panics (DataFusion 55.2,
/// `TopKDynamicFilters`).
#[derive(Debug)]
pub(super) struct SortPartitionsExec {
    input: Arc<dyn ExecutionPlan>,
    order: LexOrdering,
    fetch: Option<usize>,
    properties: Arc<PlanProperties>,
}

impl SortPartitionsExec {
    pub(super) fn try_new(
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

    pub(super) fn order(&self) -> &LexOrdering {
        &self.order
    }

    /// The most rows of each partition.
    pub(super) fn limit(&self) -> Option<usize> {
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
pub(super) fn guard_sorts(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
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
}
