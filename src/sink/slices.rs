//! Cutting batches, so that no writer buffers more than a few megabytes at once.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::DataType;

/// The most bytes of Arrow data that are encoded at once: about 80 rows of 25,088 floats. A single
/// larger row is a slice of its own.
const SLICE_BYTES: usize = 8 * 1024 * 1024;

/// Contiguous slices of at most `SLICE_BYTES` and `max_rows` rows, in order, without a copy.
///
/// `max_rows` is asked before each slice, with the rows that remain.
pub(super) struct Slices {
    batch: RecordBatch,
    from: usize,
    rows_in_bytes: usize,
}

impl Slices {
    pub(super) fn new(batch: RecordBatch) -> Self {
        let row = batch_bytes(&batch)
            .checked_div(batch.num_rows())
            .unwrap_or_default();
        Self {
            batch,
            from: 0,
            rows_in_bytes: SLICE_BYTES.checked_div(row).unwrap_or(usize::MAX).max(1),
        }
    }

    /// The next slice, of at most `max_rows` rows; `None` when all have been taken.
    pub(super) fn next(&mut self, max_rows: usize) -> Option<RecordBatch> {
        let left = self.batch.num_rows() - self.from;
        let rows = left.min(self.rows_in_bytes).min(max_rows.max(1));
        if rows == 0 {
            return None;
        }
        let slice = self.batch.slice(self.from, rows);
        self.from += rows;
        Some(slice)
    }
}

/// Bytes of the rows of `batch`, without what its buffers hold for rows outside of it.
pub(super) fn batch_bytes(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(bytes).sum()
}

/// Bytes of the rows of `array`, without what its buffers hold for rows outside of it.
fn bytes(array: &ArrayRef) -> usize {
    let share = |values: &ArrayRef, items: usize| {
        let items = items.min(values.len());
        bytes(&values.slice(0, items))
    };
    match array.data_type() {
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let offsets = list.value_offsets();
            let items = match (offsets.first(), offsets.last()) {
                (Some(first), Some(last)) => usize::try_from(last - first).unwrap_or_default(),
                _ => 0,
            };
            share(list.values(), items) + size_of_val(offsets)
        }
        DataType::LargeList(_) => {
            let list = array.as_list::<i64>();
            let offsets = list.value_offsets();
            let items = match (offsets.first(), offsets.last()) {
                (Some(first), Some(last)) => usize::try_from(last - first).unwrap_or_default(),
                _ => 0,
            };
            share(list.values(), items) + size_of_val(offsets)
        }
        DataType::BinaryView => array
            .as_binary_view()
            .lengths()
            .map(|length| length as usize + size_of::<u128>())
            .sum(),
        DataType::Utf8View => array
            .as_string_view()
            .lengths()
            .map(|length| length as usize + size_of::<u128>())
            .sum(),
        _ => array
            .to_data()
            .get_slice_memory_size()
            .unwrap_or_else(|_| array.get_array_memory_size()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Float32Array, Int32Array, ListArray};
    use arrow::buffer::OffsetBuffer;
    use arrow::datatypes::Field;

    use super::*;

    fn lists(rows: usize, width: usize) -> RecordBatch {
        let values = Float32Array::from_iter_values((0..rows * width).map(|i| i as f32));
        let field = Arc::new(Field::new_list_field(DataType::Float32, true));
        let offsets = OffsetBuffer::from_repeated_length(width, rows);
        let list = ListArray::new(field, offsets, Arc::new(values), None);
        RecordBatch::try_from_iter([("features", Arc::new(list) as _)]).unwrap()
    }

    fn rows(batch: RecordBatch, max_rows: usize) -> Vec<usize> {
        let mut slices = Slices::new(batch);
        std::iter::from_fn(|| slices.next(max_rows))
            .map(|slice| slice.num_rows())
            .collect()
    }

    #[test]
    fn wide_rows_are_cut_by_bytes_and_all_by_rows() {
        assert_eq!(rows(lists(200, 25_088), usize::MAX), [83, 83, 34]);
        assert_eq!(rows(lists(7, 4), 3), [3, 3, 1]);
        assert!(rows(lists(0, 4), 3).is_empty());
    }

    #[test]
    fn what_a_slice_does_not_show_does_not_count() {
        let batch = lists(200, 25_088).slice(50, 10);
        assert_eq!(rows(batch, usize::MAX), [10]);
    }

    #[test]
    fn slices_follow_each_other() {
        let values = Int32Array::from_iter_values(0..10);
        let batch = RecordBatch::try_from_iter([("i", Arc::new(values) as _)]).unwrap();
        let mut slices = Slices::new(batch);
        let first = slices.next(4).unwrap();
        let second = slices.next(4).unwrap();
        assert_eq!(
            first.column(0).as_ref(),
            &Int32Array::from_iter_values(0..4)
        );
        assert_eq!(
            second.column(0).as_ref(),
            &Int32Array::from_iter_values(4..8)
        );
    }
}
