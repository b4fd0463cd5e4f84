//! Partial aggregates, which come from other machines.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryViewArray, Float64Array, ListArray, UInt64Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Float64Type};
use datafusion::logical_expr::AggregateUDF;
use datafusion::scalar::ScalarValue;
use datafusion_featurize::pca::functions;

use super::super::Target;
use super::super::parts::{join_blocks, split_blocks};
use super::{ROWS, accumulator, features};

/// Bytes to columns of a state, and back.
struct Layout {
    columns: fn(&[&[u8]]) -> Vec<ArrayRef>,
    blocks: fn(&[ScalarValue]) -> Vec<Vec<u8>>,
}

/// The first block is a byte that chooses the precision of the vectors.
pub(crate) struct States {
    udaf: Arc<AggregateUDF>,
    layout: Layout,
}

impl States {
    pub(crate) fn pca() -> Self {
        Self {
            udaf: functions::pca_fit_udaf(),
            layout: Layout {
                columns: pca_columns,
                blocks: pca_blocks,
            },
        }
    }

    pub(crate) fn scaler() -> Self {
        Self {
            udaf: functions::scaler_fit_udaf(),
            layout: Layout {
                columns: scaler_columns,
                blocks: scaler_blocks,
            },
        }
    }
}

/// A header, and a list of blocks.
fn pca_columns(blocks: &[&[u8]]) -> Vec<ArrayRef> {
    let (header, blocks) = blocks
        .split_first()
        .map_or((&[][..], blocks), |(h, b)| (*h, b));
    let values = BinaryViewArray::from_iter_values(blocks);
    let item = Arc::new(Field::new_list_field(DataType::BinaryView, true));
    let offsets = OffsetBuffer::from_lengths([blocks.len()]);
    vec![
        Arc::new(BinaryViewArray::from_iter_values([header])),
        Arc::new(ListArray::new(item, offsets, Arc::new(values), None)),
    ]
}

fn pca_blocks(state: &[ScalarValue]) -> Vec<Vec<u8>> {
    let [
        ScalarValue::BinaryView(Some(header)),
        ScalarValue::List(blocks),
    ] = state
    else {
        panic!("another state: {state:?}");
    };
    let blocks = blocks.values().as_binary_view();
    let blocks = blocks.iter().flatten().map(<[u8]>::to_vec);
    std::iter::once(header.clone()).chain(blocks).collect()
}

/// Two counts and three lists of numbers.
fn scaler_columns(blocks: &[&[u8]]) -> Vec<ArrayRef> {
    let words = |index: usize| -> Vec<u64> {
        let (words, _) = blocks.get(index).copied().unwrap_or_default().as_chunks();
        words.iter().map(|word| u64::from_le_bytes(*word)).collect()
    };
    let count = |index: usize| words(index).first().copied().unwrap_or_default();
    let list = |index: usize| -> ArrayRef {
        let values = Float64Array::from_iter_values(words(index).into_iter().map(f64::from_bits));
        let item = Arc::new(Field::new_list_field(DataType::Float64, true));
        let offsets = OffsetBuffer::from_lengths([values.len()]);
        Arc::new(ListArray::new(item, offsets, Arc::new(values), None))
    };
    vec![
        Arc::new(UInt64Array::from(vec![count(0)])),
        Arc::new(UInt64Array::from(vec![count(1)])),
        list(2),
        list(3),
        list(4),
    ]
}

fn scaler_blocks(state: &[ScalarValue]) -> Vec<Vec<u8>> {
    let bytes = |column: &ScalarValue| match column {
        ScalarValue::UInt64(Some(count)) => count.to_le_bytes().to_vec(),
        ScalarValue::List(list) => {
            let values = list.values().as_primitive::<Float64Type>();
            values
                .values()
                .iter()
                .flat_map(|v| v.to_le_bytes())
                .collect()
        }
        other => panic!("another state: {other:?}"),
    };
    state.iter().map(bytes).collect()
}

impl Target for States {
    fn seeds(&self) -> Vec<Vec<u8>> {
        let mut seeds = vec![];
        for (is_single, memory_limit) in [
            (false, None),
            (true, None),
            (false, Some(1)),
            (true, Some(1)),
        ] {
            let features = features(is_single);
            let mut arguments = vec![];
            if let Some(limit) = memory_limit.filter(|_| self.udaf.name() == "pca_fit") {
                // So little that rows become moments.
                arguments = vec![
                    ScalarValue::Int64(Some(2)),
                    ScalarValue::Boolean(Some(true)),
                    ScalarValue::from("scikit-learn"),
                    ScalarValue::Int64(Some(limit)),
                ];
            }
            let mut from = accumulator(&self.udaf, features.data_type(), &arguments).unwrap();
            if from.update_batch(&[features]).is_err() {
                continue;
            }
            let state = from.state().unwrap();
            let blocks = (self.layout.blocks)(&state);
            let first: &[u8] = &[u8::from(is_single)];
            let blocks = std::iter::once(first).chain(blocks.iter().map(Vec::as_slice));
            seeds.push(join_blocks(blocks));
        }
        // Moments as another machine would send them: shift, mean, and the triangle.
        let d = ROWS[0].len() as u64;
        let header: Vec<u8> = [5, 8, d, 1, 7, 0].map(u64::to_le_bytes).concat();
        let numbers = |count: usize| {
            vec![1.5_f64; count]
                .iter()
                .flat_map(|v| v.to_le_bytes())
                .collect::<Vec<u8>>()
        };
        seeds.push(join_blocks([&[0][..], &header, &numbers(6), &numbers(6)]));
        seeds
    }

    fn tokens(&self) -> &[&[u8]] {
        &[
            b"\x05\0\0\0\0\0\0\0",
            b"\x08\0\0\0\0\0\0\0",
            b"\x04\0\0\0\0\0\0\0",
            b"\x01\0\0\0\0\0\0\0",
            b"\xFF\xFF\xFF\xFF\0\0\0\0",
            b"\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF",
            b"\0\0\0\0\0\0\xF0\x7F",
            b"\0\0\0\0\0\0\xF8\x7F",
            b"\xFF\xFF\xFF\xFF\xFF\xFF\xEF\x7F",
            b"\0\0\0\0\x01\0\0\0",
        ]
    }

    fn most_memory(&self, input: &[u8]) -> usize {
        // A covariance of as many columns as there are numbers, and what an eigenproblem of it takes.
        let columns = input.len() / 4;
        64 * columns * columns.min(512) + (128 << 20)
    }

    fn run(&mut self, input: &[u8]) -> Result<String, String> {
        let blocks = split_blocks(input);
        let (first, blocks) = blocks
            .split_first()
            .map_or((&[][..], &[][..]), |(f, b)| (*f, b));
        let is_single = first.first().is_some_and(|byte| byte % 2 == 1);
        let features = features(is_single);
        let mut into =
            accumulator(&self.udaf, features.data_type(), &[]).map_err(|e| e.to_string())?;
        let columns = (self.layout.columns)(blocks);
        if input.len().is_multiple_of(2) {
            into.update_batch(&[features]).map_err(|e| e.to_string())?;
        }
        // What is missing would pass for columns that never vary.
        let is_uneven = self.udaf.name() == "scaler_fit" && {
            let lists = columns.iter().skip(2).map(|column| column.as_list::<i32>());
            let lengths: Vec<usize> = lists.map(|list| list.values().len()).collect();
            lengths.iter().any(|length| *length != lengths[0])
        };
        let merged = into.merge_batch(&columns);
        if is_uneven && merged.is_ok() {
            return Err("lists of different lengths are refused".to_owned());
        }
        let mut outcome = match merged {
            Ok(()) => "merged".to_owned(),
            Err(error) => format!("{error}"),
        };
        let _ = into.size();
        match input.len() % 3 {
            0 => match into.state() {
                Ok(_) => outcome += " sent on",
                Err(error) => outcome += &error.to_string(),
            },
            _ => match into.evaluate() {
                Ok(_) => outcome += " fitted",
                Err(error) => outcome += &error.to_string(),
            },
        }
        Ok(outcome)
    }
}
