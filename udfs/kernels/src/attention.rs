//! Attention: for a few queries at a time the products with all keys, their softmax and its product with the
//! values, without the matrix of all products ever lying in memory.
//!
//! Keys come in pieces of [`KEYS`]. Between two pieces, what was summed is rescaled to the largest product so
//! far: Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018. So memory does not depend
//! on the number of queries, and an element's bits on nothing but its row.

use crate::gemm::{Panels, multiply, with_rows};
use crate::graph;
use crate::layout::{Map, Rows, Sides, Source, Target};
use crate::math::exp;
use crate::norm::total;
use crate::parallel::{Task, Team, at_least};
use crate::simd::{Arch, Kernel, LANES, Lanes, Simd};
use crate::tokens::columns;

/// Keys that are looked at together: their products with a few queries stay in a core's first cache.
const KEYS: usize = 512;
/// Lines of products of a panel of queries with [`KEYS`] keys; no panel has more than 14 queries.
const PRODUCT_LINES: usize = KEYS / LANES * MOST_QUERIES;
const MOST_QUERIES: usize = 14;
/// Added to the products of keys that only fill up a block.
const NEVER: f32 = -1e30;

/// Attention of several heads.
#[derive(Debug)]
pub(crate) struct Attention {
    heads: usize,
    /// Blocks of channels of a head.
    blocks: usize,
    /// Those that are the same for every image: `[channel block][query]`.
    queries: Option<Vec<Lanes>>,
    arch: Arch,
}

impl Attention {
    /// `channels`: of all heads.
    pub(crate) fn new(arch: Arch, attention: &graph::Attention, channels: usize) -> Self {
        let queries = attention.queries.as_ref();
        Self {
            heads: attention.heads,
            blocks: channels / attention.heads / LANES,
            queries: queries.map(|queries| columns(queries, channels)),
            arch,
        }
    }

    /// Memory held, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.queries
            .as_ref()
            .map_or(0, |queries| size_of_val(queries.as_slice()))
    }

    pub(crate) fn run(&self, team: &Team<'_>, source: Source<'_>, target: Target<'_>) {
        let map = *target.map;
        let tokens = source.map.width;
        team.for_rows(target, 1, (self.heads, self.blocks), |task, scratch| {
            let rows = source.rows(task.range.clone(), 1, 1, Sides::default());
            let padded = tokens.next_multiple_of(LANES);
            let packed = padded * self.blocks;
            let lines = 2 * packed + PRODUCT_LINES + MOST_QUERIES * self.blocks;
            let (keys, rest) = at_least(&mut scratch.lines, lines).split_at_mut(packed);
            let (values, rest) = rest.split_at_mut(packed);
            let (products, sums) = rest.split_at_mut(PRODUCT_LINES);
            self.arch.run(Heads {
                layer: self,
                rows,
                tokens,
                map,
                task,
                keys,
                values,
                products,
                sums,
            });
        });
    }
}

struct Heads<'a> {
    layer: &'a Attention,
    rows: Rows<'a>,
    tokens: usize,
    map: Map,
    task: Task<'a>,
    /// `[16 keys][channel]`: columns of a matrix product.
    keys: &'a mut [Lanes],
    /// `[channel block][key]`
    values: &'a mut [Lanes],
    /// `[16 keys][query]`: rows of a matrix product.
    products: &'a mut [Lanes],
    /// `[channel block][query]`
    sums: &'a mut [Lanes],
}

impl Kernel for Heads<'_> {
    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let blocks = self.layer.blocks;
        let all = self.layer.heads * blocks;
        let (lines, step) = (self.rows.lines, self.rows.columns);
        let mut rows = std::mem::take(&mut self.task.rows);
        for (row, start) in rows.iter_mut().zip(std::mem::take(&mut self.rows.starts)) {
            for (place, head) in self.task.parts.clone().enumerate() {
                // Keys and values come after the queries, if these are in the map.
                let first = start + head * blocks * step;
                let (queries, query_step, keys) = match &self.layer.queries {
                    Some(given) => {
                        let count = given.len() / all;
                        (&given[head * blocks * count..], count, first)
                    }
                    None => (&lines[first..], step, first + all * step),
                };
                self.pack(&lines[keys..], &lines[keys + all * step..], step);
                let out = &mut row[place * blocks * self.map.columns()..];
                let panels = Panels::new(self.map.width, S::GEMM_ROWS);
                for (x, count) in panels.iter() {
                    let out = &mut out[self.map.border.left + x..];
                    let queries = &queries[x..];
                    with_rows!(S, count, M => self.panel::<S, M>(simd, queries, query_step, out));
                }
            }
        }
    }
}

impl Heads<'_> {
    /// Turns the keys of a head, and copies its values, with zeros after the last.
    fn pack(&mut self, keys: &[Lanes], values: &[Lanes], step: usize) {
        let (tokens, blocks) = (self.tokens, self.layer.blocks);
        let padded = tokens.next_multiple_of(LANES);
        for (group, columns) in self.keys.chunks_exact_mut(blocks * LANES).enumerate() {
            let count = LANES.min(tokens - group * LANES);
            for (block, columns) in columns.chunks_exact_mut(LANES).enumerate() {
                let from = &keys[block * step + group * LANES..][..count];
                if count < LANES {
                    columns.fill(Lanes::ZERO);
                }
                for (channel, column) in columns.iter_mut().enumerate() {
                    for (to, from) in column.0.iter_mut().zip(from) {
                        *to = from.0[channel];
                    }
                }
            }
        }
        for (block, to) in self.values.chunks_exact_mut(padded).enumerate() {
            let (to, rest) = to.split_at_mut(tokens);
            to.copy_from_slice(&values[block * step..][..tokens]);
            rest.fill(Lanes::ZERO);
        }
    }

    /// Computes `M` queries. Blocks of their channels are `step` lines apart.
    #[inline(always)]
    fn panel<S: Simd, const M: usize>(
        &mut self,
        simd: S,
        queries: &[Lanes],
        step: usize,
        out: &mut [Lanes],
    ) {
        let blocks = self.layer.blocks;
        let padded = self.tokens.next_multiple_of(LANES);
        let (mut most, mut totals) = ([f32::NEG_INFINITY; M], [0.0; M]);
        for first in (0..padded).step_by(KEYS) {
            let count = KEYS.min(padded - first);
            let products = &mut self.products[..count / LANES * M];
            for (group, products) in products.as_chunks_mut::<M>().0.iter_mut().enumerate() {
                let group = first / LANES + group;
                let keys = &self.keys[group * blocks * LANES..][..blocks * LANES];
                let mut start = simd.splat(0.0);
                let inside = self.tokens - group * LANES;
                if inside < LANES {
                    let mut mask = Lanes::ZERO;
                    mask.0[inside..].fill(NEVER);
                    start = simd.load(&mask);
                }
                let rows = (0..).step_by(step);
                let tile = multiply::<S, M, 1, 1>(simd, queries, rows, keys, [[start]; M]);
                for m in 0..M {
                    simd.store(&mut products[m], tile[m][0]);
                }
            }
            let (groups, _) = products.as_chunks_mut::<M>();
            let mut factors = [0.0; M];
            for m in 0..M {
                let mut largest = simd.splat(most[m]);
                for group in groups.iter() {
                    largest = simd.max(largest, simd.load(&group[m]));
                }
                let largest = maximum(simd, largest);
                let minus = simd.splat(-largest);
                let mut sum = simd.splat(0.0);
                for group in groups.iter_mut() {
                    let value = exp(simd, simd.add(simd.load(&group[m]), minus));
                    sum = simd.add(sum, value);
                    simd.store(&mut group[m], value);
                }
                // Nothing was summed before the first piece.
                if first > 0 {
                    factors[m] = lane(simd, exp(simd, simd.splat(most[m] - largest)));
                }
                totals[m] = totals[m] * factors[m] + total(simd, sum);
                most[m] = largest;
            }
            let sums = self.sums.as_chunks_mut::<M>().0.iter_mut();
            for (block, sums) in sums.take(blocks).enumerate() {
                let values = &self.values[block * padded + first..][..count];
                let mut start = [[simd.splat(0.0)]; M];
                if first > 0 {
                    for m in 0..M {
                        start[m] = [simd.mul(simd.load(&sums[m]), simd.splat(factors[m]))];
                    }
                }
                let rows = (0..).step_by(M);
                let tile = multiply::<S, M, 1, 1>(simd, products, rows, values, start);
                for m in 0..M {
                    simd.store(&mut sums[m], tile[m][0]);
                }
            }
        }
        let sums = self.sums.as_chunks::<M>().0;
        for (block, sums) in sums.iter().enumerate().take(blocks) {
            let Some(out) = out[block * self.map.columns()..].first_chunk_mut::<M>() else {
                return;
            };
            for m in 0..M {
                simd.store(
                    &mut out[m],
                    simd.mul(simd.load(&sums[m]), simd.splat(1.0 / totals[m])),
                );
            }
        }
    }
}

/// The largest lane.
#[inline(always)]
fn maximum<S: Simd>(simd: S, value: S::V) -> f32 {
    let mut line = Lanes::ZERO;
    simd.store(&mut line, value);
    line.0.iter().copied().fold(f32::NEG_INFINITY, f32::max)
}

/// The first lane.
#[inline(always)]
fn lane<S: Simd>(simd: S, value: S::V) -> f32 {
    let mut line = Lanes::ZERO;
    simd.store(&mut line, value);
    line.0[0]
}
