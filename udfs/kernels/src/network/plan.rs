//! From layers to steps: what is computed together, by which kernel, and into which memory.

use super::step::{Buffer, Op, Step};
use super::{BATCH, Network};
use crate::convolution::Convolution;
use crate::depthwise::Depthwise;
use crate::direct::Direct;
use crate::elementwise::{Pool, Summary};
use crate::error::{KernelError, Result};
use crate::graph::{Activation, Conv, Graph, Layer, Node, Shape, Window, inputs};
use crate::inverted_residual::{Block, Wide};
use crate::layout::{Map, Sides};
use crate::pool::ComputePool;
use crate::simd::{Arch, Isa, LANES, Lanes};
use crate::winograd::{TileSize, Winograd};

/// Packed weights of a network, in bytes, up to which each thread computes images of its own, all
/// layers of one after the other: threads then wait for each other only at the end. Larger weights
/// would be read from memory for every image.
const SMALL_WEIGHTS: usize = 32 << 20;

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
    let layers: Vec<Layer> = graph.layers.into_iter().map(|(layer, _)| layer).collect();
    let mut uses = vec![0; layers.len()];
    for input in layers.iter().flat_map(inputs) {
        uses[input.0] += 1;
    }
    let last = layers.len() - 1;
    uses[last] += 1;
    let mut planner = Planner {
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
    /// The layers in steps, in the order of the layers that they end with.
    fn drafts(&self) -> Result<Vec<Draft>> {
        let mut within = vec![false; self.layers.len()];
        let mut drafts = Vec::new();
        for output in (1..self.layers.len()).rev() {
            // A map that nobody reads is not computed.
            if within[output] || self.uses[output] == 0 {
                continue;
            }
            if !matches!(self.layers[output], Layer::Conv(_))
                && inputs(&self.layers[output]).contains(&Node(0))
            {
                return Err(KernelError::shape(
                    format!("layer {output}"),
                    "images must go through a convolution first",
                ));
            }
            let draft = self.draft(output);
            let (wide, deep) = draft.block.unzip();
            for layer in [draft.conv, wide, deep].into_iter().flatten() {
                within[layer] = true;
            }
            drafts.push(draft);
        }
        drafts.reverse();
        Ok(drafts)
    }

    fn draft(&self, output: usize) -> Draft {
        let alone = Draft {
            output,
            ..Draft::default()
        };
        match &self.layers[output] {
            Layer::Conv(conv) => Draft {
                conv: Some(output),
                block: self.block(output),
                activation: conv.activation,
                ..alone
            },
            Layer::Add(parts, activation) => {
                let (first, second) = (parts[0].0.min(parts[1].0), parts[0].0.max(parts[1].0));
                let sum = Draft {
                    conv: Some(second),
                    block: self.block(second),
                    residual: Some(first),
                    activation: *activation,
                    ..alone
                };
                let fits = self.conv(second).is_some_and(|conv| {
                    conv.activation == Activation::Linear
                        && self.uses[second] == 1
                        && self.way(second) == Some(Way::Taps)
                });
                // A block can add what it reads, and nothing else.
                let own = |(wide, _): (usize, usize)| {
                    self.conv(wide)
                        .is_some_and(|conv| conv.input.0 == first && first > 0)
                };
                if fits && first > 0 && sum.block.is_none_or(own) {
                    sum
                } else {
                    Draft {
                        activation: *activation,
                        ..alone
                    }
                }
            }
            Layer::MaxPool(input, window)
                if self.uses[input.0] == 1
                    && matches!(self.way(input.0), Some(Way::Winograd(_)))
                    && (window.size, window.stride) == ((2, 2), 2)
                    && window.zeros(self.extent(input.0)) == [(0, 0); 2] =>
            {
                let conv = self.conv(input.0);
                Draft {
                    conv: Some(input.0),
                    activation: conv.map_or(Activation::Linear, |conv| conv.activation),
                    ..alone
                }
            }
            _ => alone,
        }
    }

    /// The wide and the depthwise convolution that can be computed together with this one.
    fn block(&self, project: usize) -> Option<(usize, usize)> {
        let own = |layer: usize| self.uses[layer] == 1;
        let is_point = |layer: usize| {
            let window = self.conv(layer).map(|conv| conv.window);
            self.way(layer) == Some(Way::Taps)
                && window.is_some_and(|window| window.size == (1, 1) && window.stride == 1)
                && window.is_some_and(|w| w.zeros(self.extent(layer)) == [(0, 0); 2])
        };
        let deep = self.conv(project)?.input.0;
        if !is_point(project) || !own(deep) || self.way(deep) != Some(Way::Depthwise) {
            return None;
        }
        let wide = self.conv(deep)?.input.0;
        let fits = own(wide) && (self.way(wide) == Some(Way::Direct) || is_point(wide));
        fits.then_some((wide, deep))
    }

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

    fn way(&self, layer: usize) -> Option<Way> {
        let conv = self.conv(layer)?;
        let Window { size, stride, .. } = conv.window;
        let channels = self.shapes[conv.input.0].2;
        let before = before(&conv.window, self.extent(conv.input.0));
        Some(if conv.input.0 == 0 {
            Way::Direct
        } else if conv.groups > 1
            && (conv.groups, conv.bias.len()) == (channels, channels)
            && size == (3, 3)
            && stride <= 2
        {
            Way::Depthwise
        } else if size == (3, 3) && stride == 1 && before.top.max(before.left) <= 2 {
            let fastest = || TileSize::for_map(self.extent(layer));
            Way::Winograd(self.options.tile.unwrap_or_else(fastest))
        } else {
            Way::Taps
        })
    }

    /// Lets the parts of a concatenation be written in their place, where all of them can.
    fn place_parts(&mut self, drafts: &[Draft]) {
        for draft in drafts {
            let Layer::Concat(parts) = &self.layers[draft.output] else {
                continue;
            };
            let aligned = |part: &Node| self.shapes[part.0].2.is_multiple_of(LANES);
            let (_, first) = parts
                .split_last()
                .map_or((None, &[][..]), |(l, f)| (Some(l), f));
            if !first.iter().all(aligned) || parts.iter().any(|part| self.uses[part.0] > 1) {
                continue;
            }
            let mut block = 0;
            for part in parts.clone() {
                self.part_of[part.0] = Some((draft.output, block));
                block += self.shapes[part.0].2 / LANES;
            }
        }
    }

    /// The layer in whose map a layer's is, and the channel block where it begins.
    fn place(&self, layer: usize) -> (usize, usize) {
        match self.part_of[layer] {
            Some((whole, block)) => {
                let (root, first) = self.place(whole);
                (root, first + block)
            }
            None => (layer, 0),
        }
    }

    /// What a step reads, with the zeros that it needs around it.
    fn reads(&self, draft: &Draft) -> Vec<(usize, Sides)> {
        let plain = |layer: usize| (layer, Sides::default());
        let first = draft.block.map(|(wide, _)| wide).or(draft.conv);
        let Some(conv) = first.and_then(|layer| self.conv(layer).map(|conv| (layer, conv))) else {
            return inputs(&self.layers[draft.output])
                .iter()
                .map(|input| plain(input.0))
                .collect();
        };
        let (layer, conv) = conv;
        let input = conv.input.0;
        let (height, width) = self.extent(input);
        let mut sides = before(&conv.window, (height, width));
        let (rows, columns) = match self.way(layer) {
            Some(Way::Winograd(tile)) => {
                let (y, x) = tile.tiles(self.extent(layer), draft.output != layer);
                (y * tile.outputs() + 2, x * tile.outputs() + 2)
            }
            _ => {
                let Window { size, stride, .. } = conv.window;
                let (rows, columns) = self.extent(layer);
                (
                    (rows - 1) * stride + size.0,
                    (columns - 1) * stride + size.1,
                )
            }
        };
        sides.bottom = rows.saturating_sub(sides.top + height);
        sides.right = columns.saturating_sub(sides.left + width);
        let mut reads = vec![(input, sides)];
        reads.extend(draft.residual.map(plain));
        reads
    }

    fn network(mut self, drafts: &[Draft]) -> Result<Network> {
        let last = self.layers.len() - 1;
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
        let (Some(result), false) = (buffers.get_mut(buffer_of[last]), steps.is_empty()) else {
            return Err(KernelError::shape("network", "there is no layer in it"));
        };
        result.last = steps.len();
        let bytes = steps.iter().map(|step| step.op.bytes()).sum::<usize>();
        let alone = self.options.alone.unwrap_or(bytes <= SMALL_WEIGHTS);
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
            output: buffer_of[last],
            steps,
            buffers,
            slots,
            single,
            alone,
            isa: self.options.isa,
            workspaces: std::sync::Mutex::default(),
        })
    }

    /// Takes the numbers out of the layers and packs them.
    fn op(&mut self, draft: &Draft) -> Result<Op> {
        let Some(layer) = draft.conv else {
            return Ok(self.plain_op(draft));
        };
        let Some((wide, deep)) = draft.block else {
            return self.convolution(layer, draft);
        };
        let input = self.conv(wide).map(|conv| conv.input.0);
        let residual = draft.residual.is_some() && draft.residual == input;
        let (wide_shape, output) = (self.shapes[wide], self.extent(draft.output));
        let inner = |output| Draft {
            output,
            ..Draft::default()
        };
        let wide = match self.convolution(wide, &inner(wide))? {
            Op::Direct(stem) => Wide::Stem(stem),
            Op::Convolution(expand) => Wide::Expand(expand),
            _ => return Err(misplanned(wide)),
        };
        let Op::Depthwise(depthwise) = self.convolution(deep, &inner(deep))? else {
            return Err(misplanned(deep));
        };
        let Op::Convolution(project) = self.convolution(layer, draft)? else {
            return Err(misplanned(layer));
        };
        let block = Block::new(wide, depthwise, project, residual, wide_shape, output);
        Ok(Op::Block(Box::new(block)))
    }

    fn convolution(&mut self, layer: usize, draft: &Draft) -> Result<Op> {
        let way = self.way(layer);
        let (arch, shapes) = (self.arch, &self.shapes);
        let Layer::Conv(conv) = &mut self.layers[layer] else {
            return Err(misplanned(layer));
        };
        let input = shapes[conv.input.0];
        let mut kernel = std::mem::take(&mut conv.kernel);
        let Window { size, stride, .. } = conv.window;
        let before = before(&conv.window, (input.0, input.1));
        let activation = if draft.conv == Some(layer) {
            draft.activation
        } else {
            conv.activation
        };
        if conv.groups > 1 && way != Some(Way::Depthwise) {
            kernel = dense(&kernel, input.2, conv.bias.len(), conv.groups);
        }
        let (bias, window) = (&conv.bias, (size, stride, before));
        Ok(match way {
            Some(Way::Direct) => {
                let maps = (input, shapes[layer]);
                Op::Direct(Direct::new(arch, maps, window, activation, &kernel, bias))
            }
            Some(Way::Depthwise) => {
                let window = (stride, before);
                Op::Depthwise(Depthwise::new(arch, window, activation, &kernel, bias))
            }
            Some(Way::Winograd(tile)) => {
                let output = (shapes[layer].0, shapes[layer].1);
                let kind = (tile, draft.output != layer);
                Op::Winograd(ComputePool::global()?.install(|| {
                    Winograd::new(arch, kind, output, before, activation, &kernel, bias)
                }))
            }
            _ => Op::Convolution(Convolution::new(arch, window, activation, &kernel, bias)),
        })
    }

    fn plain_op(&self, draft: &Draft) -> Op {
        let pool = |summary, window: &Window, input: Node| {
            Op::Pool(Pool {
                summary,
                size: window.size,
                stride: window.stride,
                before: before(window, self.extent(input.0)),
                arch: self.arch,
            })
        };
        match &self.layers[draft.output] {
            Layer::MaxPool(input, window) => pool(Summary::Max, window, *input),
            Layer::AveragePool {
                input,
                window,
                counts_zeros,
            } => {
                let counts_zeros = *counts_zeros;
                pool(Summary::Mean { counts_zeros }, window, *input)
            }
            Layer::Concat(_) => Op::Concat,
            _ => Op::Add(draft.activation, self.arch),
        }
    }

    /// Multiplications and additions of the definition, for one image.
    fn operations(&self, draft: &Draft) -> usize {
        let (wide, deep) = draft.block.unzip();
        let layers = [draft.conv, wide, deep].into_iter().flatten();
        let each = layers.map(|layer| {
            let (height, width, _) = self.shapes[layer];
            self.conv(layer)
                .map_or(0, |conv| 2 * height * width * conv.kernel.len())
        });
        each.sum()
    }

    /// What a step computes, for reports.
    fn name(&self, draft: &Draft) -> String {
        let (height, width, channels) = self.shapes[draft.output];
        let Some(layer) = draft.conv else {
            let kind = match self.layers[draft.output] {
                Layer::MaxPool(..) => "maximum",
                Layer::AveragePool { .. } => "mean",
                Layer::Add(..) => "sum",
                _ => "concatenation",
            };
            return format!("{kind} {channels} at {height}×{width}");
        };
        let first = draft.block.map_or(layer, |(wide, _)| wide);
        let window = self.conv(layer).map_or(Window::POINT, |conv| conv.window);
        let input = self.conv(first).map_or(0, |conv| conv.input.0);
        let way = match (draft.block, self.way(layer)) {
            (Some(_), _) => "block".to_owned(),
            (_, Some(Way::Winograd(tile))) => format!("F({})", tile.outputs()),
            (_, Some(way)) => format!("{way:?}").to_lowercase(),
            (_, None) => String::new(),
        };
        format!(
            "{way} {}×{}{} {}→{channels} to {height}×{width}{}",
            window.size.0,
            window.size.1,
            if window.stride > 1 { " / 2" } else { "" },
            self.shapes[input].2,
            match (draft.residual, draft.output == layer) {
                (Some(_), _) => " + skip",
                (_, false) => " + pool",
                _ => "",
            }
        )
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

/// The kernel of one group that does what one of several groups does.
fn dense(kernel: &[f32], inputs: usize, outputs: usize, groups: usize) -> Vec<f32> {
    let (group_in, group_out) = (inputs / groups, outputs / groups);
    let taps = kernel.len() / (group_in * outputs);
    let mut all = vec![0.0; taps * inputs * outputs];
    for (row, values) in kernel.chunks_exact(outputs).enumerate() {
        let (tap, input) = (row / group_in, row % group_in);
        for (group, values) in values.chunks_exact(group_out).enumerate() {
            let to = (tap * inputs + group * group_in + input) * outputs + group * group_out;
            all[to..to + group_out].copy_from_slice(values);
        }
    }
    all
}

/// Gives buffers that are not needed at the same time the same memory. Lines of each slot.
fn assign(buffers: &mut [Buffer]) -> Vec<usize> {
    // Lines, and the last step that needs what is there.
    let mut slots: Vec<(usize, usize)> = Vec::new();
    let mut order: Vec<usize> = (0..buffers.len()).collect();
    order.sort_by_key(|buffer| buffers[*buffer].first);
    for buffer in order {
        let buffer = &mut buffers[buffer];
        let images = if buffer.batched { BATCH } else { 1 };
        let lines = images * buffer.map.image_lines();
        let free = slots
            .iter()
            .enumerate()
            .filter(|(_, slot)| slot.1 < buffer.first);
        let fitting = free.min_by_key(|(_, slot)| lines.abs_diff(slot.0));
        let index = fitting.map_or(slots.len(), |(index, _)| index);
        if index == slots.len() {
            slots.push((0, 0));
        }
        buffer.slot = index;
        slots[index] = (slots[index].0.max(lines), buffer.last);
    }
    slots.into_iter().map(|(lines, _)| lines).collect()
}

fn misplanned(layer: usize) -> KernelError {
    KernelError::shape(
        format!("layer {layer}"),
        "its kernel was planned as another",
    )
}
