//! Buffered rows: blocks of whole rows that travel between accumulators without being copied, and the
//! files that hold those for which there was no room.

use crate::error::Result;
use crate::fit::spill::{Disk, Segment};
use crate::value::Value;
use arrow::buffer::{Buffer, ScalarBuffer};
use std::mem::size_of;
use std::sync::Arc;

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
    /// Rows in memory.
    len: usize,
    sealed: Vec<ScalarBuffer<T>>,
    open: Vec<T>,
    /// Rows on disk.
    segments: Vec<Arc<Segment>>,
}

impl<T: Value> Rows<T> {
    pub(crate) fn new(width: usize) -> Self {
        Self {
            width,
            len: 0,
            sealed: vec![],
            open: vec![],
            segments: vec![],
        }
    }

    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Number of rows, in memory and on disk.
    pub(crate) fn len(&self) -> usize {
        self.len + self.segments.iter().map(|s| s.rows()).sum::<usize>()
    }

    /// True if all rows are in memory, where [`Self::in_memory`] finds them.
    pub(crate) fn is_in_memory(&self) -> bool {
        self.segments.is_empty()
    }

    /// Appends one row; the caller has checked its length.
    pub(crate) fn push(&mut self, row: &[T]) {
        debug_assert_eq!(row.len(), self.width);
        if (self.open.len() + row.len()) * size_of::<T>() > BLOCK_BYTES {
            self.seal();
        }
        if self.open.capacity() == 0 && !self.sealed.is_empty() {
            // There are many: a block at once is not copied while it grows.
            let rows = BLOCK_BYTES / size_of::<T>() / row.len().max(1);
            self.open.reserve_exact(rows.max(1) * row.len());
        }
        self.open.extend_from_slice(row);
        self.len += 1;
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
        self.segments.append(&mut other.segments);
    }

    /// Appends rows that another accumulator has written to disk.
    pub(crate) fn push_segments(&mut self, segments: Vec<Arc<Segment>>) {
        self.segments.extend(segments);
    }

    /// Moves the rows in memory to disk.
    pub(crate) fn spill(&mut self, disk: &Disk) -> Result<()> {
        let rows = self.len;
        if rows > 0 {
            let buffers = self.take_buffers();
            self.segments.push(Arc::new(disk.write(buffers, rows)?));
        }
        Ok(())
    }

    fn seal(&mut self) {
        if !self.open.is_empty() {
            let mut block = std::mem::take(&mut self.open);
            if block.len() < block.capacity() / 8 * 7 {
                block.shrink_to_fit();
            }
            self.sealed.push(block.into());
        }
    }

    /// Takes out the rows on disk.
    pub(crate) fn take_segments(&mut self) -> Vec<Arc<Segment>> {
        std::mem::take(&mut self.segments)
    }

    /// Takes the rows in memory out as Arrow buffers of whole rows.
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

    /// Lets the memory of rows that are not needed any more hold the next ones.
    pub(crate) fn recycle(&mut self, mut rows: Self) {
        if self.open.capacity() == 0 {
            rows.open.clear();
            self.open = rows.open;
        }
    }

    /// The rows in memory, in the order in which they were added.
    pub(crate) fn in_memory(&self) -> impl Iterator<Item = &[T]> {
        self.blocks()
            .flat_map(|block| block.chunks_exact(self.width.max(1)))
    }

    fn blocks(&self) -> impl Iterator<Item = &[T]> {
        let open = std::iter::once(self.open.as_slice());
        self.sealed.iter().map(|block| &block[..]).chain(open)
    }

    /// Calls `f` with all rows, those on disk first, in blocks of at most `most` rows.
    pub(crate) fn for_each_block(
        &self,
        most: usize,
        mut f: impl FnMut(&[T]) -> Result<()>,
    ) -> Result<()> {
        for segment in &self.segments {
            segment.for_each_block(self.width, most, &mut f)?;
        }
        let values = most.max(1) * self.width.max(1);
        self.blocks()
            .flat_map(|block| block.chunks(values))
            .try_for_each(f)
    }

    /// Bytes of memory allocated.
    pub(crate) fn size(&self) -> usize {
        let sealed: usize = self.sealed.iter().map(|b| b.len() * size_of::<T>()).sum();
        sealed
            + self.sealed.capacity() * size_of::<ScalarBuffer<T>>()
            + self.open.capacity() * size_of::<T>()
            + self.segments.capacity() * size_of::<Arc<Segment>>()
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
        let firsts: Vec<f64> = other.in_memory().map(|r| r[0]).collect();
        assert_eq!(firsts, (0..9).map(f64::from).collect::<Vec<_>>());
        assert!(other.size() >= 9 * width * 8);
        assert_eq!(other.take().len(), 9);
        assert_eq!(other.len(), 0);
    }

    #[test]
    fn spilled_rows_are_still_there() {
        let mut rows = Rows::<f32>::new(3);
        for i in 0..10_u8 {
            rows.push(&[f32::from(i); 3]);
            if i == 3 || i == 6 {
                rows.spill(&Disk::default()).unwrap();
            }
        }
        assert_eq!((rows.len(), rows.in_memory().count()), (10, 3));
        assert!(!rows.is_in_memory());
        let mut firsts = vec![];
        let collect = |block: &[f32]| {
            assert!(block.len() <= 6);
            firsts.extend(block.iter().step_by(3).copied());
            Ok(())
        };
        rows.for_each_block(2, collect).unwrap();
        assert_eq!(firsts, (0..10_u8).map(f32::from).collect::<Vec<_>>());
    }
}
