//! Whether a query reads what it is about to replace.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::physical_plan::ExecutionPlan;
use object_store::path::Path;

use super::target::Target;
use crate::binary_file;

/// The first file of the target that `plan` reads.
pub(super) fn reads_target(plan: &dyn ExecutionPlan, target: &Target) -> Result<Option<String>> {
    if let Some(scan) = plan.downcast_ref::<DataSourceExec>() {
        let source = scan.data_source();
        if let Some(files) = source.downcast_ref::<FileScanConfig>() {
            let mut paths = files
                .file_groups
                .iter()
                .flat_map(|group| group.files())
                .map(|file| &file.object_meta.location);
            let read = paths.find(|path| target.contains(&files.object_store_url, path));
            return Ok(read.map(ToString::to_string));
        }
        if let Some(memory) = source.downcast_ref::<MemorySourceConfig>() {
            let mut batches = memory.partitions().iter().flatten();
            return Ok(batches.find_map(|batch| listed_in_target(batch, target)));
        }
    }
    for child in plan.children() {
        if let Some(read) = reads_target(child.as_ref(), target)? {
            return Ok(Some(read));
        }
    }
    Ok(None)
}

/// The first object of the target that a work list of BINARYFILE names.
fn listed_in_target(batch: &RecordBatch, target: &Target) -> Option<String> {
    // A column of that name alone may be anybody's.
    batch.column_by_name(binary_file::LENGTH)?;
    let paths = batch.column_by_name(binary_file::PATH)?;
    if *paths.data_type() != DataType::Utf8 {
        return None;
    }
    let paths = paths.as_string::<i32>();
    (0..paths.len())
        .map(|row| paths.value(row))
        .find(|uri| is_in_target(uri, target))
        .map(ToOwned::to_owned)
}

fn is_in_target(uri: &str, target: &Target) -> bool {
    let Some(rest) = uri.strip_prefix(target.store().as_str()) else {
        return false;
    };
    let store: &ObjectStoreUrl = target.store();
    Path::parse(rest).is_ok_and(|path| target.contains(store, &path))
}
