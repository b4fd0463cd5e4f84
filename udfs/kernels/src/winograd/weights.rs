//! Transforming and packing the weights of a layer, once, when it is loaded.

use std::ops::Range;

use rayon::prelude::*;

use super::TileSize;
use super::transform::{F4, F6, Tile};
use crate::simd::{LANES, Lanes};

/// Transformed weights, packed in the order in which the kernel reads them:
/// `[coordinate][group][input channel][vector of output channels]`, where a group is as many
/// vectors of output channels as one matrix tile has columns.
#[derive(Debug)]
pub(super) struct Packed {
    lines: Vec<Lanes>,
    groups: usize,
    group_lines: usize,
}

impl Packed {
    /// `kernel` is HWIO with nine taps. `vectors` is the width of a group.
    pub(super) fn new(
        kernel: &[f32],
        in_channels: usize,
        out_channels: usize,
        size: TileSize,
        vectors: usize,
    ) -> Self {
        let coordinates = size.inputs() * size.inputs();
        let groups = out_channels.div_ceil(LANES * vectors);
        let group_lines = in_channels.next_multiple_of(LANES) * vectors;
        let mut lines = vec![Lanes::ZERO; coordinates * groups * group_lines];
        let matrix = match size {
            TileSize::Four => weight_matrix(F4::POINTS),
            TileSize::Six => weight_matrix(F6::POINTS),
        };
        // A group is spread over all coordinates: threads get their pieces as separate slices.
        let mut pieces: Vec<Vec<&mut [Lanes]>> = (0..groups).map(|_| Vec::new()).collect();
        for (i, piece) in lines.chunks_exact_mut(group_lines).enumerate() {
            pieces[i % groups].push(piece);
        }
        let pieces = pieces.into_par_iter().enumerate();
        pieces.for_each(|(group, mut pieces)| {
            let mut transformed = vec![[0.0; LANES]; coordinates];
            for line in 0..in_channels * vectors {
                let (channel, vector) = (line / vectors, line % vectors);
                let first = (group * vectors + vector) * LANES;
                let here = LANES.min(out_channels.saturating_sub(first));
                let taps: [[f64; LANES]; 9] = std::array::from_fn(|tap| {
                    let from = (tap * in_channels + channel) * out_channels + first;
                    let mut lanes = [0.0; LANES];
                    for (lane, i) in lanes[..here].iter_mut().zip(from..) {
                        *lane = f64::from(kernel[i]);
                    }
                    lanes
                });
                transform(&matrix, &taps, &mut transformed);
                for (piece, values) in pieces.iter_mut().zip(&transformed) {
                    piece[line] = Lanes(values.map(|value| value as f32));
                }
            }
        });
        Self {
            lines,
            groups,
            group_lines,
        }
    }

    /// Number of groups.
    pub(super) fn groups(&self) -> usize {
        self.groups
    }

    /// The matrices of some groups at one coordinate.
    #[inline(always)]
    pub(super) fn matrices(
        &self,
        coordinate: usize,
        groups: Range<usize>,
    ) -> impl Iterator<Item = &[Lanes]> {
        let first = coordinate * self.groups;
        self.lines
            [(first + groups.start) * self.group_lines..(first + groups.end) * self.group_lines]
            .chunks_exact(self.group_lines)
    }

    /// Memory held, in bytes.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(self.lines.as_slice())
    }
}

/// G: one row per interpolation point, and one for infinity.
fn weight_matrix(points: &[f64]) -> Vec<[f64; 3]> {
    let row = |(j, a): (usize, &f64)| {
        let others = points.iter().enumerate().filter(|&(l, _)| l != j);
        let scale: f64 = others.map(|(_, b)| a - b).product();
        [1.0 / scale, a / scale, a * a / scale]
    };
    let rows = points.iter().enumerate().map(row);
    rows.chain([[0.0, 0.0, 1.0]]).collect()
}

/// G g Gᵀ for sixteen output channels at once, in double precision.
fn transform(matrix: &[[f64; 3]], taps: &[[f64; LANES]; 9], out: &mut [[f64; LANES]]) {
    for (row, out) in matrix.iter().zip(out.chunks_exact_mut(matrix.len())) {
        let mut vertical = [[0.0; LANES]; 3];
        for (x, vertical) in vertical.iter_mut().enumerate() {
            for (y, factor) in row.iter().enumerate() {
                for (sum, tap) in vertical.iter_mut().zip(taps[y * 3 + x]) {
                    *sum += factor * tap;
                }
            }
        }
        for (column, out) in matrix.iter().zip(out) {
            *out = [0.0; LANES];
            for (factor, vertical) in column.iter().zip(&vertical) {
                for (sum, value) in out.iter_mut().zip(vertical) {
                    *sum += factor * value;
                }
            }
        }
    }
}
