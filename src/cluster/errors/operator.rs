//! The operator at the top of each task, which says on which executor something went wrong.

use std::fmt;
use std::sync::Arc;

use ballista_core::execution_plans::{
    RangeShuffleWriterExec, ShuffleWriterExec, SortShuffleWriterExec,
};
use datafusion::common::Result;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::TryStreamExt;

use super::marked::mark;

/// What an executor is called in errors. It is an extension of the configuration of its tasks.
#[derive(Debug)]
pub(in crate::cluster) struct ExecutorName(pub(in crate::cluster) String);

/// A task as an executor decodes it, with the executor's name in its errors.
pub(in crate::cluster) fn name_executor(
    task: Arc<dyn ExecutionPlan>,
    context: &TaskContext,
) -> Result<Arc<dyn ExecutionPlan>> {
    let is_task = task.is::<ShuffleWriterExec>()
        || task.is::<SortShuffleWriterExec>()
        || task.is::<RangeShuffleWriterExec>();
    let name = context.session_config().get_extension::<ExecutorName>();
    let children = task.children();
    let (Some(name), true, [input]) = (name, is_task, children.as_slice()) else {
        return Ok(task);
    };
    let inner = Arc::clone(input);
    let named = Arc::new(NamedErrorsExec { inner, name });
    let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
    task.replace_children(vec![named], options)
}

/// Stands in the place of another operator and is that operator, for whoever looks at it: Ballista looks for its
/// own, and tells the metrics of a plan by their places in it.
#[derive(Debug)]
struct NamedErrorsExec {
    inner: Arc<dyn ExecutionPlan>,
    name: Arc<ExecutorName>,
}

impl NamedErrorsExec {
    fn around(&self, inner: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        let name = Arc::clone(&self.name);
        Arc::new(Self { inner, name })
    }
}

impl DisplayAs for NamedErrorsExec {
    fn fmt_as(&self, kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_as(kind, f)
    }
}

impl ExecutionPlan for NamedErrorsExec {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn downcast_delegate(&self) -> Option<&dyn ExecutionPlan> {
        Some(self.inner.as_ref())
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.inner.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.inner.children()
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.inner.apply_expressions(f)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let inner = Arc::clone(&self.inner).replace_children(children, options)?;
        Ok(self.around(inner))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        self.replace_children(children, options)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let stream = self.inner.execute(partition, context);
        let stream = stream.map_err(|e| mark(e, &self.name.0))?;
        let name = Arc::clone(&self.name);
        let schema = stream.schema();
        let stream = stream.map_err(move |e| mark(e, &name.0));
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        self.inner.metrics()
    }
}
