//! Which layers are computed together, and by which kernel.

use super::planner::{Draft, Planner, Way, before};
use crate::activation::Activation;
use crate::error::{KernelError, Result};
use crate::graph::{Layer, Node, Window, inputs};
use crate::winograd::TileSize;

impl Planner {
    /// The layers in steps, in the order of the layers that they end with.
    pub(super) fn drafts(&self) -> Result<Vec<Draft>> {
        let mut within = vec![false; self.layers.len()];
        let mut drafts = Vec::new();
        for output in (1..self.layers.len()).rev() {
            // A map that nobody reads is not computed.
            if within[output] || self.uses[output] == 0 {
                continue;
            }
            if !matches!(self.layers[output], Layer::Conv(_) | Layer::Patches(..))
                && inputs(&self.layers[output]).contains(&Node(0))
            {
                return Err(KernelError::shape(
                    format!("layer {output}"),
                    "images must go through a convolution first",
                ));
            }
            self.check_activation(output)?;
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

    /// Smooth activations are computed by one kernel only.
    fn check_activation(&self, layer: usize) -> Result<()> {
        let smooth = match &self.layers[layer] {
            Layer::Conv(conv) => conv.activation.is_smooth() && self.way(layer) != Some(Way::Taps),
            Layer::Add(_, activation) => activation.is_smooth(),
            _ => false,
        };
        if smooth {
            return Err(KernelError::shape(
                format!("layer {layer}"),
                "a smooth activation must follow a convolution that is neither the first, nor depthwise, \
                 nor of 3×3 with stride 1",
            ));
        }
        Ok(())
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

    pub(super) fn way(&self, layer: usize) -> Option<Way> {
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
}
