//! Speed of whole networks and of their layers, with random weights.
//!
//! `cargo bench -p featurize-kernels --bench networks -- [vgg16|mobilenet_v2] [--threads N]
//! [--images N] [--rounds N] [--cpu] [--check]`. Per layer, prints the least time over all rounds and the rate
//! in GFLOP/s of the definition (which is why Winograd layers can exceed the machine's peak); then
//! images per second as median and best of the rounds. With `--cpu`, times are processor time
//! summed over all threads: the right measure on a machine that is busy otherwise.
//! `--check` compares one image with the oracle in f64 (some seconds) instead of measuring.
//! `FEATURIZE_KERNELS_ISA` selects the instruction set.

use std::error::Error;
use std::time::{Duration, Instant};

use cpu_time::ProcessTime;
use featurize_kernels::reference::{self, Conv2d, Padding, Shape, relative_error, widen};
use featurize_kernels::{
    CancelToken, ComputePool, ConvStack, ConvWeights, InvertedResidualStack, LayerReport, Window,
};

/// Output channels of VGG16's convolutions; 0 is a max pool.
const VGG16: [usize; 18] = [
    64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0,
];

/// MobileNetV2's blocks after the first: output channels, repetitions, stride of the first one.
const MOBILENET_V2: [(usize, usize, usize); 6] = [
    (24, 2, 2),
    (32, 3, 2),
    (64, 4, 2),
    (96, 3, 1),
    (160, 3, 2),
    (320, 1, 1),
];

struct Arguments {
    threads: usize,
    images: usize,
    rounds: usize,
    cpu: bool,
    check: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = Arguments {
        threads: ComputePool::global()?.threads(),
        images: 8,
        rounds: 10,
        cpu: false,
        check: false,
    };
    let mut network = "vgg16".to_owned();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let target = match word.as_str() {
            "--threads" => &mut arguments.threads,
            "--images" => &mut arguments.images,
            "--rounds" => &mut arguments.rounds,
            "--check" => {
                arguments.check = true;
                continue;
            }
            "--cpu" => {
                arguments.cpu = true;
                continue;
            }
            "vgg16" | "mobilenet_v2" => {
                network = word;
                continue;
            }
            // Cargo passes this one itself.
            "--bench" => continue,
            other => return Err(format!("unknown argument {other}").into()),
        };
        *target = words.next().ok_or("a number is missing")?.parse()?;
    }
    match network.as_str() {
        "vgg16" => vgg16(&arguments),
        _ => mobilenet_v2(&arguments),
    }
}

fn vgg16(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let mut random = Random(1);
    let started = Instant::now();
    let mut builder = ConvStack::builder(224, 224, 3)?;
    let mut channels = 3;
    let mut oracle = Vec::new();
    for out_channels in VGG16 {
        builder = if out_channels == 0 {
            oracle.push(Step::MaxPool);
            builder.max_pool2()?
        } else {
            let scale = (2.0 / (9 * channels) as f32).sqrt();
            let kernel = random.normal(9 * channels * out_channels, scale);
            let bias = random.normal(out_channels, 1.0);
            channels = out_channels;
            builder = builder.conv3x3_relu(&kernel, &bias)?;
            oracle.push(Step::conv((kernel, bias), 3, window(1), 1, Clamp::Relu));
            builder
        };
    }
    let stack = builder.build()?;
    println!(
        "VGG16 on {}, {} threads, {} images per call: packed {:.0} MB, workspace {:.0} MB, \
         loaded in {:.2} s",
        stack.isa().name(),
        arguments.threads,
        arguments.images,
        stack.packed_bytes() as f64 / 1e6,
        stack.workspace_bytes() as f64 / 1e6,
        started.elapsed().as_secs_f64()
    );
    let network = Network {
        input_len: 224 * 224 * 3,
        output_len: stack.output_len(),
        run: &|input, n, out, pool| stack.run(input, n, out, pool, &CancelToken::new()),
        profile: &|input, n, out, pool, clock| stack.profile(input, n, out, pool, clock),
        oracle,
        // Like photographs without their mean.
        scale: 60.0,
    };
    measure(arguments, &network, &mut random)
}

fn mobilenet_v2(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let mut random = Random(1);
    let mut layer = |fan_in: usize, out: usize| {
        let scale = (2.0 / fan_in as f32).sqrt();
        (random.normal(fan_in * out, scale), random.normal(out, 0.1))
    };
    let started = Instant::now();
    let (stem, depthwise, project) = (layer(27, 32), layer(9, 32), layer(32, 16));
    let mut builder = InvertedResidualStack::builder(224, 224, 3)?
        .stem(weights(&stem), window(2))?
        .separable(weights(&depthwise), window(1), weights(&project))?;
    let point = Window {
        stride: 1,
        padding: (0, 0),
    };
    let mut oracle = vec![
        Step::conv(stem, 3, window(2), 1, Clamp::Relu6),
        Step::conv(depthwise, 3, window(1), 32, Clamp::Relu6),
        Step::conv(project, 1, point, 1, Clamp::Linear),
    ];
    let mut channels = 16;
    for (out, count, stride) in MOBILENET_V2 {
        for i in 0..count {
            let wide = 6 * channels;
            let expand = layer(channels, wide);
            let (depthwise, project) = (layer(9, wide), layer(wide, out));
            builder = builder.inverted_residual(
                weights(&expand),
                weights(&depthwise),
                window(if i == 0 { stride } else { 1 }),
                weights(&project),
            )?;
            let window = window(if i == 0 { stride } else { 1 });
            let skip = window.stride == 1 && channels == out;
            oracle.extend([
                Step::Keep,
                Step::conv(expand, 1, point, 1, Clamp::Relu6),
                Step::conv(depthwise, 3, window, wide, Clamp::Relu6),
                Step::conv(project, 1, point, 1, Clamp::Linear),
            ]);
            oracle.extend(skip.then_some(Step::Add));
            channels = out;
        }
    }
    let head = layer(channels, 1280);
    let stack = builder
        .head(weights(&head))?
        .global_average_pool()
        .build()?;
    println!(
        "MobileNetV2 on {}, {} threads, {} images per call: packed {:.1} MB, workspace {:.1} MB, \
         loaded in {:.2} s",
        stack.isa().name(),
        arguments.threads,
        arguments.images,
        stack.packed_bytes() as f64 / 1e6,
        stack.workspace_bytes() as f64 / 1e6,
        started.elapsed().as_secs_f64()
    );
    let network = Network {
        input_len: 224 * 224 * 3,
        output_len: stack.output_len(),
        run: &|input, n, out, pool| stack.run(input, n, out, pool, &CancelToken::new()),
        profile: &|input, n, out, pool, clock| stack.profile(input, n, out, pool, clock),
        oracle: {
            oracle.push(Step::conv(head, 1, point, 1, Clamp::Relu6));
            oracle.push(Step::Average);
            oracle
        },
        scale: 1.0,
    };
    measure(arguments, &network, &mut random)
}

/// Padding as Keras's for images of even size.
fn window(stride: usize) -> Window {
    Window {
        stride,
        padding: if stride == 1 { (1, 1) } else { (0, 1) },
    }
}

fn weights((kernel, bias): &(Vec<f32>, Vec<f32>)) -> ConvWeights<'_> {
    ConvWeights { kernel, bias }
}

type Clock<'a> = &'a (dyn Fn() -> Duration + Send + Sync);
type Run<'a> = &'a dyn Fn(&[f32], usize, &mut [f32], &ComputePool) -> featurize_kernels::Result<()>;
type Profile<'a> = &'a dyn Fn(
    &[f32],
    usize,
    &mut [f32],
    &ComputePool,
    Clock<'_>,
) -> featurize_kernels::Result<Vec<LayerReport>>;

struct Network<'a> {
    input_len: usize,
    output_len: usize,
    run: Run<'a>,
    profile: Profile<'a>,
    oracle: Vec<Step>,
    /// Deviation of the input.
    scale: f32,
}

/// A step of the same network for the oracle.
enum Step {
    Conv {
        weights: (Vec<f32>, Vec<f32>),
        conv: Conv2d,
        clamp: Clamp,
    },
    MaxPool,
    /// Keeps the values for a later [`Step::Add`].
    Keep,
    Add,
    Average,
}

enum Clamp {
    Linear,
    Relu,
    Relu6,
}

impl Step {
    fn conv(
        weights: (Vec<f32>, Vec<f32>),
        size: usize,
        window: Window,
        groups: usize,
        clamp: Clamp,
    ) -> Self {
        let conv = Conv2d {
            out_channels: weights.1.len(),
            kernel: (size, size),
            stride: (window.stride, window.stride),
            padding: Padding::begin_end(window.padding.0, window.padding.1),
            groups,
        };
        Self::Conv {
            weights,
            conv,
            clamp,
        }
    }
}

/// The network in double precision, straight from its definition.
fn expected(steps: &[Step], image: &[f32]) -> featurize_kernels::Result<Vec<f64>> {
    let mut values = widen(image);
    let mut kept = Vec::new();
    let mut shape = Shape {
        batch: 1,
        height: 224,
        width: 224,
        channels: 3,
    };
    for step in steps {
        match step {
            Step::Conv {
                weights: (kernel, bias),
                conv,
                clamp,
            } => {
                (values, shape) =
                    reference::conv2d(&values, shape, &widen(kernel), &widen(bias), conv)?;
                match clamp {
                    Clamp::Linear => {}
                    Clamp::Relu => reference::relu(&mut values),
                    Clamp::Relu6 => reference::relu6(&mut values),
                }
            }
            Step::MaxPool => {
                (values, shape) = reference::max_pool2d(&values, shape, (2, 2), (2, 2))?;
            }
            Step::Keep => kept.clone_from(&values),
            Step::Add => reference::add_assign(&mut values, &kept)?,
            Step::Average => values = reference::global_average_pool(&values, shape)?,
        }
    }
    Ok(values)
}

fn measure(
    arguments: &Arguments,
    network: &Network<'_>,
    random: &mut Random,
) -> Result<(), Box<dyn Error>> {
    let pool = ComputePool::new(arguments.threads)?;
    let images = arguments.images;
    let input = random.normal(images * network.input_len, network.scale);
    let mut out = vec![0.0; images * network.output_len];
    (network.run)(&input, images, &mut out, &pool)?;
    if arguments.check {
        let expected = expected(&network.oracle, &input[..network.input_len])?;
        let error = relative_error(&out[..network.output_len], &expected)?;
        println!("relative error of the first image: {error:.2e}");
        return Ok(());
    }

    let epoch = Instant::now();
    let clock = || {
        if arguments.cpu {
            ProcessTime::now().as_duration()
        } else {
            epoch.elapsed()
        }
    };
    let mut best: Vec<(String, usize, Duration)> = Vec::new();
    let mut rounds = Vec::new();
    for _ in 0..arguments.rounds {
        let layers = (network.profile)(&input, images, &mut out, &pool, &clock)?;
        for (i, layer) in layers.into_iter().enumerate() {
            match best.get_mut(i) {
                Some((_, _, time)) => *time = layer.time.min(*time),
                None => best.push((layer.name, layer.operations, layer.time)),
            }
        }
        let started = clock();
        (network.run)(&input, images, &mut out, &pool)?;
        rounds.push(clock() - started);
    }
    let mut sum = Duration::ZERO;
    for (name, operations, time) in &best {
        sum += *time;
        println!(
            "{name:38} {:8.3} ms/image {:8.1} GFLOP/s",
            time.as_secs_f64() * 1e3 / images as f64,
            *operations as f64 / time.as_secs_f64() / 1e9
        );
    }
    rounds.sort();
    let rate = |time: Duration| images as f64 / time.as_secs_f64();
    println!(
        "images/s: median {:.2}, best {:.2}, sum of the layers' best {:.2}",
        rate(rounds[rounds.len() / 2]),
        rate(rounds[0]),
        rate(sum)
    );
    println!(
        "checksum {:.6e}",
        out.iter().map(|&x| f64::from(x)).sum::<f64>()
    );
    Ok(())
}

/// xorshift64*, good enough for weights.
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40) as f32 / (1u64 << 24) as f32
    }

    /// Nearly normal values with mean 0: the sum of twelve uniform ones.
    fn normal(&mut self, n: usize, deviation: f32) -> Vec<f32> {
        let mut value = || (0..12).map(|_| self.uniform()).sum::<f32>() - 6.0;
        (0..n).map(|_| deviation * value()).collect()
    }
}
