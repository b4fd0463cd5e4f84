//! Stacks against the oracle, and against themselves under other conditions.

use std::time::Instant;

use proptest::prelude::*;

use super::*;
use crate::error::KernelError;
use crate::reference::{self, Conv2d, Padding, Shape, relative_error, widen};
use crate::testing::{Random, fingerprint, root_mean_square_error};
use crate::winograd::TileSize;

/// Layers as output channels; 0 is a max pool.
struct Network {
    shape: (usize, usize, usize),
    layers: Vec<usize>,
    /// Kernel and bias of each convolution.
    weights: Vec<(Vec<f32>, Vec<f32>)>,
}

impl Network {
    fn new(random: &mut Random, shape: (usize, usize, usize), layers: &[usize]) -> Self {
        let mut channels = shape.2;
        let mut weights = Vec::new();
        for &out in layers.iter().filter(|&&out| out > 0) {
            let scale = (2.0 / (9 * channels) as f32).sqrt();
            weights.push((
                random.values(9 * channels * out, 1.7 * scale),
                random.values(out, 0.5),
            ));
            channels = out;
        }
        Self {
            shape,
            layers: layers.to_vec(),
            weights,
        }
    }

    fn build(&self, isa: Isa, size: Option<TileSize>) -> Result<ConvStack> {
        let (height, width, channels) = self.shape;
        let mut builder = ConvStack::builder(height, width, channels)?.isa(isa)?;
        if let Some(size) = size {
            builder = builder.tile_size(size);
        }
        let mut weights = self.weights.iter();
        for &out in &self.layers {
            builder = match (out, weights.as_slice().first()) {
                (0, _) => builder.max_pool2()?,
                (_, Some((kernel, bias))) => {
                    weights.next();
                    builder.conv3x3_relu(kernel, bias)?
                }
                _ => unreachable!("one pair of weights per convolution"),
            };
        }
        builder.build()
    }

    /// The network in f64, and how large the sums of its last convolution are.
    ///
    /// Rounding errors grow with the terms of a sum, not with the sum: where ReLU or chance leaves
    /// next to nothing of a layer, its values are no measure. The magnitude is the root mean square
    /// over all outputs of `sqrt(Σ w²x²)`, the size of a sum of terms of random sign (Higham,
    /// Accuracy and Stability of Numerical Algorithms, 2.8).
    fn expected(&self, input: &[f32], batch: usize) -> Result<(Vec<f64>, f64)> {
        let mut magnitude = 0.0;
        let (height, width, channels) = self.shape;
        let mut values = widen(input);
        let mut shape = Shape {
            batch,
            height,
            width,
            channels,
        };
        let mut weights = self.weights.iter();
        for &out_channels in &self.layers {
            (values, shape) = if out_channels == 0 {
                reference::max_pool2d(&values, shape, (2, 2), (2, 2))?
            } else {
                let (kernel, bias) = weights.next().unwrap();
                let conv = Conv2d {
                    out_channels,
                    kernel: (3, 3),
                    stride: (1, 1),
                    padding: Padding::symmetric(1),
                    groups: 1,
                };
                let square =
                    |values: &[f64]| -> Vec<f64> { values.iter().map(|x| x * x).collect() };
                let no_bias = vec![0.0; out_channels];
                let (squares, _) = reference::conv2d(
                    &square(&values),
                    shape,
                    &square(&widen(kernel)),
                    &no_bias,
                    &conv,
                )?;
                magnitude = (squares.iter().sum::<f64>() / squares.len() as f64).sqrt();
                let (mut out, shape) =
                    reference::conv2d(&values, shape, &widen(kernel), &widen(bias), &conv)?;
                reference::relu(&mut out);
                (out, shape)
            };
        }
        Ok((values, magnitude))
    }

    fn input(&self, random: &mut Random, batch: usize) -> Vec<f32> {
        let (height, width, channels) = self.shape;
        random.values(batch * height * width * channels, 2.0)
    }
}

fn run(stack: &ConvStack, input: &[f32], n: usize, pool: &ComputePool) -> Result<Vec<f32>> {
    let mut out = vec![f32::NAN; n * stack.output_len()];
    stack.run(input, n, &mut out, pool, &CancelToken::new())?;
    Ok(out)
}

fn available() -> impl Iterator<Item = Isa> {
    Isa::ALL.into_iter().filter(|isa| isa.is_available())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    // Odd sizes, channel counts off the block size, pools that drop a row: every kernel edge.
    #[test]
    fn any_shape_agrees_with_the_oracle(
        height in 2usize..22,
        width in 2usize..22,
        channels in 1usize..8,
        first in 1usize..40,
        second in 1usize..70,
        third in 1usize..40,
        pool in any::<bool>(),
        size in prop_oneof![Just(TileSize::Four), Just(TileSize::Six)],
        batch in 1usize..4,
        seed in any::<u64>(),
    ) {
        let random = &mut Random::new(seed);
        let layers = if pool {
            vec![first, second, 0, third]
        } else {
            vec![first, second, third]
        };
        let network = Network::new(random, (height, width, channels), &layers);
        let input = network.input(random, batch);
        let (expected, magnitude) = network.expected(&input, batch).unwrap();
        let pool = ComputePool::new(3).unwrap();
        let mut fused: Option<Vec<f32>> = None;
        for isa in available() {
            let stack = network.build(isa, Some(size)).unwrap();
            let actual = run(&stack, &input, batch, &pool).unwrap();
            let error = root_mean_square_error(&actual, &expected) / magnitude;
            prop_assert!(error < 1e-5, "{isa:?}: scaled error {error:e}");
            if isa != Isa::Portable {
                let same = fused.get_or_insert_with(|| actual.clone()) == &actual;
                prop_assert!(same, "{isa:?} gives other bits");
            }
        }
    }
}

/// VGG16 with an eighth of the channels, on small images.
const SMALL_VGG: [usize; 18] = [
    8, 8, 0, 16, 16, 0, 32, 32, 32, 0, 64, 64, 64, 0, 64, 64, 64, 0,
];

#[test]
fn a_deep_network_stays_within_its_error_bound() -> Result<()> {
    let random = &mut Random::new(7);
    let network = Network::new(random, (96, 96, 3), &SMALL_VGG);
    // Like photographs without their mean: a large part common to all pixels.
    let mut input = network.input(random, 2);
    input.iter_mut().for_each(|x| *x = 30.0 * *x + 40.0);
    let (expected, _) = network.expected(&input, 2)?;
    let pool = ComputePool::new(2)?;
    for isa in available() {
        for size in [None, Some(TileSize::Four), Some(TileSize::Six)] {
            let actual = run(&network.build(isa, size)?, &input, 2, &pool)?;
            let error = relative_error(&actual, &expected)?;
            assert!(error < 1e-5, "{isa:?} {size:?}: relative error {error:e}");
        }
    }
    Ok(())
}

// Channels are chosen so that the last layers have more weights than pixels and are batched.
#[test]
fn bits_do_not_depend_on_batch_threads_or_neighbours() -> Result<()> {
    let random = &mut Random::new(3);
    let network = Network::new(random, (40, 36, 3), &[24, 24, 0, 96, 96, 0, 160, 160]);
    let n = 19;
    let input = network.input(random, n);
    let stack = network.build(Isa::detect()?, None)?;
    assert!(stack.single < stack.maps.len());
    let expected = run(&stack, &input, n, &ComputePool::new(2)?)?;
    for (threads, batch) in [(1, 1), (1, 8), (2, 1), (2, 3), (3, 7), (5, n)] {
        let pool = ComputePool::new(threads)?;
        let mut actual = Vec::new();
        for input in input.chunks(batch * stack.first.input_len()) {
            let n = input.len() / stack.first.input_len();
            actual.extend(run(&stack, input, n, &pool)?);
        }
        assert!(actual == expected, "{threads} threads, {batch} images");
    }
    Ok(())
}

#[test]
fn many_callers_share_one_pool() -> Result<()> {
    let random = &mut Random::new(5);
    let network = Network::new(random, (30, 30, 3), &[16, 32, 0, 64, 64]);
    let input = network.input(random, 9);
    let stack = network.build(Isa::detect()?, None)?;
    let pool = ComputePool::new(2)?;
    let expected = run(&stack, &input, 9, &pool)?;
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..6)
            .map(|_| scope.spawn(|| run(&stack, &input, 9, &pool)))
            .collect();
        for caller in callers {
            assert!(caller.join().unwrap().unwrap() == expected);
        }
    });
    let workspaces = stack.workspaces.lock().unwrap().len();
    assert!(
        workspaces <= 2,
        "{workspaces} workspaces for 2 admitted callers"
    );
    Ok(())
}

// The fingerprint is that of AVX-512; AVX2 here and NEON on ARM must give the same.
#[test]
fn bits_are_the_same_on_every_machine() -> Result<()> {
    let random = &mut Random::new(21);
    let network = Network::new(random, (44, 37, 3), &[20, 40, 0, 70, 70, 0, 33]);
    let input = network.input(random, 2);
    for isa in available().filter(|&isa| isa != Isa::Portable) {
        for (size, expected) in [
            (TileSize::Four, 0xad0b_63f7_84bc_7b24),
            (TileSize::Six, 0xfa80_28f7_9e2f_256e),
        ] {
            let actual = run(
                &network.build(isa, Some(size))?,
                &input,
                2,
                &ComputePool::new(2)?,
            )?;
            assert_eq!(fingerprint(&actual), expected, "{isa:?} {size:?}");
        }
    }
    Ok(())
}

#[test]
fn a_cancelled_call_returns_early() -> Result<()> {
    let random = &mut Random::new(9);
    let network = Network::new(random, (64, 64, 3), &[64, 64, 64, 64]);
    let n = 2000;
    let stack = network.build(Isa::detect()?, None)?;
    let input = vec![0.5; n * stack.first.input_len()];
    let mut out = vec![0.0; n * stack.output_len()];
    let pool = ComputePool::new(1)?;
    let cancel = CancelToken::new();
    std::thread::scope(|scope| {
        let call = scope.spawn(|| stack.run(&input, n, &mut out, &pool, &cancel));
        std::thread::sleep(Duration::from_millis(30));
        let asked = Instant::now();
        cancel.cancel();
        assert_eq!(call.join().unwrap(), Err(KernelError::Cancelled));
        assert!(asked.elapsed() < Duration::from_millis(500));
    });
    Ok(())
}

#[test]
fn misfits_are_errors() -> Result<()> {
    let builder = || ConvStack::builder(8, 8, 3);
    let message = |result: Result<ConvStackBuilder>| result.unwrap_err().to_string();
    assert_eq!(
        message(builder()?.conv3x3_relu(&[0.0; 100], &[0.0; 4])),
        "kernel must hold 108 elements, found 100"
    );
    assert_eq!(
        message(builder()?.max_pool2()),
        "layer 0: a max pool must follow the second or a later convolution directly"
    );
    assert!(ConvStack::builder(0, 8, 3).is_err());
    assert!(builder()?.build().is_err());
    let stack = builder()?.conv3x3_relu(&[0.0; 108], &[0.0; 4])?.build()?;
    let (pool, cancel) = (ComputePool::new(1)?, CancelToken::new());
    let error = stack.run(&[0.0; 192], 2, &mut [0.0; 512], &pool, &cancel);
    assert_eq!(
        error.unwrap_err().to_string(),
        "input must hold 384 elements, found 192"
    );
    stack.run(&[], 0, &mut [], &pool, &cancel)
}
