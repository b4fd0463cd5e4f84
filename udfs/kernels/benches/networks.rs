//! Speed of whole networks and of their layers, with random weights.
//!
//! `cargo bench -p featurize-kernels --bench networks -- [vgg16|mobilenet_v2] [--threads N]
//! [--images N] [--rounds N] [--cpu]`. Per layer, prints the least time over all rounds and the rate
//! in GFLOP/s of the definition (which is why Winograd layers can exceed the machine's peak); then
//! images per second as median and best of the rounds. With `--cpu`, times are processor time
//! summed over all threads: the right measure on a machine that is busy otherwise.
//! `FEATURIZE_KERNELS_ISA` selects the instruction set.

use std::error::Error;
use std::time::{Duration, Instant};

use cpu_time::ProcessTime;
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
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = Arguments {
        threads: ComputePool::global()?.threads(),
        images: 8,
        rounds: 10,
        cpu: false,
    };
    let mut network = "vgg16".to_owned();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let target = match word.as_str() {
            "--threads" => &mut arguments.threads,
            "--images" => &mut arguments.images,
            "--rounds" => &mut arguments.rounds,
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
    for out_channels in VGG16 {
        builder = if out_channels == 0 {
            builder.max_pool2()?
        } else {
            let scale = (2.0 / (9 * channels) as f32).sqrt();
            let kernel = random.normal(9 * channels * out_channels, scale);
            let bias = random.normal(out_channels, 1.0);
            channels = out_channels;
            builder.conv3x3_relu(&kernel, &bias)?
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
    };
    measure(arguments, &network, &mut random)
}

fn mobilenet_v2(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let mut random = Random(1);
    let mut layer = |fan_in: usize, out: usize| {
        let scale = (2.0 / fan_in as f32).sqrt();
        (random.normal(fan_in * out, scale), random.normal(out, 0.1))
    };
    let window = |stride| Window {
        stride,
        padding: if stride == 1 { (1, 1) } else { (0, 1) },
    };
    let started = Instant::now();
    let (stem, depthwise, project) = (layer(27, 32), layer(9, 32), layer(32, 16));
    let mut builder = InvertedResidualStack::builder(224, 224, 3)?
        .stem(weights(&stem), window(2))?
        .separable(weights(&depthwise), window(1), weights(&project))?;
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
            channels = out;
        }
    }
    let stack = builder
        .head(weights(&layer(channels, 1280)))?
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
    };
    measure(arguments, &network, &mut random)
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
}

fn measure(
    arguments: &Arguments,
    network: &Network<'_>,
    random: &mut Random,
) -> Result<(), Box<dyn Error>> {
    let pool = ComputePool::new(arguments.threads)?;
    let images = arguments.images;
    let input = random.normal(images * network.input_len, 1.0);
    let mut out = vec![0.0; images * network.output_len];
    (network.run)(&input, images, &mut out, &pool)?;

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
