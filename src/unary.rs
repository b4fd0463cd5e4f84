//! What [`ExecutionPlan`](datafusion::physical_plan::ExecutionPlan) asks of every operator with one
//! input, written once.
//!
//! The trait has no defaults for these methods, or careful ones for operators that it knows nothing
//! of: rows in any order, as many as may be, better in more partitions. An operator that uses the
//! macros has the fields `input` and `properties`, and a method `with_input(&self, input) ->
//! Result<Self>` that makes it anew above another input.

/// Properties, child and its replacement. No exchange below the operator gains anything: its rows
/// are in the partitions where they are to be. `with apply_expressions` leaves that method to an
/// operator that evaluates some.
macro_rules! unary_methods {
    ($name:literal) => {
        fn apply_expressions(
            &self,
            _f: &mut dyn FnMut(
                &Arc<dyn datafusion::physical_expr::PhysicalExpr>,
            ) -> Result<datafusion::common::tree_node::TreeNodeRecursion>,
        ) -> Result<datafusion::common::tree_node::TreeNodeRecursion> {
            Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
        }

        $crate::unary::unary_methods!($name, with apply_expressions);
    };
    ($name:literal, with apply_expressions) => {
        fn name(&self) -> &'static str {
            $name
        }

        fn properties(&self) -> &Arc<datafusion::physical_plan::PlanProperties> {
            &self.properties
        }

        fn children(&self) -> Vec<&Arc<dyn datafusion::physical_plan::ExecutionPlan>> {
            vec![&self.input]
        }

        fn benefits_from_input_partitioning(&self) -> Vec<bool> {
            vec![false]
        }

        fn replace_children(
            self: Arc<Self>,
            children: Vec<Arc<dyn datafusion::physical_plan::ExecutionPlan>>,
            _options: datafusion::physical_plan::ReplaceChildrenOptions,
        ) -> Result<Arc<dyn datafusion::physical_plan::ExecutionPlan>> {
            match <[_; 1]>::try_from(children) {
                Ok([input]) => Ok(Arc::new(self.with_input(input)?)),
                Err(children) => datafusion::common::internal_err!(
                    "{} has one child, not {}",
                    $name,
                    children.len()
                ),
            }
        }

        fn with_new_children(
            self: Arc<Self>,
            children: Vec<Arc<dyn datafusion::physical_plan::ExecutionPlan>>,
        ) -> Result<Arc<dyn datafusion::physical_plan::ExecutionPlan>> {
            use datafusion::physical_plan::ReplaceChildrenOptions;
            use datafusion::physical_plan::execution_plan::ChildrenPropertiesMode;
            let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
            self.replace_children(children, options)
        }
    };
}

/// The rows of the input pass unchanged, each once and in their order, so that its statistics hold.
macro_rules! passes_rows {
    () => {
        fn maintains_input_order(&self) -> Vec<bool> {
            vec![true]
        }

        fn child_stats_requests(
            &self,
            partition: Option<usize>,
        ) -> Vec<datafusion::physical_plan::statistics::ChildStats> {
            vec![datafusion::physical_plan::statistics::ChildStats::At(
                partition,
            )]
        }

        fn statistics_from_inputs(
            &self,
            inputs: &[Arc<datafusion::common::Statistics>],
            _args: &datafusion::physical_plan::statistics::StatisticsArgs,
        ) -> Result<Arc<datafusion::common::Statistics>> {
            let input = inputs.first().cloned();
            input.ok_or_else(|| {
                datafusion::common::internal_datafusion_err!(
                    "{} got no statistics of its child",
                    self.name()
                )
            })
        }

        fn cardinality_effect(
            &self,
        ) -> datafusion::physical_plan::execution_plan::CardinalityEffect {
            datafusion::physical_plan::execution_plan::CardinalityEffect::Equal
        }
    };
}

pub(crate) use {passes_rows, unary_methods};
