//! One step of a network: a kernel, the maps it reads and the one it writes.

use std::ops::Range;

use crate::activation::Activation;
use crate::attention::Attention;
use crate::convolution::Convolution;
use crate::depthwise::Depthwise;
use crate::direct::Direct;
use crate::elementwise::{Pool, add, concatenate};
use crate::inverted_residual::{Block, Input};
use crate::layout::{Map, Source, Target};
use crate::norm::LayerNorm;
use crate::parallel::Team;
use crate::simd::{Arch, Lanes};
use crate::tokens::{Patches, Tokens, first};
use crate::winograd::Winograd;

/// Images that go through layers of large weights together, so that these are read once for all.
pub(super) const BATCH: usize = 8;

/// A map, where it lies and when it is needed.
#[derive(Debug)]
pub(super) struct Buffer {
    pub(super) map: Map,
    pub(super) slot: usize,
    /// Whether it holds the images of a whole batch.
    pub(super) batched: bool,
    /// The steps that write it first and read it last.
    pub(super) first: usize,
    pub(super) last: usize,
}

impl Buffer {
    pub(super) fn new(map: Map) -> Self {
        Self {
            map,
            slot: 0,
            batched: false,
            first: usize::MAX,
            last: 0,
        }
    }

    /// Lines of the images `images` of a batch; of one image, if it holds no more.
    pub(super) fn lines(&self, images: &Range<usize>) -> Range<usize> {
        let lines = self.map.image_lines();
        debug_assert!(images.end <= BATCH && (self.batched || images.len() == 1));
        if self.batched {
            images.start * lines..images.end * lines
        } else {
            0..lines
        }
    }
}

/// A kernel.
#[derive(Debug)]
pub(super) enum Op {
    Direct(Direct),
    Winograd(Winograd),
    Convolution(Convolution),
    Depthwise(Depthwise),
    Block(Box<Block>),
    Pool(Pool),
    Add(Activation, Arch),
    Concat,
    Patches(Patches),
    Tokens(Tokens),
    Norm(LayerNorm),
    Attention(Attention),
    First,
}

impl Op {
    /// Memory of the packed weights.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Direct(direct) => direct.bytes(),
            Self::Winograd(winograd) => winograd.bytes(),
            Self::Convolution(convolution) => convolution.bytes(),
            Self::Depthwise(depthwise) => depthwise.bytes(),
            Self::Block(block) => block.bytes(),
            Self::Tokens(tokens) => tokens.bytes(),
            Self::Norm(norm) => norm.bytes(),
            Self::Attention(attention) => attention.bytes(),
            Self::Pool(_) | Self::Add(..) | Self::Concat | Self::Patches(_) | Self::First => 0,
        }
    }

    fn run(&self, team: &Team<'_>, pixels: &[f32], sources: &[Source<'_>], target: Target<'_>) {
        match (self, sources) {
            (Self::Direct(direct), _) => direct.run(team, pixels, target),
            (Self::Winograd(winograd), [source]) => winograd.run(team, *source, target),
            (Self::Depthwise(depthwise), [source]) => depthwise.run(team, *source, target),
            (Self::Convolution(convolution), [source, residual @ ..]) => {
                convolution.run(team, *source, residual.first().copied(), target);
            }
            (Self::Block(block), sources) => {
                let pixels = Input::Pixels(pixels);
                let input = sources.first().map_or(pixels, |source| Input::Map(*source));
                block.run(team, input, target);
            }
            (Self::Pool(pool), [source]) => pool.run(team, *source, target),
            (Self::Add(activation, arch), [a, b]) => {
                add(*arch, team, *activation, [*a, *b], target)
            }
            (Self::Patches(patches), _) => patches.run(team, pixels, target),
            (Self::Tokens(tokens), [source]) => tokens.run(team, *source, target),
            (Self::Norm(norm), [source]) => norm.run(team, *source, target),
            (Self::Attention(attention), [source]) => attention.run(team, *source, target),
            (Self::First, [source]) => first(team, *source, target),
            (Self::Concat, sources) => concatenate(team, sources, target),
            // The planner gives each what it reads.
            _ => {}
        }
    }
}

/// A kernel and its maps.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) op: Op,
    /// Buffers; `None` for the images.
    pub(super) inputs: Vec<Option<usize>>,
    pub(super) output: usize,
    /// Channel blocks of the output that are written.
    pub(super) blocks: Range<usize>,
    pub(super) name: String,
    pub(super) operations: usize,
}

impl Step {
    /// Computes some images of a batch; `pixels` are those of these images.
    pub(super) fn run(
        &self,
        team: &Team<'_>,
        buffers: &[Buffer],
        slots: &mut [Vec<Lanes>],
        pixels: &[f32],
        images: &Range<usize>,
    ) {
        let output = &buffers[self.output];
        let mut lines = std::mem::take(&mut slots[output.slot]);
        let sources = self.inputs.iter().flatten().map(|buffer| {
            let buffer = &buffers[*buffer];
            Source {
                lines: &slots[buffer.slot][buffer.lines(images)],
                map: &buffer.map,
            }
        });
        let sources: Vec<Source<'_>> = sources.collect();
        let target = Target {
            lines: &mut lines[output.lines(images)],
            map: &output.map,
            blocks: self.blocks.clone(),
        };
        self.op.run(team, pixels, &sources, target);
        slots[output.slot] = lines;
    }
}
