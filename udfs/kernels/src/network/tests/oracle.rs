//! Networks against the oracle.

use proptest::prelude::*;

use super::*;
use crate::testing::reference::{self, relative_error};
use crate::testing::root_mean_square_error;
use crate::winograd::TileSize;

/// One image on every instruction set, and two images of batches, against the oracle.
fn agrees(
    graph: &Graph,
    size: (usize, usize),
    random: &mut Random,
    tile: Option<TileSize>,
    alone: bool,
) -> Result<(), TestCaseError> {
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
                2 if inputs.is_multiple_of(2) => (2, 2 * outputs),
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
