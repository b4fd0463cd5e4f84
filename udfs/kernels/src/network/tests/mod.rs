//! Networks against the oracle, and against themselves under other conditions.

mod oracle;
mod sameness;
mod transformer;

use super::plan::{self, Options};
use super::*;
use crate::activation::Activation;
use crate::elementwise::Pooling;
use crate::error::KernelError;
use crate::graph::{Conv, Graph, Layer, Node, Padding, Window};
use crate::pool::{CancelToken, ComputePool};
use crate::simd::Isa;
use crate::testing::Random;

/// A graph with random numbers.
struct Net<'a> {
    graph: Graph,
    random: &'a mut Random,
    /// Of the weights, over the square root of the inputs to an output.
    scale: f32,
}

impl<'a> Net<'a> {
    fn new(random: &'a mut Random, scale: f32) -> Self {
        Self {
            graph: Graph::new(3),
            random,
            scale,
        }
    }

    fn conv(
        &mut self,
        input: Node,
        outputs: usize,
        window: Window,
        groups: usize,
        activation: Activation,
    ) -> Node {
        let fan_in = window.size.0 * window.size.1 * self.graph.channels(input) / groups;
        let scale = self.scale * (1.0 / fan_in as f32).sqrt();
        let conv = Conv {
            input,
            kernel: self.random.values(fan_in * outputs, scale),
            bias: self.random.values(outputs, 0.5),
            window,
            groups,
            activation,
        };
        self.graph.push(Layer::Conv(conv)).unwrap()
    }

    fn block(
        &mut self,
        input: Node,
        factor: usize,
        outputs: usize,
        stride: usize,
        padding: Padding,
    ) -> Node {
        use Activation::{Linear, Relu6};

        let channels = self.graph.channels(input);
        let mut map = input;
        if factor > 1 {
            map = self.conv(map, factor * channels, Window::POINT, 1, Relu6);
        }
        let window = Window::new(3, stride, padding);
        let wide = self.graph.channels(map);
        map = self.conv(map, wide, window, wide, Relu6);
        map = self.conv(map, outputs, Window::POINT, 1, Linear);
        if stride == 1 && outputs == channels && factor > 1 {
            map = self.graph.push(Layer::Add([input, map], Linear)).unwrap();
        }
        map
    }
}

const SAME: Padding = Padding::Same;

fn options(isa: Isa) -> Options {
    Options {
        isa,
        tile: None,
        alone: None,
    }
}

fn run(network: &Network, images: &[f32], pooling: Pooling, pool: &ComputePool) -> Vec<f32> {
    let (height, width, channels) = network.input_shape();
    let n = images.len() / (height * width * channels);
    let mut out = vec![f32::NAN; n * pooling.dimension(network.output_shape())];
    let result = network.run(images, n, pooling, &mut out, pool, &CancelToken::new());
    result.unwrap();
    out
}

fn available() -> impl Iterator<Item = Isa> {
    Isa::ALL.into_iter().filter(|isa| isa.is_available())
}

/// Layers as output channels; 0 is a max pool.
fn stack(random: &mut Random, layers: &[usize]) -> Graph {
    let mut net = Net::new(random, 1.7 * 2.0_f32.sqrt());
    let mut map = Node(0);
    for outputs in layers {
        map = match outputs {
            0 => {
                let window = Window::new(2, 2, Padding::Zeros(0, 0));
                net.graph.push(Layer::MaxPool(map, window)).unwrap()
            }
            _ => net.conv(map, *outputs, Window::new(3, 1, SAME), 1, Activation::Relu),
        };
    }
    net.graph
}

/// The shape of MobileNetV2 with a quarter of the channels.
fn small_mobilenet(random: &mut Random) -> Graph {
    let mut net = Net::new(random, 2.0);
    let mut map = net.conv(Node(0), 8, Window::new(3, 2, SAME), 1, Activation::Relu6);
    map = net.block(map, 1, 8, 1, SAME);
    for (outputs, count, stride) in [
        (8, 2, 2),
        (8, 3, 2),
        (16, 4, 2),
        (24, 3, 1),
        (40, 3, 2),
        (80, 1, 1),
    ] {
        for index in 0..count {
            map = net.block(map, 6, outputs, if index == 0 { stride } else { 1 }, SAME);
        }
    }
    net.conv(map, 320, Window::POINT, 1, Activation::Relu6);
    net.graph
}

/// VGG16 with an eighth of the channels.
const SMALL_VGG: [usize; 18] = [
    8, 8, 0, 16, 16, 0, 32, 32, 32, 0, 64, 64, 64, 0, 64, 64, 64, 0,
];

#[test]
fn misfits_are_errors() {
    let conv = |kernel, bias, groups| {
        Layer::Conv(Conv {
            input: Node(0),
            kernel: vec![0.0; kernel],
            bias: vec![0.0; bias],
            window: Window::new(3, 1, Padding::Zeros(0, 0)),
            groups,
            activation: Activation::Relu,
        })
    };
    let message = |layer| Graph::new(3).push(layer).unwrap_err().to_string();
    assert_eq!(
        message(conv(100, 4, 1)),
        "kernel must hold 108 elements, found 100"
    );
    assert_eq!(
        message(conv(108, 4, 2)),
        "layer 1: 2 groups must divide 3 input and 4 output channels, each at least 1"
    );
    assert!(message(conv(0, 0, 1)).contains("0 output channels"));
    assert_eq!(
        message(Layer::MaxPool(Node(7), Window::new(2, 2, SAME))),
        "layer 1: a layer must read layers that were added before it"
    );
    assert_eq!(
        message(Layer::MaxPool(Node(0), Window::new(2, 0, SAME))),
        "layer 1: the sides of a window and its stride must be at least 1"
    );
    let plan = |graph: &Graph, size| graph.clone().plan(size).unwrap_err().to_string();
    let mut graph = Graph::new(3);
    assert_eq!(plan(&graph, (8, 8)), "network: there is no layer in it");
    let map = graph.push(conv(108, 4, 1)).unwrap();
    assert_eq!(
        plan(&graph, (2, 8)),
        "layer 1: a 3×3 window does not fit 2×8 pixels with Zeros(0, 0)"
    );
    assert!(plan(&graph, (0, 8)).contains("at least one pixel"));
    let pool = Layer::MaxPool(map, Window::new(2, 2, SAME));
    let pool = graph.push(pool).unwrap();
    graph
        .push(Layer::Add([map, pool], Activation::Linear))
        .unwrap();
    assert_eq!(
        plan(&graph, (8, 8)),
        "layer 3: the maps that meet have different sizes"
    );
    let mut graph = Graph::new(3);
    graph
        .push(Layer::MaxPool(Node(0), Window::new(2, 2, SAME)))
        .unwrap();
    assert!(plan(&graph, (8, 8)).contains("must go through a convolution first"));

    let mut graph = Graph::new(3);
    graph.push(conv(108, 4, 1)).unwrap();
    let network = graph.plan((8, 8)).unwrap();
    let (pool, cancel) = (ComputePool::new(1).unwrap(), CancelToken::new());
    let error = network.run(&[0.0; 192], 2, Pooling::Avg, &mut [0.0; 8], &pool, &cancel);
    assert_eq!(
        error.unwrap_err().to_string(),
        "images must hold 384 elements, found 192"
    );
    network
        .run(&[], 0, Pooling::None, &mut [], &pool, &cancel)
        .unwrap();
}
