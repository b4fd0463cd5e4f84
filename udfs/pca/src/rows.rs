//! Buffered rows: blocks of whole rows that travel between accumulators without being copied.

use crate::value::Value;
use arrow::buffer::{Buffer, ScalarBuffer};
use std::mem::size_of;

/// Target size of a block. Small enough that growing it copies little and that a block is freed
/// soon after it has been used; large enough that a wide row does not make a block of its own.
const BLOCK_BYTES: usize = 4 << 20;

/// Rows of equal width in row-major blocks.
///
/// Sealed blocks are reference-counted Arrow buffers: a partial aggregate hands them to the final
/// one as they are.
#[derive(Debug, Clone)]
pub(crate) struct Rows<T: Value> {
    width: usize,
    len: usize,
    sealed: Vec<ScalarBuffer<T>>,
    open: Vec<T>,
}

impl<T: Value> Rows<T> {
    pub(crate) fn new(width: usize) -> Self {
        Self {
            width,
            len: 0,
            sealed: vec![],
            open: vec![],
        }
    }

    pub(crate) fn width(&self) -> usize {
        self.width
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Appends one row; the caller has checked its length.
    pub(crate) fn push(&mut self, row: &[T]) {
        debug_assert_eq!(row.len(), self.width);
        self.open.extend_from_slice(row);
        self.len += 1;
        if (self.open.len() + row.len()) * size_of::<T>() > BLOCK_BYTES {
            self.seal();
        }
    }

    /// Appends whole rows that another accumulator has sealed.
    pub(crate) fn push_block(&mut self, block: ScalarBuffer<T>) {
        self.seal();
        if let Some(rows) = block.len().checked_div(self.width) {
            self.len += rows;
            self.sealed.push(block);
        }
    }

    pub(crate) fn append(&mut self, mut other: Self) {
        other.seal();
        for block in other.sealed {
            self.push_block(block);
        }
    }

    fn seal(&mut self) {
        if !self.open.is_empty() {
            self.sealed.push(std::mem::take(&mut self.open).into());
        }
    }

    /// Takes all rows out as Arrow buffers of whole rows.
    pub(crate) fn take_buffers(&mut self) -> Vec<Buffer> {
        self.seal();
        self.len = 0;
        std::mem::take(&mut self.sealed)
            .into_iter()
            .map(ScalarBuffer::into_inner)
            .collect()
    }

    /// Takes all rows out, leaving none.
    pub(crate) fn take(&mut self) -> Self {
        std::mem::replace(self, Self::new(self.width))
    }

    /// The rows, in the order in which they were added.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[T]> {
        self.sealed
            .iter()
            .map(|block| &block[..])
            .chain(std::iter::once(self.open.as_slice()))
            .flat_map(|block| block.chunks_exact(self.width.max(1)))
    }

    /// Bytes allocated.
    pub(crate) fn size(&self) -> usize {
        let sealed: usize = self.sealed.iter().map(|b| b.len() * size_of::<T>()).sum();
        sealed
            + self.sealed.capacity() * size_of::<ScalarBuffer<T>>()
            + self.open.capacity() * size_of::<T>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_hold_whole_rows_in_order() {
        let width = 300_000;
        let mut rows = Rows::<f64>::new(width);
        for i in 0..9 {
            rows.push(&vec![f64::from(i); width]);
        }
        assert!(rows.sealed.len() > 1);
        assert!(rows.sealed.iter().all(|b| b.len() % width == 0));
        let mut other = Rows::new(width);
        other.append(rows.clone());
        assert_eq!(other.len(), 9);
        let firsts: Vec<f64> = other.iter().map(|r| r[0]).collect();
        assert_eq!(firsts, (0..9).map(f64::from).collect::<Vec<_>>());
        assert!(other.size() >= 9 * width * 8);
        assert_eq!(other.take().len(), 9);
        assert_eq!(other.len(), 0);
    }
}
