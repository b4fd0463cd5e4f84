//! The steps in their order, and the memory they share.

use std::sync::Mutex;

use super::super::prepared::{Network, Read};
use super::super::step::{Buffer, Op, Step};
use super::place::assign;
use super::planner::{Draft, Planner};
use crate::error::{KernelError, Result};
use crate::graph::{Node, inputs};
use crate::layout::{Map, Sides};
use crate::simd::{LANES, Lanes};

/// Packed weights of a network, in bytes, up to which each thread computes images of its own, all
/// layers of one after the other: threads then wait for each other only at the end. Larger weights
/// would be read from memory for every image.
const SMALL_WEIGHTS: usize = 32 << 20;

/// Multiplications and additions a byte of weights from which each thread computes images of its own too: it
/// then asks memory for so little that threads do not stand in each other's way.
const WORK_A_BYTE: usize = 64;

/// The maps that are kept, and which of them a layer's is, or is a part of.
struct Maps {
    buffers: Vec<Buffer>,
    of_layer: Vec<usize>,
}

impl Planner {
    pub(super) fn network(mut self, drafts: &[Draft]) -> Result<Network> {
        let mut maps = self.maps(drafts);
        let steps = self.steps(drafts, &mut maps)?;
        let reads = self.results(&mut maps, steps.len())?;
        let mut buffers = maps.buffers;
        let alone = self.options.alone.unwrap_or_else(|| is_light(&steps));
        let single = match alone {
            true => steps.len(),
            false => first_heavy(&steps, &buffers),
        };
        batch(&mut buffers, single, steps.len());
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
            workspaces: Mutex::default(),
        })
    }

    /// A buffer for each map that is part of no other.
    fn maps(&self, drafts: &[Draft]) -> Maps {
        let mut of_layer = vec![usize::MAX; self.layers.len()];
        let mut buffers = Vec::new();
        for draft in drafts {
            let (root, _) = self.place(draft.output);
            if of_layer[root] == usize::MAX {
                of_layer[root] = buffers.len();
                buffers.push(Buffer::new(Map::plain(self.shapes[root])));
            }
        }
        Maps { buffers, of_layer }
    }

    /// The steps; buffers learn what borders they need, and when.
    fn steps(&mut self, drafts: &[Draft], maps: &mut Maps) -> Result<Vec<Step>> {
        let Maps { buffers, of_layer } = maps;
        let mut steps = Vec::with_capacity(drafts.len());
        for draft in drafts {
            let is_placed =
                |part: &Node| self.part_of[part.0].is_some_and(|(whole, _)| whole == draft.output);
            if inputs(&self.layers[draft.output]).iter().any(is_placed) {
                continue;
            }
            let now = steps.len();
            let read = |(layer, sides): (usize, Sides)| {
                let buffer = *of_layer.get(layer)?;
                let buffer = buffers.get_mut(buffer)?;
                buffer.map.border = buffer.map.border.max(sides);
                buffer.last = now;
                Some(of_layer[layer])
            };
            let inputs = self.reads(draft).into_iter().map(read).collect();
            let (root, first) = self.place(draft.output);
            let output = of_layer[root];
            let buffer = &mut buffers[output];
            buffer.first = buffer.first.min(now);
            buffer.last = buffer.last.max(now);
            let blocks = self.shapes[draft.output].2.div_ceil(LANES);
            // Both tell of the numbers that the kernel is about to take.
            let (name, operations) = (self.name(draft), self.operations(draft));
            steps.push(Step {
                op: self.op(draft)?,
                inputs,
                output,
                blocks: first..first + blocks,
                name,
                operations,
            });
        }
        Ok(steps)
    }

    /// What poolings read after the last of `steps`.
    fn results(&self, maps: &mut Maps, steps: usize) -> Result<Vec<Read>> {
        let read = |&(pooling, node, skip): &_| {
            let Node(layer) = node;
            let buffer = maps.of_layer[layer];
            let (Some(result), false) = (maps.buffers.get_mut(buffer), steps == 0) else {
                return Err(KernelError::shape("network", "there is no layer in it"));
            };
            result.last = steps;
            Ok(Read {
                pooling,
                buffer,
                skip,
            })
        };
        self.reads.iter().map(read).collect()
    }
}

/// Whether threads that compute images of their own stand in each other's way little enough.
fn is_light(steps: &[Step]) -> bool {
    let bytes = steps.iter().map(|step| step.op.bytes()).sum::<usize>();
    let operations: usize = steps.iter().map(|step| step.operations).sum();
    let transformed = steps.iter().any(|step| matches!(step.op, Op::Winograd(_)));
    bytes <= SMALL_WEIGHTS || !transformed && operations >= WORK_A_BYTE * bytes
}

/// Weights that are larger than the maps they are applied to are worth reading once for several images;
/// before that, one image at a time keeps the maps in the cache.
fn first_heavy(steps: &[Step], buffers: &[Buffer]) -> usize {
    let lines = |buffer: usize| buffers[buffer].map.image_lines();
    let is_heavy = |step: &Step| {
        let inputs = step.inputs.iter().flatten();
        let maps = lines(step.output) + inputs.map(|buffer| lines(*buffer)).sum::<usize>();
        step.op.bytes() > 2 * maps * size_of::<Lanes>()
    };
    steps.iter().position(is_heavy).unwrap_or(steps.len())
}

/// Lets the maps that steps from `single` on need hold the images of a whole batch.
fn batch(buffers: &mut [Buffer], single: usize, steps: usize) {
    for buffer in buffers {
        buffer.batched = single < steps && buffer.last >= single;
        if buffer.batched && buffer.first < single {
            // It is kept while the first steps are done for the other images.
            buffer.first = 0;
        }
    }
}
