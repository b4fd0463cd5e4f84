//! The naive oracle: every layer of a graph, written as its definition, in f64.
//!
//! Slow on purpose (no blocking, no vector code, no threads), so that it can be checked by reading.

use featurize_kernels::{Activation, Attention, Conv, Graph, Layer, Node, Norm, Pooling, Window};

/// A feature map, and for each value the size of the sum that it came from.
///
/// Rounding errors grow with the terms of a sum, not with the sum: where an activation or chance
/// leaves next to nothing of a layer, its values are no measure. The size of a sum of terms of random
/// sign is `sqrt(Σ w²x²)` (Higham, Accuracy and Stability of Numerical Algorithms, 2.8).
#[derive(Debug, Clone)]
pub(crate) struct Map {
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) channels: usize,
    /// Height, width, channel.
    pub(crate) values: Vec<f64>,
    /// Root mean square of the sizes.
    pub(crate) magnitude: f64,
}

impl Map {
    fn at(&self, y: usize, x: usize, channel: usize) -> f64 {
        self.values[(y * self.width + x) * self.channels + channel]
    }

    /// What a pooling makes of it, less the first `skip` columns.
    pub(crate) fn pooled(&self, pooling: Pooling, skip: usize) -> Vec<f64> {
        let (width, channels) = (self.width - skip, self.channels);
        let rows = self.values.chunks_exact(self.width * channels);
        let map = Self {
            width,
            values: rows
                .flat_map(|row| row[skip * channels..].to_vec())
                .collect(),
            ..*self
        };
        let largest = |channel| {
            let values = map.values.iter().skip(channel).step_by(channels);
            values.copied().fold(f64::MIN, f64::max)
        };
        match pooling {
            Pooling::None | Pooling::Projection => map.values,
            Pooling::Avg => map.mean(),
            Pooling::Max => (0..channels).map(largest).collect(),
            Pooling::Cls => map.values[..channels].to_vec(),
        }
    }

    /// The mean of each channel.
    pub(crate) fn mean(&self) -> Vec<f64> {
        let pixels = self.values.chunks_exact(self.channels);
        let count = pixels.len() as f64;
        let mut sums = vec![0.0; self.channels];
        for pixel in pixels {
            for (sum, value) in sums.iter_mut().zip(pixel) {
                *sum += value / count;
            }
        }
        sums
    }
}

/// The last map of one image.
pub(crate) fn run(graph: &Graph, size: (usize, usize), image: &[f32]) -> Map {
    run_all(graph, size, image).pop().unwrap()
}

/// The maps of all layers of one image.
pub(crate) fn run_all(graph: &Graph, (height, width): (usize, usize), image: &[f32]) -> Vec<Map> {
    let shapes = graph.shapes((height, width)).unwrap();
    let mut maps: Vec<Map> = Vec::new();
    for (layer, (height, width, channels)) in graph.layers().zip(shapes) {
        let of = |node: &Node| &maps[graph.index(*node)];
        let mut map = Map {
            height,
            width,
            channels,
            values: Vec::with_capacity(height * width * channels),
            magnitude: 1.0,
        };
        match layer {
            Layer::Input => map.values.extend(image.iter().copied().map(f64::from)),
            Layer::Conv(conv) => convolve(conv, of(&conv.input), &mut map),
            Layer::MaxPool(input, window) => {
                let largest = |values: &[f64], _| values.iter().copied().fold(f64::MIN, f64::max);
                pool(window, of(input), &mut map, largest);
            }
            Layer::AveragePool {
                input,
                window,
                counts_zeros,
            } => pool(window, of(input), &mut map, |values, taps| {
                let count = if *counts_zeros { taps } else { values.len() };
                values.iter().sum::<f64>() / count as f64
            }),
            Layer::Add([a, b], activation) => {
                let (a, b) = (of(a), of(b));
                let sums = a.values.iter().zip(&b.values).map(|(a, b)| a + b);
                map.values
                    .extend(sums.map(|sum| activate(*activation, sum)));
                map.magnitude = a.magnitude.hypot(b.magnitude);
            }
            Layer::Concat(parts) => {
                for pixel in 0..height * width {
                    for part in parts {
                        let part = of(part);
                        let values = &part.values[pixel * part.channels..][..part.channels];
                        map.values.extend_from_slice(values);
                    }
                }
                map.magnitude = parts
                    .iter()
                    .map(|part| of(part).magnitude)
                    .fold(0.0, f64::max);
            }
            Layer::Patches(input, side) => patches(of(input), *side, &mut map),
            Layer::Tokens {
                input,
                prefix,
                positions,
            } => {
                let own = of(input).values.iter().zip(positions);
                map.values.extend(prefix.iter().copied().map(f64::from));
                map.values
                    .extend(own.map(|(value, position)| value + f64::from(*position)));
                map.magnitude = of(input).magnitude;
            }
            Layer::Norm(norm) => normalise(norm, of(&norm.input), &mut map),
            Layer::Attention(attention) => attend(attention, of(&attention.input), &mut map),
            Layer::First(input) => {
                let rows = of(input).values.chunks_exact(of(input).width * channels);
                map.values.extend(rows.flat_map(|row| &row[..channels]));
            }
        }
        maps.push(map);
    }
    maps
}

/// The error function: its Maclaurin series, and where terms would cancel, the continued fraction of its
/// complement (Abramowitz and Stegun, 7.1.5 and 7.1.14).
pub(crate) fn erf(x: f64) -> f64 {
    if x.abs() > 2.0 {
        let start = x.abs();
        let fraction = (1..=80)
            .rev()
            .fold(start, |rest, k| start + f64::from(k) / 2.0 / rest);
        let complement = (-x * x).exp() / fraction / std::f64::consts::PI.sqrt();
        return x.signum() * (1.0 - complement);
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..60 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * std::f64::consts::FRAC_2_SQRT_PI
}

pub(crate) fn activate(activation: Activation, value: f64) -> f64 {
    match activation {
        Activation::Gelu => value * 0.5 * (1.0 + erf(value / std::f64::consts::SQRT_2)),
        Activation::GeluTanh => {
            let inner = value + 0.044_715 * value * value * value;
            value * 0.5 * (1.0 + (inner * std::f64::consts::FRAC_2_PI.sqrt()).tanh())
        }
        Activation::QuickGelu => value / (1.0 + (-1.702 * value).exp()),
        Activation::Linear => value,
        Activation::Relu => value.max(0.0),
        Activation::Relu6 => value.clamp(0.0, 6.0),
    }
}

/// The pixels of `input` under each tap of the window at (y, x), with the tap.
fn taps<'a>(
    window: &'a Window,
    input: &'a Map,
    (y, x): (usize, usize),
) -> impl Iterator<Item = (usize, usize, usize)> + 'a {
    let [(top, _), (left, _)] = window.zeros((input.height, input.width));
    let all = (0..window.size.0).flat_map(|ky| (0..window.size.1).map(move |kx| (ky, kx)));
    all.filter_map(move |(ky, kx)| {
        let row = (y * window.stride + ky).checked_sub(top)?;
        let column = (x * window.stride + kx).checked_sub(left)?;
        let inside = row < input.height && column < input.width;
        inside.then_some((ky * window.size.1 + kx, row, column))
    })
}

fn convolve(conv: &Conv, input: &Map, map: &mut Map) {
    let outputs = map.channels;
    let (group_in, group_out) = (input.channels / conv.groups, outputs / conv.groups);
    let mut squares = 0.0;
    for y in 0..map.height {
        for x in 0..map.width {
            for output in 0..outputs {
                let mut sum = f64::from(conv.bias[output]);
                let first = output / group_out * group_in;
                for (tap, row, column) in taps(&conv.window, input, (y, x)) {
                    for channel in 0..group_in {
                        let weight = conv.kernel[(tap * group_in + channel) * outputs + output];
                        let term = input.at(row, column, first + channel) * f64::from(weight);
                        sum += term;
                        squares += term * term;
                    }
                }
                map.values.push(activate(conv.activation, sum));
            }
        }
    }
    map.magnitude = (squares / map.values.len() as f64).sqrt();
}

fn pool(window: &Window, input: &Map, map: &mut Map, summary: impl Fn(&[f64], usize) -> f64) {
    let all = window.size.0 * window.size.1;
    for y in 0..map.height {
        for x in 0..map.width {
            for channel in 0..map.channels {
                let inside = taps(window, input, (y, x));
                let values: Vec<f64> = inside.map(|(_, y, x)| input.at(y, x, channel)).collect();
                map.values.push(summary(&values, all));
            }
        }
    }
    map.magnitude = input.magnitude;
}

fn patches(image: &Map, side: usize, map: &mut Map) {
    for y in (0..image.height / side).map(|y| y * side) {
        for x in (0..image.width / side).map(|x| x * side) {
            for row in y..y + side {
                for column in x..x + side {
                    map.values
                        .extend((0..image.channels).map(|c| image.at(row, column, c)));
                }
            }
        }
    }
}

fn normalise(norm: &Norm, input: &Map, map: &mut Map) {
    for pixel in input.values.chunks_exact(input.channels) {
        let mean = pixel.iter().sum::<f64>() / pixel.len() as f64;
        let squares = pixel.iter().map(|value| (value - mean).powi(2));
        let variance = squares.sum::<f64>() / pixel.len() as f64;
        let scale = 1.0 / (variance + norm.epsilon).sqrt();
        let numbers = norm.gamma.iter().zip(&norm.beta);
        let values = pixel.iter().zip(numbers).map(|(value, (gamma, beta))| {
            (value - mean) * scale * f64::from(*gamma) + f64::from(*beta)
        });
        map.values.extend(values);
    }
}

fn attend(attention: &Attention, input: &Map, map: &mut Map) {
    let all = map.channels;
    let width = all / attention.heads;
    let given = attention.queries.as_ref();
    let offset = if given.is_some() { 0 } else { all };
    for query in 0..map.width {
        for head in (0..all).step_by(width) {
            let of_query = |c: usize| match given {
                Some(queries) => f64::from(queries[query * all + head + c]),
                None => input.at(0, query, head + c),
            };
            let products = (0..input.width).map(|key| {
                let of_key = |c: usize| input.at(0, key, offset + head + c);
                (0..width).map(|c| of_query(c) * of_key(c)).sum::<f64>()
            });
            let products: Vec<f64> = products.collect();
            let largest = products.iter().copied().fold(f64::MIN, f64::max);
            let weights: Vec<f64> = products.iter().map(|p| (p - largest).exp()).collect();
            let total: f64 = weights.iter().sum();
            for c in 0..width {
                let value = |key| input.at(0, key, offset + all + head + c);
                let terms = weights
                    .iter()
                    .enumerate()
                    .map(|(key, weight)| weight * value(key));
                map.values.push(terms.sum::<f64>() / total);
            }
        }
    }
}

/// Relative error of `actual` in the L2 norm: `‖actual − expected‖ / ‖expected‖`.
pub(crate) fn relative_error(actual: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(actual.len(), expected.len());
    let (mut difference, mut norm) = (0.0, 0.0);
    for (actual, expected) in actual.iter().zip(expected) {
        difference += (f64::from(*actual) - expected).powi(2);
        norm += expected.powi(2);
    }
    if difference == 0.0 {
        return 0.0;
    }
    (difference / norm).sqrt()
}
