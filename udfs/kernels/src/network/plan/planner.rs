//! What is decided for each layer, and with what in mind.

use super::super::prepared::Network;
use crate::activation::Activation;
use crate::elementwise::Pooling;
use crate::error::{KernelError, Result};
use crate::graph::{Conv, Graph, Layer, Node, Shape, Window, inputs};
use crate::layout::Sides;
use crate::simd::{Arch, Isa};
use crate::winograd::TileSize;

/// What the planner decides where nothing else is said.
#[derive(Debug, Clone, Copy)]
pub(in crate::network) struct Options {
    pub(in crate::network) isa: Isa,
    /// One Winograd tile size for all layers, instead of the fastest for each.
    pub(in crate::network) tile: Option<TileSize>,
    /// Whether each thread computes images of its own.
    pub(in crate::network) alone: Option<bool>,
}

/// How a convolution is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// From the pixels.
    Direct,
    Winograd(TileSize),
    Depthwise,
    Taps,
}

/// Layers that become one step.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Draft {
    /// The layer whose map is written.
    pub(super) output: usize,
    /// The convolution that is computed at last.
    pub(super) conv: Option<usize>,
    /// The wide and the depthwise convolution before it.
    pub(super) block: Option<(usize, usize)>,
    /// What is added to it.
    pub(super) residual: Option<usize>,
    /// What is done at the end.
    pub(super) activation: Activation,
}

pub(super) struct Planner {
    pub(super) layers: Vec<Layer>,
    /// What each pooling reads.
    pub(super) reads: Vec<(Pooling, Node, usize)>,
    pub(super) shapes: Vec<Shape>,
    /// How often a layer's map is read.
    pub(super) uses: Vec<usize>,
    /// Concatenation of which a map is a part, and the channel block where it begins.
    pub(super) part_of: Vec<Option<(usize, usize)>>,
    pub(super) options: Options,
    pub(super) arch: Arch,
}

impl Graph {
    /// Makes the network ready for images of this height and width, with the instruction set of
    /// [`Isa::detect`].
    ///
    /// # Errors
    /// As [`Graph::shapes`], [`Isa::detect`], and [`ComputePool::global`](crate::ComputePool::global), which packs the weights.
    pub fn plan(self, size: (usize, usize)) -> Result<Network> {
        self.plan_for(size, Isa::detect()?)
    }

    /// The same with another instruction set.
    ///
    /// # Errors
    /// As [`Graph::plan`], and [`crate::KernelError::Setting`] if this machine lacks it.
    pub fn plan_for(self, size: (usize, usize), isa: Isa) -> Result<Network> {
        let options = Options {
            isa,
            tile: None,
            alone: None,
        };
        plan(self, size, options)
    }
}

pub(in crate::network) fn plan(
    graph: Graph,
    size: (usize, usize),
    options: Options,
) -> Result<Network> {
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
    pub(super) fn conv(&self, layer: usize) -> Option<&Conv> {
        match &self.layers[layer] {
            Layer::Conv(conv) => Some(conv),
            _ => None,
        }
    }

    /// Height and width of a layer's map.
    pub(super) fn extent(&self, layer: usize) -> (usize, usize) {
        (self.shapes[layer].0, self.shapes[layer].1)
    }
}

/// Zeros before the first pixel.
pub(super) fn before(window: &Window, extent: (usize, usize)) -> Sides {
    let [(top, _), (left, _)] = window.zeros(extent);
    Sides {
        top,
        left,
        ..Sides::default()
    }
}
