//! Stacks against the oracle, and against themselves under other conditions.

use proptest::prelude::*;

use super::*;
use crate::error::KernelError;
use crate::reference::{self, Conv2d, Padding, Shape, relative_error, widen};
use crate::testing::{Random, fingerprint, scaled_error};

/// One block: channels after expansion (0 for the first block), stride, output channels.
type BlockShape = (usize, usize, usize);

struct Network {
    shape: (usize, usize, usize),
    blocks: Vec<BlockShape>,
    /// Padding of the layers of stride 2.
    padding: (usize, usize),
    /// Kernel and bias of each convolution, in order.
    weights: Vec<(Vec<f32>, Vec<f32>)>,
}

fn shape((height, width, channels): (usize, usize, usize), batch: usize) -> Shape {
    Shape {
        batch,
        height,
        width,
        channels,
    }
}

impl Network {
    fn new(
        random: &mut Random,
        shape: (usize, usize, usize),
        stem: usize,
        blocks: &[BlockShape],
        head: usize,
        padding: (usize, usize),
    ) -> Self {
        let mut weights = Vec::new();
        let mut layer = |fan_in: usize, out: usize| {
            let kernel = random.values(fan_in * out, 2.0 * (1.0 / fan_in as f32).sqrt());
            weights.push((kernel, random.values(out, 0.5)));
        };
        layer(9 * shape.2, stem);
        let mut channels = stem;
        for &(expanded, _, out) in blocks {
            if expanded > 0 {
                layer(channels, expanded);
                channels = expanded;
            }
            layer(9, channels);
            layer(channels, out);
            channels = out;
        }
        layer(channels, head);
        Self {
            shape,
            blocks: blocks.to_vec(),
            padding,
            weights,
        }
    }

    fn window(&self, stride: usize) -> Window {
        Window {
            stride,
            padding: if stride == 1 { (1, 1) } else { self.padding },
        }
    }

    fn build(&self, isa: Isa, average: bool) -> Result<InvertedResidualStack> {
        let (height, width, channels) = self.shape;
        let mut weights = self
            .weights
            .iter()
            .map(|(kernel, bias)| ConvWeights { kernel, bias });
        let mut next = || weights.next().unwrap();
        let builder = InvertedResidualStack::builder(height, width, channels)?;
        let mut builder = builder.isa(isa)?.stem(next(), self.window(2))?;
        for &(expanded, stride, _) in &self.blocks {
            let window = self.window(stride);
            builder = if expanded == 0 {
                builder.separable(next(), window, next())?
            } else {
                builder.inverted_residual(next(), next(), window, next())?
            };
        }
        let builder = builder.head(next())?;
        if average {
            builder.global_average_pool().build()
        } else {
            builder.build()
        }
    }

    fn expected(&self, input: &[f32], batch: usize) -> Result<(Vec<f64>, Vec<f64>)> {
        let mut weights = self.weights.iter();
        let mut conv = |values: &[f64], shape: Shape, size, window: Window, groups, relu| {
            let (kernel, bias) = weights.next().unwrap();
            let conv = Conv2d {
                out_channels: bias.len(),
                kernel: (size, size),
                stride: (window.stride, window.stride),
                padding: Padding::begin_end(window.padding.0, window.padding.1),
                groups,
            };
            let (mut out, shape) =
                reference::conv2d(values, shape, &widen(kernel), &widen(bias), &conv)?;
            if relu {
                reference::relu6(&mut out);
            }
            Ok::<_, KernelError>((out, shape))
        };
        let unpadded = Window {
            stride: 1,
            padding: (0, 0),
        };
        let shape = shape(self.shape, batch);
        let (mut values, mut shape) = conv(&widen(input), shape, 3, self.window(2), 1, true)?;
        for &(expanded, stride, out_channels) in &self.blocks {
            let (before, before_shape) = (values.clone(), shape);
            if expanded > 0 {
                (values, shape) = conv(&values, shape, 1, unpadded, 1, true)?;
            }
            let groups = shape.channels;
            (values, shape) = conv(&values, shape, 3, self.window(stride), groups, true)?;
            (values, shape) = conv(&values, shape, 1, unpadded, 1, false)?;
            if expanded > 0 && stride == 1 && before_shape.channels == out_channels {
                reference::add_assign(&mut values, &before)?;
            }
        }
        let (values, shape) = conv(&values, shape, 1, unpadded, 1, true)?;
        let mean = reference::global_average_pool(&values, shape)?;
        Ok((values, mean))
    }

    fn input(&self, random: &mut Random, batch: usize) -> Vec<f32> {
        let (height, width, channels) = self.shape;
        random.values(batch * height * width * channels, 1.0)
    }
}

fn run(
    stack: &InvertedResidualStack,
    input: &[f32],
    n: usize,
    pool: &ComputePool,
) -> Result<Vec<f32>> {
    let mut out = vec![f32::NAN; n * stack.output_len()];
    stack.run(input, n, &mut out, pool, &CancelToken::new())?;
    Ok(out)
}

fn available() -> impl Iterator<Item = Isa> {
    Isa::ALL.into_iter().filter(|isa| isa.is_available())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    // Odd sizes, channels off the block size, both paddings, rows split over threads.
    #[test]
    fn any_shape_agrees_with_the_oracle(
        height in 6usize..40,
        width in 6usize..40,
        stem in 1usize..40,
        first in 1usize..30,
        (expanded, stride, second) in (1usize..70, 1usize..3, 1usize..40),
        (wide, same) in (1usize..40, any::<bool>()),
        head in 1usize..50,
        keras in any::<bool>(),
        batch in 1usize..5,
        seed in any::<u64>(),
    ) {
        let random = &mut Random::new(seed);
        let third = if same { second } else { second + 3 };
        let blocks = [(0, 1, first), (expanded, stride, second), (wide, 1, third)];
        let padding = if keras { (0, 1) } else { (1, 1) };
        let network = Network::new(random, (height, width, 3), stem, &blocks, head, padding);
        let input = network.input(random, batch);
        let (map, mean) = network.expected(&input, batch).unwrap();
        let pool = ComputePool::new(3).unwrap();
        let mut fused: Option<Vec<f32>> = None;
        for isa in available() {
            let actual = run(&network.build(isa, false).unwrap(), &input, batch, &pool).unwrap();
            let error = scaled_error(&actual, &map);
            prop_assert!(error < 5e-6, "{isa:?}: relative error {error:e}");
            let averages = run(&network.build(isa, true).unwrap(), &input, batch, &pool).unwrap();
            let error = scaled_error(&averages, &mean);
            prop_assert!(error < 5e-6, "{isa:?}: relative error of the mean {error:e}");
            if isa != Isa::Portable {
                let same = fused.get_or_insert_with(|| actual.clone()) == &actual;
                prop_assert!(same, "{isa:?} gives other bits");
            }
        }
    }
}

/// The shape of MobileNetV2 with a quarter of the channels.
fn small_mobilenet(random: &mut Random, size: usize) -> Network {
    let mut blocks = vec![(0, 1, 8)];
    let mut channels = 8;
    for (out, count, stride) in [
        (8, 2, 2),
        (8, 3, 2),
        (16, 4, 2),
        (24, 3, 1),
        (40, 3, 2),
        (80, 1, 1),
    ] {
        for i in 0..count {
            blocks.push((6 * channels, if i == 0 { stride } else { 1 }, out));
            channels = out;
        }
    }
    Network::new(random, (size, size, 3), 8, &blocks, 320, (0, 1))
}

#[test]
fn a_deep_network_stays_within_its_error_bound() -> Result<()> {
    let random = &mut Random::new(11);
    let network = small_mobilenet(random, 96);
    let input = network.input(random, 2);
    let (_, mean) = network.expected(&input, 2)?;
    for isa in available() {
        let stack = network.build(isa, true)?;
        let actual = run(&stack, &input, 2, &ComputePool::new(2)?)?;
        let error = relative_error(&actual, &mean)?;
        assert!(error < 5e-6, "{isa:?}: relative error {error:e}");
    }
    Ok(())
}

// One image per thread, and one image over all threads, whose strips begin elsewhere.
#[test]
fn bits_do_not_depend_on_batch_threads_or_neighbours() -> Result<()> {
    let random = &mut Random::new(13);
    let network = small_mobilenet(random, 160);
    let n = 11;
    let input = network.input(random, n);
    let stack = network.build(Isa::detect()?, false)?;
    let expected = run(&stack, &input, n, &ComputePool::new(2)?)?;
    for (threads, batch) in [(1, 1), (1, 4), (2, 1), (2, 3), (3, 1), (4, 5), (8, n)] {
        let pool = ComputePool::new(threads)?;
        let mut actual = Vec::new();
        for input in input.chunks(batch * stack.input_len()) {
            let n = input.len() / stack.input_len();
            actual.extend(run(&stack, input, n, &pool)?);
        }
        assert!(actual == expected, "{threads} threads, {batch} images");
    }
    Ok(())
}

// The fingerprint is that of AVX-512; AVX2 here and NEON on ARM must give the same.
#[test]
fn bits_are_the_same_on_every_machine() -> Result<()> {
    let random = &mut Random::new(21);
    let network = small_mobilenet(random, 80);
    let input = network.input(random, 2);
    for isa in available().filter(|&isa| isa != Isa::Portable) {
        let actual = run(
            &network.build(isa, false)?,
            &input,
            2,
            &ComputePool::new(2)?,
        )?;
        assert_eq!(fingerprint(&actual), 0x358d_ca63_a307_c8f1, "{isa:?}");
    }
    Ok(())
}

#[test]
fn a_cancelled_call_does_not_start() -> Result<()> {
    let random = &mut Random::new(17);
    let network = small_mobilenet(random, 64);
    let stack = network.build(Isa::detect()?, true)?;
    let input = network.input(random, 1);
    let mut out = vec![0.0; stack.output_len()];
    let cancel = CancelToken::new();
    cancel.cancel();
    let result = stack.run(&input, 1, &mut out, &ComputePool::new(1)?, &cancel);
    assert_eq!(result, Err(KernelError::Cancelled));
    Ok(())
}

#[test]
fn misfits_are_errors() -> Result<()> {
    let values = [0.0; 300];
    let weights = |kernel, bias| ConvWeights {
        kernel: &values[..kernel],
        bias: &values[..bias],
    };
    let window = |stride| Window {
        stride,
        padding: (1, 1),
    };
    let builder = || InvertedResidualStack::builder(8, 8, 3);
    let message = |result: Result<InvertedResidualBuilder>| result.unwrap_err().to_string();
    assert_eq!(
        message(builder()?.stem(weights(100, 4), window(2))),
        "kernel must hold 108 elements, found 100"
    );
    assert_eq!(
        message(builder()?.stem(weights(108, 4), window(3))),
        "block 0: stride must be 1 or 2 and padding 0 or 1, found 3 and 1, 1"
    );
    assert_eq!(
        message(builder()?.separable(weights(36, 4), window(1), weights(16, 4))),
        "block 0: a separable block must follow the stem directly"
    );
    let stem = || builder()?.stem(weights(108, 4), window(2));
    assert_eq!(
        message(stem()?.separable(weights(45, 5), window(1), weights(16, 4))),
        "block 0: the depthwise convolution has 5 channels, its input 4"
    );
    assert!(stem()?.build().is_err());
    assert!(stem()?.head(weights(16, 4)).is_err());
    Ok(())
}
