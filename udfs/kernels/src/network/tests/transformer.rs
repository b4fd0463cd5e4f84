//! Vision transformers against the oracle, and against themselves.

use proptest::prelude::*;

use super::*;
use crate::graph::{Attention, Norm};
use crate::testing::fingerprint;
use crate::testing::reference::{self, relative_error};

/// What a transformer of these tests is like.
#[derive(Debug, Clone, Copy)]
struct Shape {
    patch: usize,
    heads: usize,
    /// Blocks of sixteen channels of a head.
    head: usize,
    /// Channels off the blocks of sixteen.
    odd: usize,
    prefix: usize,
    activation: Activation,
}

impl Net<'_> {
    fn linear(&mut self, input: Node, outputs: usize, activation: Activation) -> Node {
        self.conv(input, outputs, Window::POINT, 1, activation)
    }

    fn norm(&mut self, input: Node) -> Node {
        let channels = self.graph.channels(input);
        let gamma = self.random.values(channels, 0.3);
        let norm = Norm {
            input,
            gamma: gamma.iter().map(|value| 1.0 + value).collect(),
            beta: self.random.values(channels, 0.3),
            epsilon: 1e-6,
        };
        self.graph.push(Layer::Norm(norm)).unwrap()
    }

    fn sum(&mut self, a: Node, b: Node) -> Node {
        let add = Layer::Add([a, b], Activation::Linear);
        self.graph.push(add).unwrap()
    }
}

/// Two blocks, a class token's projection, and a head whose queries are given.
fn transformer(random: &mut Random, size: (usize, usize), shape: Shape) -> (Graph, Node) {
    let width = 16 * shape.head * shape.heads + shape.odd;
    let patches = (size.0 / shape.patch) * (size.1 / shape.patch);
    let mut net = Net::new(random, 1.5);
    let map = net
        .graph
        .push(Layer::Patches(Node(0), shape.patch))
        .unwrap();
    let input = net.linear(map, width, Activation::Linear);
    let tokens = Layer::Tokens {
        input,
        prefix: net.random.values(shape.prefix * width, 1.0),
        positions: net.random.values(patches * width, 1.0),
    };
    let mut map = net.graph.push(tokens).unwrap();
    let heads = 16 * shape.head * shape.heads;
    for _ in 0..2 {
        let normal = net.norm(map);
        let input = net.linear(normal, 3 * heads, Activation::Linear);
        let attention = Attention {
            input,
            heads: shape.heads,
            queries: None,
        };
        let attention = net.graph.push(Layer::Attention(attention)).unwrap();
        let out = net.linear(attention, width, Activation::Linear);
        map = net.sum(map, out);
        let normal = net.norm(map);
        let wide = net.linear(normal, 2 * width, shape.activation);
        let out = net.linear(wide, width, Activation::Linear);
        map = net.sum(map, out);
    }
    let last = net.norm(map);
    let pairs = net.linear(last, 2 * heads, Activation::Linear);
    let queries = net.random.values(2 * heads, 1.0);
    let attention = Attention {
        input: pairs,
        heads: shape.heads,
        queries: Some(queries),
    };
    net.graph.push(Layer::Attention(attention)).unwrap();
    let class = net.graph.push(Layer::First(last)).unwrap();
    let class = net.norm(class);
    let projection = net.linear(class, 10, Activation::Linear);
    for pooling in [Pooling::None, Pooling::Cls] {
        net.graph.read(pooling, last, 0);
    }
    for pooling in [Pooling::Avg, Pooling::Max] {
        net.graph.read(pooling, last, shape.prefix);
    }
    net.graph.read(Pooling::Projection, projection, 0);
    (net.graph, last)
}

fn shapes() -> impl Strategy<Value = Shape> {
    let activation = prop::sample::select(vec![
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::QuickGelu,
    ]);
    (
        2_usize..6,
        1_usize..4,
        1_usize..3,
        0_usize..20,
        0_usize..4,
        activation,
    )
        .prop_map(|(patch, heads, head, odd, prefix, activation)| Shape {
            patch,
            heads,
            head,
            odd,
            prefix,
            activation,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn transformers_agree_with_the_oracle(
        shape in shapes(),
        size in (6_usize..40, 6_usize..40),
        alone: bool,
        seed: u64,
    ) {
        let random = &mut Random::new(seed);
        let (graph, _) = transformer(random, size, shape);
        let images = random.values(3 * size.0 * size.1 * 3, 1.0);
        let pool = ComputePool::new(3).unwrap();
        let maps: Vec<_> = images
            .chunks_exact(size.0 * size.1 * 3)
            .map(|image| reference::run_all(&graph, size, image))
            .collect();
        let mut fused: Option<Vec<f32>> = None;
        for isa in available() {
            let options = Options { alone: Some(alone), ..options(isa) };
            let network = plan::plan(graph.clone(), size, options).unwrap();
            let mut all = Vec::new();
            for pooling in Pooling::ALL {
                let (node, skip) = graph.reading(pooling).unwrap();
                let expected = maps.iter().flat_map(|maps| {
                    maps[graph.index(node)].pooled(pooling, skip)
                });
                let expected: Vec<f64> = expected.collect();
                let length = network.dimension(pooling).unwrap();
                let mut actual = vec![f32::NAN; 3 * length];
                let cancel = CancelToken::new();
                network.run(&images, 3, pooling, &mut actual, &pool, &cancel).unwrap();
                let error = relative_error(&actual, &expected);
                prop_assert!(error < 1e-5, "{isa:?} {pooling:?}: relative error {error:e}");
                all.extend(actual);
            }
            if isa != Isa::Portable {
                prop_assert!(fused.get_or_insert_with(|| all.clone()) == &all, "{isa:?}");
            }
        }
    }
}

const SMALL: Shape = Shape {
    patch: 4,
    heads: 3,
    head: 1,
    odd: 5,
    prefix: 1,
    activation: Activation::Gelu,
};

/// More keys than are looked at together, whose products go up and down.
#[test]
fn long_rows_agree_with_the_oracle() {
    let random = &mut Random::new(11);
    let size = (100, 100);
    let shape = Shape {
        patch: 3,
        heads: 1,
        ..SMALL
    };
    let (graph, last) = transformer(random, size, shape);
    let mut image = random.values(100 * 100 * 3, 1.0);
    for (index, value) in image.iter_mut().enumerate() {
        *value *= index as f32 / 3000.0;
    }
    let expected = reference::run_all(&graph, size, &image);
    let expected = &expected[graph.index(last)].values;
    assert!(expected.len() > 2 * 512 * graph.channels(last));
    let pool = ComputePool::new(2).unwrap();
    for isa in available() {
        let network = graph.clone().plan_for(size, isa).unwrap();
        let error = relative_error(&run(&network, &image, Pooling::None, &pool), expected);
        assert!(error < 1e-5, "{isa:?}: relative error {error:e}");
    }
}

#[test]
fn bits_do_not_depend_on_batch_or_threads() {
    let random = &mut Random::new(17);
    let (n, size) = (11, (30, 26));
    let (graph, _) = transformer(random, size, SMALL);
    let images = random.values(n * size.0 * size.1 * 3, 1.0);
    let mut expected = None;
    for alone in [false, true] {
        let options = Options {
            alone: Some(alone),
            ..options(Isa::detect().unwrap())
        };
        let network = plan::plan(graph.clone(), size, options).unwrap();
        for (threads, batch) in [(1, 1), (1, 8), (2, 3), (3, 7), (5, n)] {
            let pool = ComputePool::new(threads).unwrap();
            let batches = images.chunks(batch * size.0 * size.1 * 3);
            let actual: Vec<f32> = batches
                .flat_map(|images| run(&network, images, Pooling::None, &pool))
                .collect();
            let same = expected.get_or_insert_with(|| actual.clone()) == &actual;
            assert!(same, "{alone}: {threads} threads, {batch} images");
        }
    }
}

// The fingerprint is that of AVX2; AVX-512 and NEON must give the same.
#[test]
fn bits_of_transformers_are_the_same_on_every_machine() {
    let pool = ComputePool::new(2).unwrap();
    for isa in available().filter(|&isa| isa != Isa::Portable) {
        let random = &mut Random::new(23);
        let (graph, _) = transformer(random, (30, 26), SMALL);
        let images = random.values(2 * 30 * 26 * 3, 1.0);
        let network = graph.plan_for((30, 26), isa).unwrap();
        let actual = run(&network, &images, Pooling::None, &pool);
        assert_eq!(fingerprint(&actual), 0x74ad_8245_4cd2_a293, "{isa:?}");
    }
}

#[test]
fn misfits_of_transformers_are_errors() {
    let random = &mut Random::new(29);
    let (graph, last) = transformer(random, (8, 8), SMALL);
    let message = |layer| graph.clone().push(layer).unwrap_err().to_string();
    let attention = |heads, queries| {
        Layer::Attention(Attention {
            input: last,
            heads,
            queries,
        })
    };
    assert!(
        message(attention(2, None)).contains("2 heads of a multiple of 16 channels do not fit 53")
    );
    assert!(message(Layer::Patches(last, 2)).contains("patches are of the images"));
    let norm = Norm {
        input: last,
        gamma: vec![1.0; 5],
        beta: vec![],
        epsilon: 0.0,
    };
    assert_eq!(
        message(Layer::Norm(norm)),
        "gamma must hold 53 elements, found 5"
    );
    let error = graph.clone().plan((9, 13)).unwrap_err().to_string();
    assert!(
        error.contains("212 positions do not fit 1×6 tokens of 53 channels"),
        "{error}"
    );
    let error = graph.clone().plan((3, 8)).unwrap_err().to_string();
    assert!(
        error.contains("a patch of 4×4 does not fit 3×8 pixels"),
        "{error}"
    );

    // No other kernel computes a smooth activation.
    let mut net = Net::new(random, 1.0);
    net.conv(Node(0), 8, Window::new(3, 2, SAME), 1, Activation::Gelu);
    let error = net.graph.plan((8, 8)).unwrap_err().to_string();
    assert!(error.contains("a smooth activation must follow"), "{error}");
}

#[test]
fn a_network_without_class_token_says_so() {
    let random = &mut Random::new(31);
    let network = stack(random, &[8]).plan((8, 8)).unwrap();
    assert_eq!(network.dimension(Pooling::Cls), None);
    let (pool, cancel) = (ComputePool::new(1).unwrap(), CancelToken::new());
    let error = network
        .run(&[], 0, Pooling::Cls, &mut [], &pool, &cancel)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "network: it has nothing that 'cls' could read"
    );
}
