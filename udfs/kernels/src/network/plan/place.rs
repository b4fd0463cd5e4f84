//! Where maps lie in memory, and the zeros around them.

use super::super::step::{BATCH, Buffer};
use super::planner::{Draft, Planner, Way, before};
use crate::graph::{Layer, Node, Window, inputs};
use crate::layout::Sides;
use crate::simd::LANES;

impl Planner {
    /// Lets the parts of a concatenation be written in their place, where all of them can.
    pub(super) fn place_parts(&mut self, drafts: &[Draft]) {
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
    pub(super) fn place(&self, layer: usize) -> (usize, usize) {
        match self.part_of[layer] {
            Some((whole, block)) => {
                let (root, first) = self.place(whole);
                (root, first + block)
            }
            None => (layer, 0),
        }
    }

    /// What a step reads, with the zeros that it needs around it.
    pub(super) fn reads(&self, draft: &Draft) -> Vec<(usize, Sides)> {
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
}

/// Gives buffers that are not needed at the same time the same memory. Lines of each slot.
pub(super) fn assign(buffers: &mut [Buffer]) -> Vec<usize> {
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
