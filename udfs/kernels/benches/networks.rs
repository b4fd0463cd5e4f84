//! Speed of whole networks and of their layers, with random weights.
//!
//! `cargo bench -p featurize-kernels --bench networks -- [vgg16] [--threads N] [--images N]
//! [--rounds N] [--cpu]`. With `--cpu`, one thread's processor time instead of wall-clock time: the
//! right measure on a machine that is busy otherwise. Prints, per layer, the least time over all rounds and the rate in GFLOP/s of the
//! direct definition (which is why Winograd layers can exceed the machine's peak), and images per
//! second as best and median of the rounds. `FEATURIZE_KERNELS_ISA` selects the instruction set.

use std::error::Error;
use std::time::{Duration, Instant};

use cpu_time::ThreadTime;
use featurize_kernels::{CancelToken, ComputePool, ConvStack};

/// Output channels of VGG16's convolutions; 0 is a max pool.
const VGG16: [usize; 18] = [
    64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0,
];

struct Arguments {
    threads: usize,
    images: usize,
    rounds: usize,
    /// Time the layers by the processor time of one thread, which other programs hardly disturb.
    cpu: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = Arguments {
        threads: ComputePool::global()?.threads(),
        images: 8,
        rounds: 10,
        cpu: false,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let target = match word.as_str() {
            "--threads" => &mut arguments.threads,
            "--images" => &mut arguments.images,
            "--rounds" => &mut arguments.rounds,
            "--cpu" => {
                (arguments.cpu, arguments.threads) = (true, 1);
                continue;
            }
            // Cargo passes this one itself.
            "--bench" | "vgg16" => continue,
            other => return Err(format!("unknown argument {other}").into()),
        };
        *target = words.next().ok_or("a number is missing")?.parse()?;
    }
    vgg16(&arguments)
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
    let pool = ComputePool::new(arguments.threads)?;
    let images = arguments.images;
    let input = random.normal(images * 224 * 224 * 3, 60.0);
    let mut out = vec![0.0; images * stack.output_len()];
    stack.run(&input, images, &mut out, &pool, &CancelToken::new())?;

    let mut rounds = Vec::new();
    let mut best: Vec<(String, usize, Duration)> = Vec::new();
    for _ in 0..arguments.rounds {
        let cpu = arguments.cpu;
        let clock = move || {
            if cpu {
                ThreadTime::now().as_duration()
            } else {
                started.elapsed()
            }
        };
        let layers = stack.profile(&input, images, &mut out, &pool, clock)?;
        rounds.push(layers.iter().map(|layer| layer.time).sum::<Duration>());
        for (i, layer) in layers.into_iter().enumerate() {
            match best.get_mut(i) {
                Some((_, _, time)) => *time = layer.time.min(*time),
                None => best.push((layer.name, layer.operations, layer.time)),
            }
        }
    }
    let mut sum = Duration::ZERO;
    for (name, operations, time) in &best {
        sum += *time;
        println!(
            "{name:34} {:8.3} ms/image {:8.1} GFLOP/s",
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
