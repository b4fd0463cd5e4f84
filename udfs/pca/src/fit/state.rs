//! The partial aggregate: what one partition, or one machine, sends to the one that finishes.
//!
//! Two Arrow columns, so that a state can be shuffled like any other row:
//!
//! * `header`, BinaryView: version, precision, counts, width (see [`counts`]), and the blocks if they are
//!   small, each after its length;
//! * `blocks`, List(BinaryView): if the header announces moments, their shift and the means relative
//!   to it (2 d `f64`) and the lower triangle of M₂ ([`crate::linalg::triangle`], d (d + 1) / 2 `f64`);
//!   if it announces rows on disk, their ticket ([`crate::fit::spill`]); then blocks of whole rows. All numbers are little-endian.
//!
//! Within a process the blocks are the accumulator's own buffers: nothing is copied. Many groups of few rows
//! would be as many buffers, which every slice of the column refers to; hence the small blocks in the header.
//! A ticket is good
//! in the process that issued it; elsewhere the merge fails and says why.

use crate::error::{PcaError, Result};
use crate::fit::fitter::Parts;
use crate::fit::moments::Moments;
use crate::fit::rows::Rows;
use crate::fit::spill::{issue_ticket, redeem_ticket};
use crate::value::Value;
use arrow::array::{
    Array, ArrayRef, AsArray, BinaryViewArray, BinaryViewBuilder, ByteView, ListArray,
};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{ArrowNativeType, DataType, Field, FieldRef};
use arrow::error::ArrowError;
use datafusion_common::ScalarValue;
use datafusion_expr::utils::format_state_name;
use std::sync::Arc;

/// Version of the state; machines of one query must agree on it.
const VERSION: u64 = 5;

/// Bytes of all blocks up to which they travel in the header.
const SMALL: usize = 4096;

/// Views of an Arrow array longer than this live in a buffer of their own.
const INLINE: u32 = 12;

/// Fields of the state of the aggregate `name`.
pub(crate) fn fields(name: &str) -> Vec<FieldRef> {
    let blocks = DataType::List(block_field());
    vec![
        Arc::new(Field::new(
            format_state_name(name, "header"),
            DataType::BinaryView,
            true,
        )),
        Arc::new(Field::new(format_state_name(name, "blocks"), blocks, true)),
    ]
}

fn block_field() -> FieldRef {
    Arc::new(Field::new_list_field(DataType::BinaryView, true))
}

/// The counts at the head of a state, eight bytes each, and the bytes that follow them: version, bytes of
/// a value of a buffered row, width, NULL rows, rows in the moments and rows on disk (0 if there are none).
fn counts(header: &[u8]) -> Result<([u64; 6], &[u8])> {
    let (words, _) = header.as_chunks();
    let Some((words, _)) = words.split_first_chunk() else {
        return Err(PcaError::State(format!(
            "its header has {} bytes",
            header.len()
        )));
    };
    let counts = words.map(u64::from_le_bytes);
    if counts[0] != VERSION {
        return Err(PcaError::State(format!(
            "it has version {} instead of {VERSION}",
            counts[0]
        )));
    }
    Ok((counts, &header[size_of_val(words)..]))
}

/// Whether all of these partial fits, the state of `pca_fit` in one column after the other, hold moments and rows
/// that are in memory, or nothing: merged, they are as large as the largest of them. Fits that hold rows only add
/// up, and beyond their memory limit go to a disk, which no other machine reads.
pub fn merges_in_place(state: &[ArrayRef]) -> bool {
    let headers = state.first().and_then(|column| column.as_binary_view_opt());
    headers.is_some_and(|headers| {
        headers.iter().flatten().all(|header| {
            counts(header).is_ok_and(|([_, _, width, _, moment_rows, disk_rows], _)| {
                disk_rows == 0 && (moment_rows > 0 || width == 0)
            })
        })
    })
}

/// Appends small blocks to the header.
fn append_blocks(header: &mut Vec<u8>, blocks: Vec<Buffer>) {
    for block in blocks {
        header.extend((block.len() as u64).to_le_bytes());
        header.extend(block.as_slice());
    }
}

/// What [`append_blocks`] has appended.
fn appended_blocks(mut bytes: &[u8]) -> Result<BinaryViewArray> {
    // Each in a buffer of its own size: what is kept of them is kept whole.
    let mut blocks = vec![];
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let Some((block, rest)) = rest.split_at_checked(length) else {
            return Err(PcaError::State(
                "a block in its header breaks off".to_string(),
            ));
        };
        blocks.push(Buffer::from(block));
        bytes = rest;
    }
    if bytes.is_empty() {
        block_array(blocks).map_err(|e| PcaError::State(e.to_string()))
    } else {
        Err(PcaError::State("its header breaks off".to_string()))
    }
}

/// Encodes what an accumulator holds.
pub(crate) fn encode<T: Value>(mut parts: Parts<T>) -> Result<Vec<ScalarValue>> {
    let segments = parts.rows.take_segments();
    let counts = [
        VERSION,
        size_of::<T>() as u64,
        parts.width as u64,
        parts.null_rows,
        parts.moments.as_ref().map_or(0, Moments::n),
        segments.iter().map(|s| s.rows() as u64).sum(),
    ];
    let mut buffers = Vec::new();
    if let Some(moments) = parts.moments.take() {
        buffers.push(Buffer::from_vec(moments.packed_means()));
        buffers.push(Buffer::from_vec(moments.packed_m2()));
    }
    // A ticket is known by its buffer.
    let is_movable = segments.is_empty();
    if !segments.is_empty() {
        buffers.push(issue_ticket(segments));
    }
    buffers.extend(parts.rows.take_buffers());
    let mut header: Vec<u8> = counts.iter().flat_map(|n| n.to_le_bytes()).collect();
    if is_movable && buffers.iter().map(Buffer::len).sum::<usize>() <= SMALL {
        append_blocks(&mut header, std::mem::take(&mut buffers));
    }
    let blocks = block_array(buffers).map_err(|e| PcaError::State(e.to_string()))?;
    let blocks = ListArray::try_new(
        block_field(),
        OffsetBuffer::from_lengths([blocks.len()]),
        Arc::new(blocks),
        None,
    )
    .map_err(|e| PcaError::State(e.to_string()))?;
    Ok(vec![
        ScalarValue::BinaryView(Some(header)),
        ScalarValue::List(Arc::new(blocks)),
    ])
}

/// Views of whole buffers, without copying them.
fn block_array(buffers: Vec<Buffer>) -> Result<BinaryViewArray, ArrowError> {
    let mut builder = BinaryViewBuilder::new();
    for buffer in buffers {
        let len = u32::try_from(buffer.len()).map_err(|_| {
            ArrowError::InvalidArgumentError(format!(
                "a block of {} bytes is too long",
                buffer.len()
            ))
        })?;
        if len <= INLINE {
            builder.append_value(&buffer);
        } else {
            let block = builder.append_block(buffer);
            builder.try_append_view(block, 0, len)?;
        }
    }
    Ok(builder.finish())
}

/// Decodes one state. Blocks stay where they are if they are aligned.
pub(crate) fn decode<T: Value>(header: &[u8], blocks: &BinaryViewArray) -> Result<Parts<T>> {
    let ([_, value_bytes, width, null_rows, moment_rows, disk_rows], rest) = counts(header)?;
    let appended;
    let blocks = if rest.is_empty() {
        blocks
    } else {
        appended = appended_blocks(rest)?;
        &appended
    };
    if value_bytes != size_of::<T>() as u64 {
        return Err(PcaError::State(format!(
            "its values have {value_bytes} bytes instead of {}",
            size_of::<T>()
        )));
    }
    let width = usize::try_from(width).map_err(|e| PcaError::State(e.to_string()))?;
    let mut blocks = Blocks { blocks, at: 0 };
    let moments = blocks.moments(moment_rows, width)?;
    let mut rows = Rows::new(width);
    if disk_rows > 0 {
        let ticket: ScalarBuffer<u8> = blocks.take()?;
        rows.push_segments(redeem_ticket(&ticket)?);
        if rows.len() as u64 != disk_rows {
            return Err(PcaError::State(format!(
                "{} rows on disk instead of {disk_rows}",
                rows.len()
            )));
        }
    }
    while blocks.at < blocks.blocks.len() {
        let block: ScalarBuffer<T> = blocks.take()?;
        if block.len().checked_rem(width) != Some(0) {
            return Err(PcaError::State(format!(
                "a block of {} values for rows of {width}",
                block.len()
            )));
        }
        rows.push_block(block);
    }
    Ok(Parts {
        null_rows,
        width,
        rows,
        moments,
    })
}

/// Blocks that are taken one after the other.
struct Blocks<'a> {
    blocks: &'a BinaryViewArray,
    at: usize,
}

impl Blocks<'_> {
    fn take<V: ArrowNativeType>(&mut self) -> Result<ScalarBuffer<V>> {
        if self.at == self.blocks.len() {
            return Err(PcaError::State("blocks are missing".to_string()));
        }
        self.at += 1;
        values(self.blocks, self.at - 1)
    }

    /// The moments of so many rows, `None` of none.
    fn moments(&mut self, rows: u64, width: usize) -> Result<Option<Moments>> {
        if rows == 0 {
            return Ok(None);
        }
        let means: ScalarBuffer<f64> = self.take()?;
        let m2: ScalarBuffer<f64> = self.take()?;
        let moments = Moments::from_packed(rows, width, &means, &m2).ok_or_else(|| {
            PcaError::State(format!(
                "{} means and {} moments for {width} columns",
                means.len() / 2,
                m2.len()
            ))
        })?;
        Ok(Some(moments))
    }
}

/// The values of a block, shared with the array if they are aligned there.
fn values<V: ArrowNativeType>(blocks: &BinaryViewArray, i: usize) -> Result<ScalarBuffer<V>> {
    let malformed = |bytes: usize| PcaError::State(format!("a block of {bytes} bytes"));
    if blocks.is_null(i) {
        return Err(malformed(0));
    }
    let bytes = blocks.value(i);
    let size = size_of::<V>();
    if !bytes.len().is_multiple_of(size) {
        return Err(malformed(bytes.len()));
    }
    if bytes.as_ptr().align_offset(align_of::<V>()) == 0
        && let Some(view) = blocks.views().get(i).map(|v| ByteView::from(*v))
        && view.length > INLINE
        && let Some(buffer) = blocks.data_buffers().get(view.buffer_index as usize)
    {
        let shared = buffer.slice_with_length(view.offset as usize, view.length as usize);
        return Ok(ScalarBuffer::from(shared));
    }
    // A fresh buffer is aligned for any element type.
    Ok(ScalarBuffer::from(Buffer::from(bytes)))
}
