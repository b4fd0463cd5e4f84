//! Matrices of linear layers, in the shape that the kernels want.

/// Channels of a head are a multiple of this in the kernels.
const BLOCK: usize = 16;

/// A matrix of a linear layer, input by input as the kernels have it, and its bias.
pub(super) struct Linear {
    pub(super) outputs: usize,
    pub(super) kernel: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

impl Linear {
    /// From a matrix as PyTorch has it, output by output.
    pub(super) fn new(weight: &[f32], bias: Vec<f32>) -> Self {
        let outputs = bias.len();
        let inputs = weight.len() / outputs.max(1);
        let mut kernel = vec![0.0; weight.len()];
        for (output, row) in weight.chunks_exact(inputs.max(1)).enumerate() {
            let column = kernel.iter_mut().skip(output).step_by(outputs);
            for (to, from) in column.zip(row) {
                *to = *from;
            }
        }
        Self {
            outputs,
            kernel,
            bias,
        }
    }

    /// Multiplies the outputs.
    pub(super) fn scale(&mut self, scales: &[f64]) {
        let rows = self.kernel.chunks_exact_mut(self.outputs);
        for row in rows.chain([self.bias.as_mut_slice()]) {
            for (value, scale) in row.iter_mut().zip(scales) {
                *value = (f64::from(*value) * scale) as f32;
            }
        }
    }

    /// Zeros after the outputs of each head, up to a multiple of [`BLOCK`].
    pub(super) fn with_padded_outputs(self, heads: usize) -> Self {
        let head = self.outputs / heads;
        let padded = head.next_multiple_of(BLOCK);
        let pad = |row: &[f32]| -> Vec<f32> {
            let zeros = vec![0.0; padded - head];
            let heads = row.chunks_exact(head);
            heads
                .flat_map(|head| [head, zeros.as_slice()].concat())
                .collect()
        };
        Self {
            outputs: padded * heads,
            kernel: self
                .kernel
                .chunks_exact(self.outputs)
                .flat_map(pad)
                .collect(),
            bias: pad(&self.bias),
        }
    }

    /// Zeros for the inputs that [`with_padded_outputs`](Self::with_padded_outputs) adds.
    pub(super) fn with_padded_inputs(self, heads: usize) -> Self {
        let rows = self.kernel.len() / self.outputs;
        let head = rows / heads;
        let zeros = vec![0.0; (head.next_multiple_of(BLOCK) - head) * self.outputs];
        let heads = self.kernel.chunks_exact(head * self.outputs);
        Self {
            kernel: heads
                .flat_map(|head| [head, zeros.as_slice()].concat())
                .collect(),
            ..self
        }
    }

    /// One layer with the outputs of several.
    pub(super) fn beside(parts: &[Self]) -> Self {
        let rows = parts
            .first()
            .map_or(0, |part| part.kernel.len() / part.outputs);
        let row = |row: usize| {
            let rows = parts.iter().map(move |part| {
                part.kernel
                    .chunks_exact(part.outputs)
                    .nth(row)
                    .unwrap_or_default()
            });
            rows.flatten().copied()
        };
        Self {
            outputs: parts.iter().map(|part| part.outputs).sum(),
            kernel: (0..rows).flat_map(row).collect(),
            bias: parts
                .iter()
                .flat_map(|part| part.bias.iter().copied())
                .collect(),
        }
    }

    /// What it makes of one vector.
    pub(super) fn apply(&self, vector: &[f32]) -> Vec<f32> {
        let mut sums: Vec<f64> = self.bias.iter().copied().map(f64::from).collect();
        for (value, row) in vector.iter().zip(self.kernel.chunks_exact(self.outputs)) {
            for (sum, weight) in sums.iter_mut().zip(row) {
                *sum += f64::from(*value) * f64::from(*weight);
            }
        }
        sums.into_iter().map(|sum| sum as f32).collect()
    }
}
