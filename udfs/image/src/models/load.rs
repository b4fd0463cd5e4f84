//! From a blueprint and its variables to a graph of the kernels.

use candle_core::{Error, Result};
use candle_nn::VarBuilder;
use featurize_kernels::{Conv, Graph, Layer, Node};

use super::architecture::Architecture;
use super::blueprint::{Blueprint, Item, Place, Unit};
use super::network::{Implementation, Network};
use crate::conventions::Conventions;
use crate::library::Library;

impl Architecture {
    /// Builds the network for images of this side from its variables, which are read into memory.
    pub(crate) fn build(
        self,
        variables: &VarBuilder<'_>,
        conventions: Conventions,
        side: usize,
        implementation: Implementation,
    ) -> Result<Network> {
        let blueprint = self.blueprint(conventions.library);
        let (keras, torchvision) = self.facts().epsilon;
        let epsilon = blueprint.either(keras, torchvision);
        let (graph, parameter_count) = load(&blueprint, variables, epsilon)?;
        Network::new(graph, parameter_count, side, implementation)
    }
}

/// The network with its numbers, batch normalisation folded into the convolutions, and the number of
/// its variables' elements, as `model.summary()` counts them in Keras.
fn load(blueprint: &Blueprint, variables: &VarBuilder<'_>, epsilon: f64) -> Result<(Graph, usize)> {
    let mut parameters = 0;
    let mut graph = Graph::new(blueprint.channels(super::blueprint::IMAGES));
    let mut nodes = vec![graph.input()];
    for (item, _) in blueprint.items.iter().skip(1) {
        let node = |place: &Place| -> Node { nodes[place.0] };
        let layer = match item {
            Item::Images => continue,
            Item::Unit(unit) => {
                Layer::Conv(convolution(unit, node(&unit.input), variables, epsilon)?)
            }
            Item::MaxPool(input, window) => Layer::MaxPool(node(input), *window),
            Item::AveragePool(input, window) => Layer::AveragePool {
                input: node(input),
                window: *window,
                counts_zeros: blueprint.library == Library::Torchvision,
            },
            Item::Add(inputs, activation) => {
                Layer::Add([node(&inputs[0]), node(&inputs[1])], *activation)
            }
            Item::Concat(parts) => Layer::Concat(parts.iter().map(node).collect()),
        };
        if let Item::Unit(unit) = item {
            let sizes = unit.variables().into_iter();
            parameters += sizes
                .map(|(_, shape)| shape.iter().product::<usize>())
                .sum::<usize>();
        }
        nodes.push(graph.push(layer).map_err(Error::wrap)?);
    }
    Ok((graph, parameters))
}

fn convolution(unit: &Unit, input: Node, variables: &VarBuilder<'_>, epsilon: f64) -> Result<Conv> {
    let mut values = Vec::new();
    for (name, shape) in unit.variables() {
        let tensor = variables.get(shape, &name)?;
        values.push((name, tensor.flatten_all()?.to_vec1::<f32>()?));
    }
    let mut take = |end: &str| {
        let found = values.iter().position(|(name, _)| name.ends_with(end))?;
        Some(values.swap_remove(found).1)
    };
    let mut kernel = take("kernel").unwrap_or_default();
    let mut bias = take(".bias").unwrap_or_else(|| vec![0.0; unit.outputs]);
    if unit.norm.is_some() {
        let norm = Norm {
            gamma: take(".gamma").unwrap_or_else(|| vec![1.0; unit.outputs]),
            beta: take(".beta").unwrap_or_default(),
            mean: take(".moving_mean").unwrap_or_default(),
            variance: take(".moving_variance").unwrap_or_default(),
            epsilon,
        };
        norm.fold(&mut kernel, &mut bias);
    }
    Ok(Conv {
        input,
        kernel,
        bias,
        window: unit.window,
        groups: if unit.depthwise { unit.inputs } else { 1 },
        activation: unit.activation,
    })
}

/// A batch normalisation.
struct Norm {
    gamma: Vec<f32>,
    beta: Vec<f32>,
    mean: Vec<f32>,
    variance: Vec<f32>,
    epsilon: f64,
}

impl Norm {
    /// Multiplies the kernel by γ/√(σ² + ε) and makes the bias β + (b − μ)·γ/√(σ² + ε), in f64.
    fn fold(&self, kernel: &mut [f32], bias: &mut [f32]) {
        let scales: Vec<f64> = self
            .gamma
            .iter()
            .zip(&self.variance)
            .map(|(gamma, variance)| {
                f64::from(*gamma) / (f64::from(*variance) + self.epsilon).sqrt()
            })
            .collect();
        for row in kernel.chunks_mut(scales.len().max(1)) {
            for (weight, scale) in row.iter_mut().zip(&scales) {
                *weight = (f64::from(*weight) * scale) as f32;
            }
        }
        let norms = self.beta.iter().zip(&self.mean).zip(&scales);
        for (bias, ((beta, mean), scale)) in bias.iter_mut().zip(norms) {
            *bias = (f64::from(*beta) - (f64::from(*mean) - f64::from(*bias)) * scale) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_is_batch_normalisation() {
        // One 1×1 convolution of two channels to two.
        let mut kernel = vec![1.0, 2.0, 3.0, 4.0];
        let mut bias = vec![0.0, 0.5];
        let norm = Norm {
            gamma: vec![2.0, 0.5],
            beta: vec![0.25, -1.0],
            mean: vec![1.0, 3.0],
            variance: vec![3.999, 0.249],
            epsilon: 1e-3,
        };
        norm.fold(&mut kernel, &mut bias);
        // √(3.999 + 0.001) = 2 and √(0.249 + 0.001) = 0.5: scales 1 and 1.
        for (found, expected) in kernel.iter().zip([1.0, 2.0, 3.0, 4.0]) {
            assert!((found - expected).abs() < 1e-6);
        }
        for (found, expected) in bias.iter().zip([-0.75, -3.5]) {
            assert!((found - expected).abs() < 1e-6);
        }
    }
}
