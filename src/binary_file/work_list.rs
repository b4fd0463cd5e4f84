//! The rows of a scan before their content: listed, filtered, spread over partitions.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{FieldRef, SchemaRef};
use datafusion::common::cast::{as_boolean_array, as_int64_array, as_string_array};
use datafusion::common::{Result, exec_datafusion_err, internal_datafusion_err};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_expr::expressions::col;
use datafusion::physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::ExecutionPlan;
use object_store::ObjectMeta;

use super::listing::folders;
use super::location::Location;
use super::partitions;
use super::schema::{LENGTH, PATH};

/// Rows of one batch of the list; its text stays far below the 2 GiB that an array can hold.
const BATCH_ROWS: usize = 8192;

/// What fetching an object costs besides its bytes, in bytes, so that many empty objects are
/// spread over the partitions too.
const REQUEST_COST: u64 = 16 * 1024;

/// Turns listed objects into batches of the listing schema. `partition_columns` is `None` where
/// partition discovery is off.
///
/// # Errors
/// When an object's folders do not spell the table's partition columns.
pub(super) fn to_batches(
    location: &Location,
    objects: &[ObjectMeta],
    schema: &SchemaRef,
    partition_columns: Option<&[FieldRef]>,
) -> Result<Vec<RecordBatch>> {
    objects
        .chunks(BATCH_ROWS)
        .map(|objects| to_batch(location, objects, schema, partition_columns))
        .collect()
}

fn to_batch(
    location: &Location,
    objects: &[ObjectMeta],
    schema: &SchemaRef,
    partition_columns: Option<&[FieldRef]>,
) -> Result<RecordBatch> {
    let uris: Vec<String> = objects.iter().map(|o| location.uri(&o.location)).collect();
    let modified = objects.iter().map(|o| o.last_modified.timestamp_micros());
    let lengths = objects
        .iter()
        .zip(&uris)
        .map(|(object, uri)| {
            i64::try_from(object.size)
                .map_err(|_| exec_datafusion_err!("'{uri}' is listed with {} bytes", object.size))
        })
        .collect::<Result<Vec<i64>>>()?;
    let partitions = match partition_columns {
        None => vec![],
        Some(columns) => partition_arrays(location, objects, &uris, columns)?,
    };

    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(uris)),
        Arc::new(TimestampMicrosecondArray::from_iter_values(modified).with_timezone("UTC")),
        Arc::new(Int64Array::from(lengths)),
    ];
    columns.extend(partitions);
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

fn partition_arrays(
    location: &Location,
    objects: &[ObjectMeta],
    uris: &[String],
    columns: &[FieldRef],
) -> Result<Vec<ArrayRef>> {
    let mut values = vec![Vec::with_capacity(objects.len()); columns.len()];
    for (object, uri) in objects.iter().zip(uris) {
        let folders = folders(location, &object.location);
        for (column, value) in values
            .iter_mut()
            .zip(partitions::values(uri, &folders, columns)?)
        {
            column.push(value);
        }
    }
    values
        .into_iter()
        .zip(columns)
        .map(|(values, column)| partitions::to_array(values, column))
        .collect()
}

/// Keeps the rows for which every predicate is true.
///
/// # Errors
/// When a predicate fails on a row.
pub(super) fn filter(
    batches: Vec<RecordBatch>,
    predicate: Option<&Arc<dyn PhysicalExpr>>,
) -> Result<Vec<RecordBatch>> {
    let Some(predicate) = predicate else {
        return Ok(batches);
    };
    batches
        .into_iter()
        .map(|batch| {
            let mask = predicate.evaluate(&batch)?.into_array(batch.num_rows())?;
            Ok(filter_record_batch(&batch, as_boolean_array(&mask)?)?)
        })
        .collect()
}

/// Keeps the first `limit` rows.
pub(super) fn truncate(batches: Vec<RecordBatch>, limit: usize) -> Vec<RecordBatch> {
    let mut left = limit;
    batches
        .into_iter()
        .map(|batch| {
            let rows = batch.num_rows().min(left);
            left -= rows;
            batch.slice(0, rows)
        })
        .collect()
}

/// Number of rows and sum of their lengths in bytes.
///
/// # Errors
/// Only if the batches are not of the listing schema.
pub(super) fn totals(batches: &[RecordBatch]) -> Result<(usize, u64)> {
    let mut totals = (0, 0);
    for batch in batches {
        totals.0 += batch.num_rows();
        totals.1 += lengths(batch)?
            .iter()
            .map(|&length| bytes(length))
            .sum::<u64>();
    }
    Ok(totals)
}

/// Whether the rows are in the order of their paths, as those of one location are.
///
/// # Errors
/// Only if the batches are not of the listing schema.
pub(super) fn is_sorted(batches: &[RecordBatch]) -> Result<bool> {
    let mut last: Option<&str> = None;
    for batch in batches {
        let paths = batch
            .column_by_name(PATH)
            .ok_or_else(|| internal_datafusion_err!("the work list has no column {PATH}"))?;
        for path in as_string_array(paths)?.iter().flatten() {
            if last.is_some_and(|last| last > path) {
                return Ok(false);
            }
            last = Some(path);
        }
    }
    Ok(true)
}

/// The plan that yields `columns` of the rows. If they are sorted, the plan says so, and
/// `ORDER BY path` need not hold all content to sort it.
///
/// # Errors
/// Only if the batches are not of the schema.
pub(super) fn to_plan(
    partitions: &[Vec<RecordBatch>],
    schema: SchemaRef,
    columns: Vec<usize>,
    is_sorted: bool,
) -> Result<Arc<dyn ExecutionPlan>> {
    let by_path = is_sorted
        .then(|| col(PATH, &schema))
        .transpose()?
        .and_then(|path| LexOrdering::new([PhysicalSortExpr::new_default(path)]));
    let source = MemorySourceConfig::try_new(partitions, schema, Some(columns))?
        .try_with_sort_information(by_path.into_iter().collect())?;
    Ok(DataSourceExec::from_data_source(source))
}

/// Spreads the rows over at most `count` partitions of about the same number of bytes. Rows keep
/// their order; none is in two partitions. There is always at least one partition.
///
/// # Errors
/// Only if the batches are not of the listing schema.
pub(super) fn balance(batches: Vec<RecordBatch>, count: usize) -> Result<Vec<Vec<RecordBatch>>> {
    let mut total = 0_u128;
    for batch in &batches {
        total += lengths(batch)?.iter().map(|&l| cost(l)).sum::<u128>();
    }
    let count = count.max(1);
    let mut partitions: Vec<Vec<RecordBatch>> = vec![vec![]; count];
    let mut before = 0_u128;
    for batch in batches {
        let lengths = lengths(&batch)?;
        let (mut start, mut current) = (0, 0);
        for (row, &length) in lengths.iter().enumerate() {
            // The middle of a row's share of the bytes decides, so that no partition is left
            // empty by a row that only begins in it.
            let middle = before + cost(length) / 2;
            let target = usize::try_from(middle * count as u128 / total.max(1))
                .unwrap_or(count)
                .min(count - 1);
            if target != current {
                push(&mut partitions, current, batch.slice(start, row - start));
                (start, current) = (row, target);
            }
            before += cost(length);
        }
        push(
            &mut partitions,
            current,
            batch.slice(start, batch.num_rows() - start),
        );
    }
    partitions.retain(|partition| !partition.is_empty());
    if partitions.is_empty() {
        partitions.push(vec![]);
    }
    Ok(partitions)
}

fn push(partitions: &mut [Vec<RecordBatch>], index: usize, batch: RecordBatch) {
    if let (Some(partition), true) = (partitions.get_mut(index), batch.num_rows() > 0) {
        partition.push(batch);
    }
}

fn cost(length: i64) -> u128 {
    u128::from(bytes(length) + REQUEST_COST)
}

fn bytes(length: i64) -> u64 {
    u64::try_from(length).unwrap_or(0)
}

fn lengths(batch: &RecordBatch) -> Result<&[i64]> {
    let column = batch
        .column_by_name(LENGTH)
        .ok_or_else(|| internal_datafusion_err!("the work list has no column {LENGTH}"))?;
    Ok(as_int64_array(column)?.values())
}

#[cfg(test)]
mod tests {
    use object_store::path::Path;

    use super::*;
    use crate::binary_file::schema::listing_schema;

    fn batches(sizes: &[u64]) -> Vec<RecordBatch> {
        let objects: Vec<ObjectMeta> = sizes
            .iter()
            .enumerate()
            .map(|(i, &size)| ObjectMeta {
                location: Path::from(format!("{i:04}")),
                last_modified: Default::default(),
                size,
                e_tag: None,
                version: None,
            })
            .collect();
        let location = Location::parse("s3://b/").unwrap();
        to_batches(&location, &objects, &listing_schema(&[]), None).unwrap()
    }

    fn paths(batches: &[RecordBatch]) -> Vec<String> {
        let column = |batch: &RecordBatch| batch.column(0).as_ref().to_owned_strings();
        batches.iter().flat_map(column).collect()
    }

    trait Strings {
        fn to_owned_strings(&self) -> Vec<String>;
    }

    impl Strings for dyn arrow::array::Array {
        fn to_owned_strings(&self) -> Vec<String> {
            let text = as_string_array(self).unwrap();
            text.iter().map(|s| s.unwrap().to_owned()).collect()
        }
    }

    proptest::proptest! {
        #[test]
        fn every_row_is_in_one_partition_in_order(
            sizes in proptest::collection::vec(0_u64..1 << 40, 0..300),
            count in 1_usize..40,
        ) {
            let rows = batches(&sizes);
            let partitions = balance(rows.clone(), count).unwrap();
            assert!((1..=count).contains(&partitions.len()));
            assert_eq!(paths(&partitions.concat()), paths(&rows));
        }

        #[test]
        fn equal_sizes_are_spread_evenly(rows in 1_usize..200, count in 1_usize..20) {
            let partitions = balance(batches(&vec![5_000; rows]), count).unwrap();
            assert_eq!(partitions.len(), count.min(rows));
            for partition in partitions {
                let share = partition.iter().map(RecordBatch::num_rows).sum::<usize>();
                assert!(share.abs_diff(rows / count) <= 1, "{share} of {rows} over {count}");
            }
        }
    }

    #[test]
    fn totals_and_limits() {
        let rows = batches(&[1, 2, 3]);
        assert_eq!(totals(&rows).unwrap(), (3, 6));
        assert!(is_sorted(&rows).unwrap());
        assert!(!is_sorted(&[rows.clone(), rows.clone()].concat()).unwrap());
        assert_eq!(totals(&truncate(rows, 2)).unwrap(), (2, 3));
    }
}
