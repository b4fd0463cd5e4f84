//! Cuts the work list into the rows of one output batch each.

use arrow::array::RecordBatch;
use datafusion::common::cast::as_int64_array;
use datafusion::common::{Result, internal_datafusion_err};

use super::schema::LENGTH;

/// Consecutive rows of the work list that become one batch.
#[derive(Debug)]
pub(super) struct Slice {
    pub(super) rows: RecordBatch,
    /// Bytes of content that they need.
    pub(super) bytes: usize,
}

/// Cuts `batch` where a slice would have more than `max_rows` rows or `max_bytes` bytes; a single
/// larger object is a slice of its own. Objects longer than `max_length` are not read and so weigh
/// nothing. The cuts depend on the list alone, so that batches are the same in every run.
///
/// # Errors
/// Only if `batch` is not a work list.
pub(super) fn slices(
    batch: &RecordBatch,
    max_rows: usize,
    max_bytes: usize,
    max_length: u64,
) -> Result<Vec<Slice>> {
    let lengths = batch
        .column_by_name(LENGTH)
        .ok_or_else(|| internal_datafusion_err!("the work list has no column {LENGTH}"))?;
    let mut slices = vec![];
    let (mut start, mut bytes) = (0, 0_usize);
    for (row, &length) in as_int64_array(lengths)?.values().iter().enumerate() {
        let length = u64::try_from(length).unwrap_or(0);
        let weight = if length > max_length { 0 } else { length };
        let weight = usize::try_from(weight).unwrap_or(usize::MAX);
        if row > start && (row - start >= max_rows || bytes.saturating_add(weight) > max_bytes) {
            slices.push(Slice {
                rows: batch.slice(start, row - start),
                bytes,
            });
            (start, bytes) = (row, 0);
        }
        bytes = bytes.saturating_add(weight);
    }
    if start < batch.num_rows() {
        slices.push(Slice {
            rows: batch.slice(start, batch.num_rows() - start),
            bytes,
        });
    }
    Ok(slices)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array};

    use super::*;

    fn list(lengths: &[i64]) -> RecordBatch {
        let column: ArrayRef = Arc::new(Int64Array::from(lengths.to_vec()));
        RecordBatch::try_from_iter([(LENGTH, column)]).unwrap()
    }

    #[test]
    fn cuts_by_rows_bytes_and_oversize() {
        let cut = |lengths: &[i64], rows, bytes, limit| -> Vec<(usize, usize)> {
            let slices = slices(&list(lengths), rows, bytes, limit).unwrap();
            slices
                .iter()
                .map(|s| (s.rows.num_rows(), s.bytes))
                .collect()
        };
        assert_eq!(cut(&[1; 5], 2, 100, 99), [(2, 2), (2, 2), (1, 1)]);
        assert_eq!(cut(&[4, 4, 9, 1], 9, 8, 99), [(2, 8), (1, 9), (1, 1)]);
        assert_eq!(cut(&[4, 500, 4], 9, 8, 99), [(3, 8)]);
        assert_eq!(cut(&[], 9, 8, 99), []);
    }

    proptest::proptest! {
        #[test]
        fn nothing_is_lost_and_every_bound_holds(
            lengths in proptest::collection::vec(0_i64..1000, 0..200),
            max_rows in 1_usize..50,
            max_bytes in 1_usize..5000,
        ) {
            let all = list(&lengths);
            let slices = slices(&all, max_rows, max_bytes, u64::MAX).unwrap();
            let rows: Vec<RecordBatch> = slices.iter().map(|s| s.rows.clone()).collect();
            let joined = arrow::compute::concat_batches(&all.schema(), &rows).unwrap();
            proptest::prop_assert_eq!(joined, all);
            for slice in slices {
                proptest::prop_assert!(slice.rows.num_rows() <= max_rows);
                proptest::prop_assert!(slice.bytes <= max_bytes || slice.rows.num_rows() == 1);
            }
        }
    }
}
