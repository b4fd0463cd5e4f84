//! The limit of a source in memory, when it is cut into tasks.
//!
//! Nothing is pushed through a [`WithStoresExec`](crate::cluster::stored), which stands above the sources that
//! a scheduler makes: limits stay above it.
//!
//! # To be filed upstream
//!
//! > **ballista-scheduler 55.0: cutting a `MemorySourceConfig` into tasks drops its fetch**
//! >
//! > `select_output_partitions` (`state/task_builder.rs`) makes a `MemorySourceConfig` of the partitions of a
//! > task with `try_new`, which has no limit, no order and shows sizes. A limit that the optimizer has pushed
//! > into the source is lost: `SELECT … LIMIT 3` over a table in memory gives all of its rows. The new source
//! > should take over `fetch`, `sort_information` and `show_sizes`.

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, RecordBatch};
    use ballista_scheduler::state::task_builder::restrict_plan_to_partitions;
    use datafusion::datasource::memory::MemorySourceConfig;
    use datafusion::datasource::source::DataSourceExec;
    use datafusion::physical_plan::ExecutionPlan;

    #[test]
    fn upstream_still_loses_it() {
        let values: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
        let batch = RecordBatch::try_from_iter([("x", values)]).unwrap();
        let schema = batch.schema();
        let source = MemorySourceConfig::try_new(&[vec![batch]], schema, None).unwrap();
        let plan = DataSourceExec::from_data_source(source.with_limit(Some(1)));
        assert_eq!(plan.fetch(), Some(1));
        let task = restrict_plan_to_partitions(plan, &[0]).unwrap();
        assert_eq!(task.fetch(), None, "mended: this file can go");
    }
}
