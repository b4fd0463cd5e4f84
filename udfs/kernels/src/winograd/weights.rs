//! Transforming and packing the weights of a layer, once, when it is loaded.

use rayon::prelude::*;

use super::TileSize;
use super::transform::{F4, F6, Tile};
use crate::simd::{LANES, Lanes};

/// Transformed weights, packed in the order in which the kernel reads them:
/// `[chunk of groups][coordinate][group][input channel][vector of output channels]`, where a group
/// is as many vectors of output channels as one matrix tile has columns.
#[derive(Debug)]
pub(super) struct Packed {
    lines: Vec<Lanes>,
    pub(super) groups: usize,
    pub(super) groups_per_chunk: usize,
    coordinates: usize,
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
        groups_per_chunk: usize,
    ) -> Self {
        let points = size.inputs();
        let coordinates = points * points;
        let depth = in_channels.next_multiple_of(LANES);
        let groups = out_channels.div_ceil(LANES * vectors);
        let mut packed = Self {
            lines: vec![Lanes::ZERO; groups * coordinates * depth * vectors],
            groups,
            groups_per_chunk,
            coordinates,
            group_lines: depth * vectors,
        };
        let matrix = match size {
            TileSize::Four => weight_matrix(F4::POINTS),
            TileSize::Six => weight_matrix(F6::POINTS),
        };
        let chunk_lines = groups_per_chunk * coordinates * packed.group_lines;
        packed
            .lines
            .par_chunks_mut(chunk_lines)
            .enumerate()
            .for_each(|(chunk, lines)| {
                let groups_here = lines.len() / (coordinates * packed.group_lines);
                let mut transformed = vec![[0.0; LANES]; coordinates];
                for group in 0..groups_here {
                    for channel in 0..in_channels {
                        for vector in 0..vectors {
                            let first =
                                ((chunk * groups_per_chunk + group) * vectors + vector) * LANES;
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
                            for (coordinate, values) in transformed.iter().enumerate() {
                                let at = (coordinate * groups_here + group) * packed.group_lines
                                    + channel * vectors
                                    + vector;
                                lines[at] = Lanes(values.map(|value| value as f32));
                            }
                        }
                    }
                }
            });
        packed
    }

    /// Number of chunks.
    pub(super) fn chunks(&self) -> usize {
        self.groups.div_ceil(self.groups_per_chunk)
    }

    /// Groups of one chunk; the last one may have fewer.
    #[inline(always)]
    pub(super) fn chunk_groups(&self, chunk: usize) -> usize {
        self.groups_per_chunk
            .min(self.groups - chunk * self.groups_per_chunk)
    }

    /// The matrices of all groups of a chunk, one after the other, for each coordinate.
    #[inline(always)]
    pub(super) fn coordinates(&self, chunk: usize) -> impl Iterator<Item = &[Lanes]> {
        let start = chunk * self.groups_per_chunk * self.coordinates * self.group_lines;
        let matrices = self.chunk_groups(chunk) * self.group_lines;
        self.lines[start..start + self.coordinates * matrices].chunks_exact(matrices)
    }

    /// Lines of one group's matrix.
    #[inline(always)]
    pub(super) fn group_lines(&self) -> usize {
        self.group_lines
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
