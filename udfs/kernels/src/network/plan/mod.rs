//! From layers to steps: what is computed together, by which kernel, and into which memory.

mod fuse;
mod pack;
mod place;

use super::step::{Buffer, Op, Step};
use super::{Network, Read};
use crate::elementwise::Pooling;
use crate::error::{KernelError, Result};
use crate::graph::{Activation, Conv, Graph, Layer, Node, Shape, Window, inputs};
use crate::layout::{Map, Sides};
use crate::simd::{Arch, Isa, LANES, Lanes};
use crate::winograd::TileSize;
use place::assign;

/// Packed weights of a network, in bytes, up to which each thread computes images of its own, all
/// layers of one after the other: threads then wait for each other only at the end. Larger weights
/// would be read from memory for every image.
const SMALL_WEIGHTS: usize = 32 << 20;

/// Multiplications and additions a byte of weights from which each thread computes images of its own too: it
/// then asks memory for so little that threads do not stand in each other's way.
const WORK_A_BYTE: usize = 64;

/// What the planner decides where nothing else is said.
#[derive(Debug, Clone, Copy)]
pub(super) struct Options {
    pub(super) isa: Isa,
    /// One Winograd tile size for all layers, instead of the fastest for each.
    pub(super) tile: Option<TileSize>,
    /// Whether each thread computes images of its own.
    pub(super) alone: Option<bool>,
}

/// How a convolution is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// From the pixels.
    Direct,
    Winograd(TileSize),
    Depthwise,
    Taps,
}

/// Layers that become one step.
#[derive(Debug, Clone, Copy, Default)]
struct Draft {
    /// The layer whose map is written.
    output: usize,
    /// The convolution that is computed at last.
    conv: Option<usize>,
    /// The wide and the depthwise convolution before it.
    block: Option<(usize, usize)>,
    /// What is added to it.
    residual: Option<usize>,
    /// What is done at the end.
    activation: Activation,
}

struct Planner {
    layers: Vec<Layer>,
    /// What each pooling reads.
    reads: Vec<(Pooling, Node, usize)>,
    shapes: Vec<Shape>,
    /// How often a layer's map is read.
    uses: Vec<usize>,
    /// Concatenation of which a map is a part, and the channel block where it begins.
    part_of: Vec<Option<(usize, usize)>>,
    options: Options,
    arch: Arch,
}

pub(super) fn plan(graph: Graph, size: (usize, usize), options: Options) -> Result<Network> {
    let shapes = graph.shapes(size)?;
    let reads = Pooling::ALL.into_iter().filter_map(|pooling| {
        let (node, skip) = graph.reading(pooling)?;
        Some((pooling, node, skip))
    });
    let reads: Vec<(Pooling, Node, usize)> = reads.collect();
    let layers: Vec<Layer> = graph.layers.into_iter().map(|(layer, _)| layer).collect();
    let mut uses = vec![0; layers.len()];
    for input in layers.iter().flat_map(inputs) {
        uses[input.0] += 1;
    }
    for (pooling, node, skip) in &reads {
        uses[node.0] += 1;
        if shapes[node.0].1 <= *skip {
            let reason = format!(
                "'{}' passes over {skip} of {} columns",
                pooling.name(),
                shapes[node.0].1
            );
            return Err(KernelError::shape(format!("layer {}", node.0), reason));
        }
    }
    let mut planner = Planner {
        reads,
        part_of: vec![None; layers.len()],
        layers,
        shapes,
        uses,
        options,
        arch: options.isa.arch()?,
    };
    let drafts = planner.drafts()?;
    planner.place_parts(&drafts);
    planner.network(&drafts)
}

impl Planner {
    fn conv(&self, layer: usize) -> Option<&Conv> {
        match &self.layers[layer] {
            Layer::Conv(conv) => Some(conv),
            _ => None,
        }
    }

    /// Height and width of a layer's map.
    fn extent(&self, layer: usize) -> (usize, usize) {
        (self.shapes[layer].0, self.shapes[layer].1)
    }

    fn network(mut self, drafts: &[Draft]) -> Result<Network> {
        // A buffer for each map that is part of no other.
        let mut buffer_of = vec![usize::MAX; self.layers.len()];
        let mut buffers: Vec<Buffer> = Vec::new();
        for draft in drafts {
            let (root, _) = self.place(draft.output);
            if buffer_of[root] == usize::MAX {
                buffer_of[root] = buffers.len();
                buffers.push(Buffer::new(Map::plain(self.shapes[root])));
            }
        }
        let mut steps: Vec<Step> = Vec::with_capacity(drafts.len());
        for draft in drafts {
            let is_placed =
                |part: &Node| self.part_of[part.0].is_some_and(|(whole, _)| whole == draft.output);
            if inputs(&self.layers[draft.output]).iter().any(is_placed) {
                continue;
            }
            let reads = self.reads(draft);
            let read = |(layer, sides): (usize, Sides)| {
                let buffer = *buffer_of.get(layer)?;
                let buffer = buffers.get_mut(buffer)?;
                buffer.map.border = buffer.map.border.max(sides);
                buffer.last = steps.len();
                Some(buffer_of[layer])
            };
            let inputs = reads.into_iter().map(read).collect();
            let (root, first) = self.place(draft.output);
            let output = buffer_of[root];
            let buffer = &mut buffers[output];
            buffer.first = buffer.first.min(steps.len());
            buffer.last = buffer.last.max(steps.len());
            let blocks = self.shapes[draft.output].2.div_ceil(LANES);
            let name = self.name(draft);
            let operations = self.operations(draft);
            steps.push(Step {
                op: self.op(draft)?,
                inputs,
                output,
                blocks: first..first + blocks,
                name,
                operations,
            });
        }
        let mut reads = Vec::with_capacity(self.reads.len());
        for (pooling, node, skip) in &self.reads {
            let buffer = buffer_of[node.0];
            let (Some(result), false) = (buffers.get_mut(buffer), steps.is_empty()) else {
                return Err(KernelError::shape("network", "there is no layer in it"));
            };
            result.last = steps.len();
            reads.push(Read {
                pooling: *pooling,
                buffer,
                skip: *skip,
            });
        }
        let bytes = steps.iter().map(|step| step.op.bytes()).sum::<usize>();
        let operations: usize = steps.iter().map(|step| step.operations).sum();
        let transformed = steps.iter().any(|step| matches!(step.op, Op::Winograd(_)));
        let small = bytes <= SMALL_WEIGHTS || !transformed && operations >= WORK_A_BYTE * bytes;
        let alone = self.options.alone.unwrap_or(small);
        let lines = |buffer: usize| buffers[buffer].map.image_lines();
        // Weights that are larger than the maps they are applied to are worth reading once for
        // several images; before that, one image at a time keeps the maps in the cache.
        let is_heavy = |step: &Step| {
            let maps = lines(step.output)
                + step
                    .inputs
                    .iter()
                    .flatten()
                    .map(|b| lines(*b))
                    .sum::<usize>();
            step.op.bytes() > 2 * maps * size_of::<Lanes>()
        };
        let single = steps.iter().position(is_heavy).filter(|_| !alone);
        let single = single.unwrap_or(steps.len());
        for buffer in &mut buffers {
            buffer.batched = single < steps.len() && buffer.last >= single;
            if buffer.batched && buffer.first < single {
                // It is kept while the first steps are done for the other images.
                buffer.first = 0;
            }
        }
        let slots = assign(&mut buffers);
        Ok(Network {
            input: self.shapes[0],
            reads,
            steps,
            buffers,
            slots,
            single,
            alone,
            isa: self.options.isa,
            workspaces: std::sync::Mutex::default(),
        })
    }
}

/// Zeros before the first pixel.
fn before(window: &Window, extent: (usize, usize)) -> Sides {
    let [(top, _), (left, _)] = window.zeros(extent);
    Sides {
        top,
        left,
        ..Sides::default()
    }
}
