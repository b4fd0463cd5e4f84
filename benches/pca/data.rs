//! The data: activations as a network might have them, the same on every machine.
//!
//! A few hundred factors of decaying weight and noise, cut off at zero.

use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Float32Array, ListArray, RecordBatch};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::file::properties::WriterProperties;

use crate::Case;

/// Rows that are made together, from a seed of their own.
const CHUNK: usize = 512;

/// Factors behind the columns.
const FACTORS: usize = 192;

struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self((seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// Close enough to a standard normal number: a sum of four uniform ones.
    fn normal(&mut self) -> f32 {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D);
        let sum: u64 = (0..4).map(|i| (bits >> (16 * i)) & 0xFFFF).sum();
        (sum as f32 / 65536.0 - 2.0) * 3.0_f32.sqrt()
    }
}

/// Calls `f` with chunks of rows, in order.
fn for_each_chunk(case: &Case, mut f: impl FnMut(&[f32])) {
    let d = case.columns;
    let mut random = Random::new(0);
    let weights: Vec<f32> = (0..FACTORS * d)
        .map(|i| random.normal() / ((i / d + 1) as f32).powf(0.7))
        .collect();
    let chunk = |start: usize| {
        let rows = CHUNK.min(case.rows - start);
        let mut random = Random::new(start as u64 + 1);
        let mut values = vec![0.0_f32; rows * d];
        for row in values.chunks_exact_mut(d) {
            row.iter_mut().for_each(|v| *v = 0.3 * random.normal());
            for weights in weights.chunks_exact(d) {
                let factor = random.normal();
                for (v, w) in row.iter_mut().zip(weights) {
                    *v += factor * w;
                }
            }
            row.iter_mut().for_each(|v| *v = (*v + 0.5).max(0.0));
        }
        values
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let starts: Vec<usize> = (0..case.rows).step_by(CHUNK).collect();
    for starts in starts.chunks(threads) {
        let chunks: Vec<Vec<f32>> = std::thread::scope(|scope| {
            let running: Vec<_> = starts
                .iter()
                .map(|&s| scope.spawn(move || chunk(s)))
                .collect();
            running.into_iter().map(|r| r.join().unwrap()).collect()
        });
        chunks.iter().for_each(|chunk| f(chunk));
    }
}

/// Writes the data of a case, under another name until it is whole.
pub(crate) fn make_data(case: &Case, data: &Path) {
    let file = case.file(data);
    let partial = file.with_extension("partial");
    let output = BufWriter::new(File::create(&partial).unwrap());
    if case.sql {
        write_parquet(case, output);
    } else {
        write_npy(case, output);
    }
    std::fs::rename(partial, file).unwrap();
}

/// numpy's format, version 1.0, little-endian f32, row-major.
fn write_npy(case: &Case, mut output: impl Write) {
    let mut header = format!(
        "{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}",
        case.rows, case.columns
    );
    let padding = NPY_HEADER - 10 - 1 - header.len();
    header.extend(std::iter::repeat_n(' ', padding));
    header.push('\n');
    output.write_all(b"\x93NUMPY\x01\x00").unwrap();
    let length = u16::try_from(header.len()).unwrap();
    output.write_all(&length.to_le_bytes()).unwrap();
    output.write_all(header.as_bytes()).unwrap();
    for_each_chunk(case, |chunk| {
        let bytes: Vec<u8> = chunk.iter().flat_map(|v| v.to_le_bytes()).collect();
        output.write_all(&bytes).unwrap();
    });
    output.flush().unwrap();
}

const NPY_HEADER: usize = 128;

/// Reads what [`write_npy`] wrote.
pub(crate) fn read_npy(file: &Path, case: &Case) -> Vec<f32> {
    let mut input = File::open(file).unwrap();
    input.seek(SeekFrom::Start(NPY_HEADER as u64)).unwrap();
    let mut data = Vec::with_capacity(case.rows * case.columns);
    let mut bytes = vec![0; case.columns * 4];
    for _ in 0..case.rows {
        input.read_exact(&mut bytes).unwrap();
        let (values, _) = bytes.as_chunks();
        data.extend(values.iter().map(|v| f32::from_le_bytes(*v)));
    }
    data
}

fn write_parquet(case: &Case, output: impl Write + Send) {
    let item = Arc::new(Field::new_list_field(DataType::Float32, true));
    let list = DataType::List(Arc::clone(&item));
    let schema = Arc::new(Schema::new(vec![Field::new("features", list, true)]));
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(8192))
        .set_dictionary_enabled(false)
        .build();
    let mut writer = ArrowWriter::try_new(output, Arc::clone(&schema), Some(properties)).unwrap();
    for_each_chunk(case, |chunk| {
        let rows = chunk.len() / case.columns;
        let values = Float32Array::from(chunk.to_vec());
        let offsets = OffsetBuffer::from_repeated_length(case.columns, rows);
        let lists = ListArray::new(Arc::clone(&item), offsets, Arc::new(values), None);
        let column: ArrayRef = Arc::new(lists);
        writer
            .write(&RecordBatch::try_new(Arc::clone(&schema), vec![column]).unwrap())
            .unwrap();
    });
    writer.close().unwrap();
}
