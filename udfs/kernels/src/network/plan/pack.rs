//! The kernels, with their weights packed.

use super::super::step::Op;
use super::planner::{Draft, Planner, Way, before};
use crate::attention::Attention;
use crate::convolution::Convolution;
use crate::depthwise::Depthwise;
use crate::direct::Direct;
use crate::elementwise::{Pool, Summary};
use crate::error::{KernelError, Result};
use crate::graph::{Layer, Node, Window};
use crate::inverted_residual::{Block, Wide};
use crate::norm::LayerNorm;
use crate::pool::ComputePool;
use crate::tokens::{Patches, Tokens};
use crate::winograd::Winograd;

impl Planner {
    /// Takes the numbers out of the layers and packs them.
    pub(super) fn op(&mut self, draft: &Draft) -> Result<Op> {
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
            Layer::Patches(input, side) => Op::Patches(Patches {
                side: *side,
                image: self.shapes[input.0],
            }),
            Layer::Tokens {
                prefix, positions, ..
            } => Op::Tokens(Tokens::new(prefix, positions, self.shapes[draft.output].2)),
            Layer::Norm(norm) => Op::Norm(LayerNorm::new(self.arch, norm)),
            Layer::Attention(attention) => {
                let channels = self.shapes[draft.output].2;
                Op::Attention(Attention::new(self.arch, attention, channels))
            }
            Layer::First(_) => Op::First,
            _ => Op::Add(draft.activation, self.arch),
        }
    }

    /// Multiplications and additions of the definition, for one image.
    pub(super) fn operations(&self, draft: &Draft) -> usize {
        if let Layer::Attention(attention) = &self.layers[draft.output] {
            let (_, queries, channels) = self.shapes[draft.output];
            return 4 * queries * self.extent(attention.input.0).1 * channels;
        }
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
    pub(super) fn name(&self, draft: &Draft) -> String {
        let (height, width, channels) = self.shapes[draft.output];
        let Some(layer) = draft.conv else {
            let kind = match self.layers[draft.output] {
                Layer::MaxPool(..) => "maximum",
                Layer::AveragePool { .. } => "mean",
                Layer::Add(..) => "sum",
                Layer::Patches(..) => "patches",
                Layer::Tokens { .. } => "tokens",
                Layer::Norm(_) => "norm",
                Layer::Attention(_) => "attention",
                Layer::First(_) => "first",
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

fn misplanned(layer: usize) -> KernelError {
    KernelError::shape(
        format!("layer {layer}"),
        "its kernel was planned as another",
    )
}
