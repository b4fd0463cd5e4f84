//! The naive oracle: every layer of a graph, written as its definition, in f64.
//!
//! Slow on purpose (no blocking, no vector code, no threads), so that it can be checked by reading.

use featurize_kernels::{Activation, Conv, Graph, Layer, Node, Window};

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
pub(crate) fn run(graph: &Graph, (height, width): (usize, usize), image: &[f32]) -> Map {
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
        }
        maps.push(map);
    }
    maps.pop().unwrap()
}

fn activate(activation: Activation, value: f64) -> f64 {
    match activation {
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
