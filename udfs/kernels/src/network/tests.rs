//! Networks against the oracle, and against themselves under other conditions.

use std::time::Instant;

use proptest::prelude::*;

use super::*;
use crate::error::KernelError;
use crate::graph::{Activation, Conv, Layer, Node, Padding, Window};
use crate::testing::reference::{self, relative_error};
use crate::testing::{Random, fingerprint, root_mean_square_error};
use crate::winograd::TileSize;

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

/// One image on every instruction set, and two images of batches, against the oracle.
fn agrees(
    graph: &Graph,
    size: (usize, usize),
    random: &mut Random,
    tile: Option<TileSize>,
    alone: bool,
) -> std::result::Result<(), TestCaseError> {
    let pool = ComputePool::new(3).unwrap();
    let images = random.values(3 * size.0 * size.1 * 3, 1.0);
    let images: Vec<&[f32]> = images.chunks_exact(size.0 * size.1 * 3).collect();
    let expected: Vec<_> = images
        .iter()
        .map(|image| reference::run(graph, size, image))
        .collect();
    let mut fused: Option<Vec<f32>> = None;
    for isa in available() {
        let options = Options {
            tile,
            alone: Some(alone),
            ..options(isa)
        };
        let network = plan::plan(graph.clone(), size, options).unwrap();
        let actual = run(&network, &images.concat(), Pooling::None, &pool);
        let means = run(&network, &images.concat(), Pooling::Avg, &pool);
        let most = run(&network, &images.concat(), Pooling::Max, &pool);
        for (index, map) in expected.iter().enumerate() {
            let vector = &actual[index * map.values.len()..][..map.values.len()];
            let error = root_mean_square_error(vector, &map.values) / map.magnitude.max(0.1);
            prop_assert!(error < 1e-5, "{isa:?}: scaled error {error:e}");
            let channels = map.channels;
            let of = |pooled: &[f32]| pooled[index * channels..][..channels].to_vec();
            let error = root_mean_square_error(&of(&means), &map.mean()) / map.magnitude.max(0.1);
            prop_assert!(error < 1e-5, "{isa:?}: scaled error of the mean {error:e}");
            for (channel, most) in of(&most).into_iter().enumerate() {
                let all = vector.iter().skip(channel).step_by(channels);
                prop_assert_eq!(all.copied().fold(f32::MIN, f32::max), most);
            }
        }
        if isa != Isa::Portable {
            let same = fused.get_or_insert_with(|| actual.clone()) == &actual;
            prop_assert!(same, "{isa:?} gives other bits");
        }
    }
    Ok(())
}

fn padding() -> impl Strategy<Value = Padding> {
    prop_oneof![
        Just(Padding::Same),
        (0_usize..2, 0_usize..2).prop_map(|(y, x)| Padding::Zeros(y, x)),
    ]
}

/// A window, and groups: 0 for as many as channels.
fn layer() -> impl Strategy<Value = (Window, usize, usize)> {
    let size = prop_oneof![
        Just((3, 3)),
        Just((1, 1)),
        Just((1, 7)),
        Just((7, 1)),
        (1_usize..6, 1_usize..6),
    ];
    let window = (size, 1_usize..4, padding()).prop_map(|(size, stride, padding)| Window {
        size,
        stride,
        padding,
    });
    (window, 0_usize..3, 1_usize..24)
}

fn activation() -> impl Strategy<Value = Activation> {
    prop::sample::select(vec![
        Activation::Linear,
        Activation::Relu,
        Activation::Relu6,
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    // Odd sizes, channel counts off the block size, pools that drop a row: every kernel edge.
    #[test]
    fn stacks_of_3x3_agree_with_the_oracle(
        size in (2usize..22, 2usize..22),
        outputs in (1usize..40, 1usize..70, 1usize..40),
        pool in any::<bool>(),
        paddings in (padding(), padding()),
        tile in prop_oneof![Just(TileSize::Four), Just(TileSize::Six)],
        alone in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let random = &mut Random::new(seed);
        let mut net = Net::new(random, 2.4);
        let relu = Activation::Relu;
        let conv = |net: &mut Net<'_>, map, outputs, padding| {
            net.conv(map, outputs, Window::new(3, 1, padding), 1, relu)
        };
        let mut map = conv(&mut net, Node(0), outputs.0, SAME);
        map = conv(&mut net, map, outputs.1, paddings.0);
        if pool {
            map = net.graph.push(Layer::MaxPool(map, Window::new(2, 2, Padding::Zeros(0, 0)))).unwrap();
        }
        conv(&mut net, map, outputs.2, paddings.1);
        let graph = net.graph;
        prop_assume!(graph.shapes(size).is_ok());
        agrees(&graph, size, random, Some(tile), alone)?;
    }

    // Channels off the block size, both paddings, rows split over threads.
    #[test]
    fn inverted_residuals_agree_with_the_oracle(
        size in (6usize..40, 6usize..40),
        stem in 2usize..40,
        first in 2usize..30,
        (factor, stride, second) in (2usize..5, 1usize..3, 2usize..40),
        (wide, same) in (2usize..4, any::<bool>()),
        head in 1usize..50,
        keras in any::<bool>(),
        alone in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let random = &mut Random::new(seed);
        let mut net = Net::new(random, 2.0);
        let third = if same { second } else { second + 3 };
        let padding = if keras { SAME } else { Padding::Zeros(1, 1) };
        let mut map = net.conv(Node(0), stem, Window::new(3, 2, padding), 1, Activation::Relu6);
        map = net.block(map, 1, first, 1, padding);
        map = net.block(map, factor, second, stride, padding);
        map = net.block(map, wide, third, 1, padding);
        net.conv(map, head, Window::POINT, 1, Activation::Relu6);
        let graph = net.graph;
        prop_assert!(plan::plan(graph.clone(), size, options(Isa::Portable)).unwrap().steps.len() <= 4);
        agrees(&graph, size, random, None, alone)?;
    }

    // Any window, stride, padding and groups; branches that are added, pooled and joined.
    #[test]
    fn any_graph_agrees_with_the_oracle(
        size in (9usize..20, 9usize..20),
        stem in layer(),
        layers in prop::collection::vec((layer(), activation()), 1..3),
        (residual, residual_activation) in (any::<bool>(), activation()),
        pooled in (layer(), any::<bool>(), any::<bool>()),
        aligned in any::<bool>(),
        alone in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let random = &mut Random::new(seed);
        let mut net = Net::new(random, 1.7);
        let channels = |outputs: usize| if aligned { outputs.next_multiple_of(16) } else { outputs };
        let mut map = net.conv(Node(0), channels(stem.2), stem.0, 1, Activation::Relu);
        for ((window, groups, outputs), activation) in layers {
            let inputs = net.graph.channels(map);
            let (groups, outputs) = match groups {
                0 => (inputs, inputs),
                2 if inputs % 2 == 0 => (2, 2 * outputs),
                _ => (1, channels(outputs)),
            };
            map = net.conv(map, outputs, window, groups, activation);
        }
        if residual {
            let outputs = net.graph.channels(map);
            let sum = net.conv(map, outputs, Window::new(1, 1, SAME), 1, Activation::Linear);
            map = net.graph.push(Layer::Add([sum, map], residual_activation)).unwrap();
        }
        let ((window, ..), is_max, counts_zeros) = pooled;
        let window = Window { stride: 1, padding: SAME, ..window };
        let pool = if is_max {
            Layer::MaxPool(map, window)
        } else {
            Layer::AveragePool { input: map, window, counts_zeros }
        };
        let pool = net.graph.push(pool).unwrap();
        let branch = net.conv(map, channels(20), Window { size: (1, 3), ..window }, 1, Activation::Relu);
        let other = net.conv(pool, channels(9), Window::POINT, 1, Activation::Relu);
        let parts = if aligned { vec![branch, other] } else { vec![branch, pool, other] };
        let map = net.graph.push(Layer::Concat(parts)).unwrap();
        net.conv(map, 12, Window::new(3, 2, SAME), 1, Activation::Relu);
        let graph = net.graph;
        prop_assume!(graph.shapes(size).is_ok());
        agrees(&graph, size, random, None, alone)?;
    }
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
fn deep_networks_stay_within_their_error_bound() {
    let random = &mut Random::new(7);
    let vgg = stack(random, &SMALL_VGG);
    let mobilenet = small_mobilenet(random);
    // Like photographs without their mean: a large part common to all pixels.
    let mut photograph = random.values(96 * 96 * 3, 2.0);
    photograph.iter_mut().for_each(|x| *x = 30.0 * *x + 40.0);
    let image = random.values(96 * 96 * 3, 1.0);
    let pool = ComputePool::new(2).unwrap();
    for (graph, image, bound) in [(vgg, photograph, 1e-5), (mobilenet, image, 5e-6)] {
        let expected = reference::run(&graph, (96, 96), &image).mean();
        for isa in available() {
            for tile in [None, Some(TileSize::Four), Some(TileSize::Six)] {
                let options = Options {
                    tile,
                    ..options(isa)
                };
                let network = plan::plan(graph.clone(), (96, 96), options).unwrap();
                let actual = run(&network, &image, Pooling::Avg, &pool);
                let error = relative_error(&actual, &expected);
                assert!(error < bound, "{isa:?} {tile:?}: relative error {error:e}");
            }
        }
    }
}

// Channels are chosen so that the last layers have more weights than pixels and are batched, and
// strips begin elsewhere where one image is computed by all threads.
#[test]
fn bits_do_not_depend_on_batch_threads_or_neighbours() {
    let random = &mut Random::new(3);
    let n = 19;
    for (graph, size, alone) in [
        (
            stack(random, &[24, 24, 0, 96, 96, 0, 160, 160]),
            (40, 36),
            false,
        ),
        (small_mobilenet(random), (96, 80), true),
        (small_mobilenet(random), (64, 64), false),
    ] {
        let options = Options {
            alone: Some(alone),
            ..options(Isa::detect().unwrap())
        };
        let network = plan::plan(graph, size, options).unwrap();
        assert_eq!(network.single < network.steps.len(), !alone);
        let images = random.values(n * size.0 * size.1 * 3, 2.0);
        let expected = run(
            &network,
            &images,
            Pooling::None,
            &ComputePool::new(2).unwrap(),
        );
        for (threads, batch) in [(1, 1), (1, 8), (2, 1), (2, 3), (3, 7), (5, n)] {
            let pool = ComputePool::new(threads).unwrap();
            let batches = images.chunks(batch * size.0 * size.1 * 3);
            let actual: Vec<f32> = batches
                .flat_map(|images| run(&network, images, Pooling::None, &pool))
                .collect();
            assert!(
                actual == expected,
                "{alone} {size:?}: {threads} threads, {batch} images"
            );
        }
    }
}

#[test]
fn many_callers_share_one_pool() {
    let random = &mut Random::new(5);
    for alone in [false, true] {
        let options = Options {
            alone: Some(alone),
            ..options(Isa::detect().unwrap())
        };
        let network = plan::plan(stack(random, &[16, 32, 0, 64, 64]), (30, 30), options).unwrap();
        let images = random.values(9 * 30 * 30 * 3, 2.0);
        let pool = ComputePool::new(2).unwrap();
        let expected = run(&network, &images, Pooling::None, &pool);
        std::thread::scope(|scope| {
            let call = || run(&network, &images, Pooling::None, &pool);
            let callers: Vec<_> = (0..6).map(|_| scope.spawn(call)).collect();
            for caller in callers {
                assert!(caller.join().unwrap() == expected);
            }
        });
        let workspaces = network.free().len();
        assert!(
            workspaces <= 2,
            "{workspaces} workspaces for 2 admitted callers"
        );
    }
}

// The fingerprints are those of AVX-512; AVX2 here and NEON on ARM must give the same.
#[test]
fn bits_are_the_same_on_every_machine() {
    let pool = ComputePool::new(2).unwrap();
    for isa in available().filter(|&isa| isa != Isa::Portable) {
        let random = &mut Random::new(21);
        let graph = stack(random, &[20, 40, 0, 70, 70, 0, 33]);
        let images = random.values(2 * 44 * 37 * 3, 2.0);
        for (tile, expected) in [
            (TileSize::Four, 0xad0b_63f7_84bc_7b24),
            (TileSize::Six, 0xfa80_28f7_9e2f_256e),
        ] {
            let options = Options {
                tile: Some(tile),
                ..options(isa)
            };
            let network = plan::plan(graph.clone(), (44, 37), options).unwrap();
            let actual = run(&network, &images, Pooling::None, &pool);
            assert_eq!(fingerprint(&actual), expected, "{isa:?} {tile:?}");
        }
        let random = &mut Random::new(21);
        let graph = small_mobilenet(random);
        let images = random.values(2 * 96 * 96 * 3, 1.0);
        let network = graph.plan_for((96, 96), isa).unwrap();
        let actual = run(&network, &images, Pooling::None, &pool);
        assert_eq!(fingerprint(&actual), 0xae1fd95c8c3d05ce, "{isa:?}");
    }
}

#[test]
fn a_cancelled_call_returns_early() {
    let random = &mut Random::new(9);
    let n = 2000;
    let network = stack(random, &[64, 64, 64, 64]).plan((64, 64)).unwrap();
    let images = vec![0.5; n * 64 * 64 * 3];
    let mut out = vec![0.0; n * 64];
    let pool = ComputePool::new(1).unwrap();
    let cancel = CancelToken::new();
    std::thread::scope(|scope| {
        let call = || network.run(&images, n, Pooling::Avg, &mut out, &pool, &cancel);
        let call = scope.spawn(call);
        std::thread::sleep(Duration::from_millis(30));
        let asked = Instant::now();
        cancel.cancel();
        assert_eq!(call.join().unwrap(), Err(KernelError::Cancelled));
        assert!(asked.elapsed() < Duration::from_millis(500));
    });
}

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
