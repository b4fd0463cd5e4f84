//! Sources in memory, in a shape that survives being encoded.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::source::{DataSource, DataSourceExec};
use datafusion::physical_plan::ExecutionPlan;

/// Applies the projections of ordered sources to their rows, which copies nothing.
///
/// DataFusion 55.2 encodes the order of such a source in terms of its projected columns and decodes
/// it in terms of all of them: the plan either fails to decode or is said to be ordered by another
/// column.
pub(super) fn without_projections(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
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
