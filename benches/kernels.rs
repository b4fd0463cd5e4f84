//! Speed of every layer of the networks, beside Candle's own convolution.
//!
//! ```text
//! cargo bench --bench kernels -- [vgg16|mobilenet_v2|resnet50|inception_v3]... [--threads N]
//!                                [--images N] [--rounds N] [--cpu] [--no-candle] [--json FILE]
//!                                [--check] [--test]
//! ```
//!
//! Each round computes `--images` images (default 8) layer by layer with the kernels, then each layer
//! of one image with Candle. Tables show the median of the rounds (default 5) per image, and
//! GFLOP/s of the definition, which is why Winograd layers can exceed the machine's peak. The
//! kernels' times include what they fuse (bias, activation, pooling, skip connection); a fused
//! block stands beside the sum of Candle's convolutions. Candle's exclude everything but the convolution.
//!
//! * `--threads N`: threads of the compute pool, on which Candle runs as well; all cores if absent.
//! * `--cpu`: processor time summed over all threads instead of elapsed time: the right measure on a
//!   machine that is busy otherwise.
//! * `--check`: compares one image with the oracle in f64 instead of measuring (some seconds).
//! * `--json FILE`: writes the figures there too.
//! * `--test`: one round of one image, as `cargo bench -- --test` does everywhere.
//!
//! `FEATURIZE_KERNELS_ISA` (`avx512`, `avx2`, `neon`, `portable`) selects the instruction set.

mod networks;

use std::collections::VecDeque;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use candle_core::{Device, Tensor};
use cpu_time::ProcessTime;
use featurize_kernels::{ComputePool, Conv, Graph, Layer, StepReport};
use networks::reference::relative_error;
use networks::{Kind, Numbers, Outcome, expected, median, processor};
use serde_json::json;

struct Arguments {
    networks: Vec<Kind>,
    threads: usize,
    images: usize,
    rounds: usize,
    cpu: bool,
    candle: bool,
    check: bool,
    json: Option<PathBuf>,
}

impl Arguments {
    fn parse() -> Outcome<Self> {
        let mut arguments = Self {
            networks: Vec::new(),
            threads: ComputePool::global()?.threads(),
            images: 8,
            rounds: 5,
            cpu: false,
            candle: true,
            check: false,
            json: None,
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--threads" => arguments.threads = value()?.parse()?,
                "--images" => arguments.images = value()?.parse()?,
                "--rounds" => arguments.rounds = value()?.parse()?,
                "--json" => arguments.json = Some(value()?.into()),
                "--cpu" => arguments.cpu = true,
                "--no-candle" => arguments.candle = false,
                "--check" => arguments.check = true,
                "--test" => (arguments.images, arguments.rounds) = (1, 1),
                // Cargo passes this one itself.
                "--bench" => {}
                name => arguments.networks.push(Kind::parse(name)?),
            }
        }
        if arguments.networks.is_empty() {
            arguments.networks = Kind::ALL.to_vec();
        }
        if arguments.images == 0 || arguments.rounds == 0 {
            return Err("--images and --rounds must be at least 1".into());
        }
        Ok(arguments)
    }
}

fn main() -> Outcome<()> {
    let arguments = Arguments::parse()?;
    let mut report = Vec::new();
    for network in &arguments.networks {
        report.extend(measure(&arguments, *network)?);
    }
    if let Some(path) = &arguments.json {
        let report =
            json!({ "processor": processor(), "threads": arguments.threads, "layers": report });
        fs::write(path, serde_json::to_string_pretty(&report)?)?;
    }
    Ok(())
}

fn measure(arguments: &Arguments, network: Kind) -> Outcome<Vec<serde_json::Value>> {
    let mut numbers = Numbers::Random(1);
    let graph = network.graph(&mut numbers)?;
    let loading = Instant::now();
    let stack = network.stack(graph.clone())?;
    let (packed, workspace) = stack.bytes();
    println!(
        "\n{} on {} ({}), {} threads: packed {:.1} MB in {:.2} s, workspace {:.1} MB",
        network.name(),
        processor(),
        stack.isa(),
        arguments.threads,
        packed as f64 / 1e6,
        loading.elapsed().as_secs_f64(),
        workspace as f64 / 1e6,
    );
    let pool = ComputePool::new(arguments.threads)?;
    let images = numbers.take(arguments.images * network.image_len(), network.scale());
    let mut out = vec![0.0; arguments.images * stack.output_len()];
    stack.run(&images, &mut out, &pool)?;
    if arguments.check {
        let expected = expected(network, &graph, &images[..network.image_len()]);
        let error = relative_error(&out[..stack.output_len()], &expected);
        println!("relative error of the first image against f64: {error:.2e}");
        return Ok(Vec::new());
    }

    let mut candle = if arguments.candle {
        on_candle(network, &graph)?
    } else {
        VecDeque::new()
    };
    let epoch = Instant::now();
    let clock = || {
        if arguments.cpu {
            ProcessTime::now().as_duration()
        } else {
            epoch.elapsed()
        }
    };
    let mut reports = stack.profile(&images, &mut out, &pool, clock)?;
    let fused: Vec<_> = reports
        .iter()
        .map(|report| fused(&mut candle, report.operations / arguments.images))
        .collect();
    let mut ours = vec![Vec::new(); reports.len()];
    let mut candles = vec![Vec::new(); reports.len()];
    let mut whole = Vec::new();
    for _ in 0..arguments.rounds {
        reports = stack.profile(&images, &mut out, &pool, clock)?;
        for (times, report) in ours.iter_mut().zip(&reports) {
            times.push(milliseconds(report.time) / arguments.images as f64);
        }
        let begun = clock();
        stack.run(&images, &mut out, &pool)?;
        whole.push(arguments.images as f64 / (clock() - begun).as_secs_f64());
        for (times, convolutions) in candles.iter_mut().zip(&fused) {
            if convolutions.is_empty() {
                continue;
            }
            let begun = clock();
            pool.install(|| convolutions.iter().try_for_each(Convolution::run))?;
            times.push(milliseconds(clock() - begun));
        }
    }
    Ok(print(arguments, network, &reports, (ours, candles), whole))
}

fn print(
    arguments: &Arguments,
    network: Kind,
    reports: &[StepReport],
    (ours, candles): (Vec<Vec<f64>>, Vec<Vec<f64>>),
    whole: Vec<f64>,
) -> Vec<serde_json::Value> {
    println!(
        "{:34} {:>9} {:>9} {:>10} {:>9} {:>7}",
        "layer", "ms/image", "GFLOP/s", "Candle ms", "GFLOP/s", "ratio"
    );
    let (mut sum, mut candle_sum) = (0.0, 0.0);
    let mut rows = Vec::new();
    for ((report, times), candle) in reports.iter().zip(ours).zip(candles) {
        let giga = report.operations as f64 / arguments.images as f64 / 1e9;
        let time = median(times);
        let candle = (!candle.is_empty()).then(|| median(candle));
        sum += time;
        candle_sum += candle.unwrap_or_default();
        print!("{:34} {time:9.3} {:9.1}", report.name, giga / time * 1e3);
        match candle {
            Some(candle) => println!(
                " {candle:10.3} {:9.1} {:6.1}×",
                giga / candle * 1e3,
                candle / time
            ),
            None => println!(),
        }
        rows.push(json!({
            "network": network.name(), "layer": report.name, "gflop": giga, "ms": time, "candle_ms": candle,
        }));
    }
    print!("{:34} {sum:9.3} {:9}", "sum", "");
    if candle_sum > 0.0 {
        print!(" {candle_sum:10.3} {:9} {:6.1}×", "", candle_sum / sum);
    }
    println!("\nwhole network: {:.2} images/s", median(whole));
    rows
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The convolutions that the kernels compute as one, and report as one: as many as it has operations.
fn fused(convolutions: &mut VecDeque<Convolution>, operations: usize) -> Vec<Convolution> {
    let (mut fused, mut sum) = (Vec::new(), 0);
    while sum < operations {
        let Some(next) = convolutions.pop_front() else {
            break;
        };
        sum += next.operations;
        fused.push(next);
    }
    fused
}

/// A convolution as Candle computes it. It pads both directions alike, so zeros are part of the map.
struct Convolution {
    map: Tensor,
    kernel: Tensor,
    stride: usize,
    groups: usize,
    operations: usize,
}

fn on_candle(network: Kind, graph: &Graph) -> Outcome<VecDeque<Convolution>> {
    let shapes = graph.shapes((network.side(), network.side()))?;
    let device = &Device::Cpu;
    let layers = graph.layers().zip(&shapes);
    let convolutions = layers.filter_map(|(layer, shape)| match layer {
        Layer::Conv(conv) => Some((conv, shape)),
        _ => None,
    });
    convolutions
        .map(|(conv, (out_height, out_width, outputs))| {
            let Conv { window, groups, .. } = conv;
            let (height, width, inputs) = shapes[graph.index(conv.input)];
            let (rows, columns) = window.size;
            let shape = (rows, columns, inputs / groups, *outputs);
            let kernel = Tensor::from_slice(&conv.kernel, shape, device)?;
            let [(top, bottom), (left, right)] = window.zeros((height, width));
            let map = (1, inputs, height + top + bottom, width + left + right);
            Ok(Convolution {
                map: Tensor::rand(-1f32, 1f32, map, device)?,
                kernel: kernel.permute((3, 2, 0, 1))?.contiguous()?,
                stride: window.stride,
                groups: *groups,
                operations: 2 * conv.kernel.len() * out_height * out_width,
            })
        })
        .collect()
}

impl Convolution {
    fn run(&self) -> candle_core::Result<()> {
        let out = self
            .map
            .conv2d(&self.kernel, 0, self.stride, 1, self.groups)?;
        std::hint::black_box(out);
        Ok(())
    }
}
