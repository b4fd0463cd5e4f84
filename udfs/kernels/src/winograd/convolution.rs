//! The layer: input transform, one matrix product per coordinate, output transform.

use super::TileSize;
use super::transform::{F4, F6, Tile};
use super::weights::Packed;
use crate::activation::{Activation, clamp};
use crate::gemm::{Panels, multiply, with_rows};
use crate::layout::{Map, Rows, Sides, Source, Target};
use crate::parallel::{Task, Team, at_least};
use crate::simd::{Arch, Kernel, LANES, Lanes, Simd, to_lanes};

/// Tiles of a task. Up to this many bytes of weights, few enough for their transformed inputs to
/// stay in a core's second-level cache; above, more, because every task reads all weights.
const LARGE_WEIGHTS: usize = 4 << 20;
const TILES_PER_LARGE_TASK: usize = 64;
const SMALL_TASK_BYTES: usize = 640 << 10;
const FEWEST_TILES: usize = 24;

/// How many tiles ahead the transforms ask for their data. They read more streams at once (one per
/// row or coordinate) than processors follow by themselves.
const PREFETCH_TILES: usize = 2;

/// A 3×3 convolution of stride 1 with bias and activation, and optionally a 2×2 max pool of stride 2
/// before them, on maps of one fixed size.
#[derive(Debug)]
pub(crate) struct Winograd {
    size: TileSize,
    pool: bool,
    in_channels: usize,
    /// Height and width of the output of the convolution.
    height: usize,
    width: usize,
    /// Zeros before the first pixel.
    before: Sides,
    activation: Activation,
    weights: Packed,
    bias: Vec<Lanes>,
    arch: Arch,
}

impl Winograd {
    /// `kernel` is HWIO; lengths were checked by the caller.
    pub(crate) fn new(
        arch: Arch,
        (size, pool): (TileSize, bool),
        (height, width): (usize, usize),
        before: Sides,
        activation: Activation,
        kernel: &[f32],
        bias: &[f32],
    ) -> Self {
        let in_channels = kernel.len() / 9 / bias.len();
        let weights = Packed::new(kernel, in_channels, bias.len(), size, arch.gemm_vectors());
        Self {
            size,
            pool,
            in_channels,
            height,
            width,
            before,
            activation,
            weights,
            bias: to_lanes(bias),
            arch,
        }
    }

    /// Memory held, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.weights.bytes() + size_of_val(self.bias.as_slice())
    }

    /// Tiles along the height and the width, without those that only a dropped last row or column
    /// of the pool would read.
    fn tiles(&self) -> (usize, usize) {
        self.size.tiles((self.height, self.width), self.pool)
    }

    /// Computes whole maps. Stops early, leaving the output unfinished, if the team was cancelled.
    pub(crate) fn run(&self, team: &Team<'_>, source: Source<'_>, target: Target<'_>) {
        let (tiles_y, tiles_x) = self.tiles();
        let tile_rows = source.images() * tiles_y;
        let points = self.size.inputs();
        let tile_bytes = points * points * source.map.blocks() * size_of::<Lanes>();
        let tiles = if self.weights.bytes() > LARGE_WEIGHTS {
            TILES_PER_LARGE_TASK
        } else {
            (SMALL_TASK_BYTES / tile_bytes).clamp(FEWEST_TILES, TILES_PER_LARGE_TASK)
        };
        let rows_per_tile = self.size.outputs() / if self.pool { 2 } else { 1 };
        let map = *target.map;
        let plan = team.plan(
            tile_rows,
            (tile_rows * tiles_x).div_ceil(tiles),
            self.weights.groups(),
        );
        let rows = target.into_rows().enumerate();
        let rows = rows.map(|(y, row)| {
            let tile_row = y / map.height * tiles_y + y % map.height / rows_per_tile;
            (tile_row, row)
        });
        let group_lines = self.arch.gemm_vectors() * map.columns();
        let tasks = Task::split(&plan, rows, group_lines);
        team.for_each(tasks, |task, scratch| {
            let outputs = self.size.outputs();
            self.arch.run(TaskKernel {
                layer: self,
                input: source.rows(task.range.clone(), tiles_y, outputs, self.before),
                output_map: &map,
                task,
                scratch: &mut scratch.lines,
            });
        });
    }

    fn depth(&self) -> usize {
        self.in_channels.next_multiple_of(LANES)
    }
}

struct TaskKernel<'a, 'b> {
    layer: &'a Winograd,
    /// The first row under each row of tiles.
    input: Rows<'a>,
    output_map: &'a Map,
    task: Task<'b>,
    scratch: &'a mut Vec<Lanes>,
}

impl Kernel for TaskKernel<'_, '_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        match self.layer.size {
            TileSize::Four => self.compute::<S, F4, 4, 6>(simd),
            TileSize::Six => self.compute::<S, F6, 6, 8>(simd),
        }
    }
}

/// Lines between the planes of two coordinates. An odd number, so that the same tile's values of
/// all coordinates do not compete for a few sets of the cache.
#[inline(always)]
fn plane_stride(lines: usize) -> usize {
    lines | 1
}

impl TaskKernel<'_, '_> {
    #[inline(always)]
    fn compute<S: Simd, T: Tile<O, I>, const O: usize, const I: usize>(mut self, simd: S) {
        let layer = self.layer;
        let (_, tiles_x) = layer.tiles();
        let tiles = self.task.range.len() * tiles_x;
        let blocks = layer.depth() / LANES;
        let panels = Panels::new(tiles, S::GEMM_ROWS);
        let vectors = S::GEMM_VECTORS;

        let transformed_stride = plane_stride(blocks * tiles);
        let groups = self.task.parts.clone();
        let sums_stride = plane_stride(tiles * vectors * groups.len());
        let transformed_lines = I * I * transformed_stride;
        let lines = transformed_lines + I * I * sums_stride;
        let mut scratch = std::mem::take(self.scratch);
        let (transformed, sums) = at_least(&mut scratch, lines).split_at_mut(transformed_lines);

        self.transform_input::<S, T, O, I>(simd, panels, transformed, transformed_stride);
        // All products of one coordinate, then the next: its inputs stay in the cache, and the
        // weights, which are the larger part in deep layers, are read once.
        let planes = transformed.chunks_exact(transformed_stride);
        let sums_planes = sums.chunks_exact_mut(sums_stride);
        for (coordinate, (plane, sums)) in planes.zip(sums_planes).enumerate() {
            let matrices = layer.weights.matrices(coordinate, groups.clone());
            for (matrix, sums) in matrices.zip(sums.chunks_exact_mut(tiles * vectors)) {
                for (start, rows) in panels.iter() {
                    let panel = &plane[start * blocks..][..rows * blocks];
                    let sums = &mut sums[start * vectors..][..rows * vectors];
                    if vectors == 2 {
                        with_rows!(S, rows, M => product::<S, M, 2>(simd, panel, matrix, sums));
                    } else {
                        with_rows!(S, rows, M => product::<S, M, 1>(simd, panel, matrix, sums));
                    }
                }
            }
        }
        self.transform_output::<S, T, O, I>(simd, sums, sums_stride);
        *self.scratch = scratch;
    }

    /// Reads every tile of the task and writes `[coordinate][panel][channel block][tile of panel]`.
    #[inline(always)]
    fn transform_input<S: Simd, T: Tile<O, I>, const O: usize, const I: usize>(
        &self,
        simd: S,
        panels: Panels,
        transformed: &mut [Lanes],
        stride: usize,
    ) {
        let (_, tiles_x) = self.layer.tiles();
        let blocks = self.layer.depth() / LANES;
        let Rows {
            lines,
            row_lines,
            columns,
            ref starts,
        } = self.input;
        // Where the lines of a tile begin, and how far apart its channel blocks are.
        let mut places = Vec::with_capacity(self.task.range.len() * tiles_x);
        for (start, rows) in panels.iter() {
            places.extend((0..rows).map(|m| (start * blocks + m, rows)));
        }
        for (start, places) in starts.iter().zip(places.chunks_exact(tiles_x.max(1))) {
            for block in 0..blocks {
                let mut rows: [&[Lanes]; I] = [&[]; I];
                for (y, row) in rows.iter_mut().enumerate() {
                    *row = &lines[start + y * row_lines + block * columns..][..tiles_x * O + I - O];
                }
                // Columns shared with the tile on the left are not transformed twice.
                let mut vertical = [[simd.splat(0.0); I]; I];
                for x in 0..I - O {
                    let column = load_column(simd, &rows, x);
                    let column = T::input(simd, column);
                    for y in 0..I {
                        vertical[y][x + O] = column[y];
                    }
                }
                for (tile, &(place, rows_of_panel)) in places.iter().enumerate() {
                    for row in &mut vertical {
                        for x in 0..I - O {
                            row[x] = row[x + O];
                        }
                    }
                    for x in I - O..I {
                        let x = tile * O + x;
                        for row in &rows {
                            simd.prefetch(row.as_ptr().wrapping_add(x + PREFETCH_TILES * O));
                        }
                        let column = load_column(simd, &rows, x);
                        let column = T::input(simd, column);
                        for y in 0..I {
                            vertical[y][x - tile * O] = column[y];
                        }
                    }
                    let at = place + block * rows_of_panel;
                    let mut planes = transformed.chunks_exact_mut(stride);
                    for row in vertical {
                        for value in T::input(simd, row) {
                            if let Some(plane) = planes.next() {
                                simd.store(&mut plane[at], value);
                            }
                        }
                    }
                }
            }
        }
    }

    /// Turns the sums into pixels: transform, bias, ReLU, pool.
    #[inline(always)]
    fn transform_output<S: Simd, T: Tile<O, I>, const O: usize, const I: usize>(
        &mut self,
        simd: S,
        sums: &[Lanes],
        stride: usize,
    ) {
        let layer = self.layer;
        let map = self.output_map;
        let vectors = S::GEMM_VECTORS;
        let (tiles_y, tiles_x) = layer.tiles();
        let per_tile = if layer.pool { O / 2 } else { O };
        let tiles = self.task.range.len() * tiles_x;
        let first_block = self.task.parts.start * vectors;
        let bounds = layer.activation.bounds(simd);

        for group in 0..self.task.parts.len() {
            for vector in 0..vectors {
                let block = first_block + group * vectors + vector;
                let Some(bias) = layer.bias.get(block) else {
                    break;
                };
                let bias = simd.load(bias);
                let column = (block - first_block) * map.columns() + map.border.left;
                let mut rows = self.task.rows.as_mut_slice();
                for (index, tile_row) in self.task.range.clone().enumerate() {
                    let y = tile_row % tiles_y * per_tile;
                    let (these, rest) = rows.split_at_mut(per_tile.min(map.height - y));
                    rows = rest;
                    for tile in 0..tiles_x {
                        let x = tile * per_tile;
                        let here = per_tile.min(map.width - x);
                        let at = ((group * tiles) + index * tiles_x + tile) * vectors + vector;
                        let pixels = tile_outputs::<S, T, O, I>(simd, sums, stride, at);
                        if layer.pool {
                            for (y, row) in these.iter_mut().enumerate() {
                                let row = &mut row[column + x..][..here];
                                for (x, to) in row.iter_mut().enumerate() {
                                    let above =
                                        simd.max(pixels[2 * y][2 * x], pixels[2 * y][2 * x + 1]);
                                    let below = simd.max(
                                        pixels[2 * y + 1][2 * x],
                                        pixels[2 * y + 1][2 * x + 1],
                                    );
                                    let most = simd.add(simd.max(above, below), bias);
                                    simd.store(to, clamp(simd, most, bounds));
                                }
                            }
                        } else {
                            for (pixels, row) in pixels.iter().zip(these.iter_mut()) {
                                let row = &mut row[column + x..][..here];
                                for (&pixel, to) in pixels.iter().zip(row) {
                                    simd.store(to, clamp(simd, simd.add(pixel, bias), bounds));
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn product<S: Simd, const M: usize, const N: usize>(
    simd: S,
    panel: &[Lanes],
    matrix: &[Lanes],
    sums: &mut [Lanes],
) {
    let start = [[simd.splat(0.0); N]; M];
    let values = multiply::<S, M, N, 1>(simd, panel, (0..).step_by(M), matrix, start);
    // By index: consuming the array by value would take it through memory.
    if let Some(sums) = sums.as_chunks_mut::<N>().0.first_chunk_mut::<M>() {
        for m in 0..M {
            for n in 0..N {
                simd.store(&mut sums[m][n], values[m][n]);
            }
        }
    }
}

#[inline(always)]
fn load_column<S: Simd, const I: usize>(simd: S, rows: &[&[Lanes]; I], x: usize) -> [S::V; I] {
    let mut column = [simd.splat(0.0); I];
    for (value, row) in column.iter_mut().zip(rows) {
        *value = simd.load(&row[x]);
    }
    column
}

/// Aᵀ M A of one tile.
#[inline(always)]
fn tile_outputs<S: Simd, T: Tile<O, I>, const O: usize, const I: usize>(
    simd: S,
    sums: &[Lanes],
    stride: usize,
    at: usize,
) -> [[S::V; O]; O] {
    let zero = simd.splat(0.0);
    let mut horizontal = [[zero; O]; I];
    let mut planes = sums.chunks_exact(stride);
    for out in &mut horizontal {
        let mut row = [zero; I];
        for value in &mut row {
            if let Some(plane) = planes.next() {
                simd.prefetch(
                    plane
                        .as_ptr()
                        .wrapping_add(at + PREFETCH_TILES * S::GEMM_VECTORS),
                );
                *value = simd.load(&plane[at]);
            }
        }
        *out = T::output(simd, row);
    }
    let mut pixels = [[zero; O]; O];
    for x in 0..O {
        let mut column = [zero; I];
        for y in 0..I {
            column[y] = horizontal[y][x];
        }
        let column = T::output(simd, column);
        for y in 0..O {
            pixels[y][x] = column[y];
        }
    }
    pixels
}
