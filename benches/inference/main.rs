//! Images a second of whole networks, and of everything around them.
//!
//! ```text
//! cargo bench --bench inference -- [vgg16|mobilenet_v2|resnet50|inception_v3|decode]...
//!                                  [--threads N] [--images N] [--rounds N] [--jpeg WxH] [--cpu]
//!                                  [--json FILE] [--test] [--serve]
//! ```
//!
//! For each network, taking turns in every round:
//!
//! * **kernels**: preprocessed images in, features out; batches of 64 (MobileNetV2) or 8 (the others);
//! * **featurizer**: bitmaps of the network's size in, Arrow lists out, as `featurize` calls it with a
//!   batch of 64 rows;
//! * **SQL**: `SELECT featurize(content, …)` over a table of JPEG files that lie in the page cache;
//!   on all threads only.
//!
//! Figures are medians over the rounds; `of kernels` is the median of the ratios within a round, which a
//! noisy machine disturbs least. Goals for SQL: 95 % (VGG16) and 85 % (MobileNetV2).
//! **decode** is decoding and resizing to 224×224 on one thread; goals 600 images/s at 500×375 and
//! 3,000 at 100×100.
//!
//! * `--threads N`: only so many threads; 1 and all cores if absent.
//! * `--images N`: images in each turn; 512 of MobileNetV2 and 48 of the others if absent, and an
//!   eighth of it on one thread.
//! * `--rounds N`: 5 if absent.
//! * `--jpeg WxH`: size of the JPEG files of the SQL path, 100x100 if absent.
//! * `--cpu`: images per second of processor time, summed over all threads, instead of elapsed time:
//!   the right measure of overhead on a machine that is busy otherwise.
//! * `--json FILE`: writes the figures there too.
//! * `--test`: one round of few images, as `cargo bench -- --test` does everywhere.
//! * `--serve`: takes requests from standard input instead; see `serve.rs`.
//!
//! Weights are random (kernels) and seeded (the others): no arithmetic depends on them.
//! `FEATURIZE_KERNELS_ISA` (`avx512`, `avx2`, `neon`, `portable`) selects the instruction set.

mod images;
#[path = "../networks/mod.rs"]
mod networks;
mod serve;

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use cpu_time::ProcessTime;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_featurize::enable_featurize;
use datafusion_featurize::image::decode::{Limits, decode};
use datafusion_featurize::image::features::{Featurizer, OnUndecodable};
use datafusion_featurize::image::model::{DeviceKind, Model};
use datafusion_featurize::image::models::Architecture;
use datafusion_featurize::image::pool::ComputePool;
use datafusion_featurize::image::resize::resize_rgb;
use datafusion_featurize::image::settings::DEFAULT_MAX_PIXELS;
use datafusion_featurize::image::weights::WeightsSpec;
use featurize_kernels::ComputePool as Threads;
use futures::StreamExt;
use networks::{Kind, Numbers, Outcome, median, processor};
use serde_json::{Value, json};
use tempfile::TempDir;

const LIMITS: Limits = Limits {
    max_pixels: DEFAULT_MAX_PIXELS,
};
/// Rows of a batch: the default of `featurize.scan_batch_rows`.
const BATCH_ROWS: usize = 64;

struct Arguments {
    networks: Vec<Kind>,
    decode: bool,
    threads: Option<usize>,
    images: Option<usize>,
    rounds: usize,
    jpeg: (usize, usize),
    cpu: bool,
    json: Option<PathBuf>,
}

impl Arguments {
    /// `None`: serve.
    fn parse() -> Outcome<Option<Self>> {
        let mut arguments = Self {
            networks: Vec::new(),
            decode: false,
            threads: None,
            images: None,
            rounds: 5,
            jpeg: (100, 100),
            cpu: false,
            json: None,
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--threads" => arguments.threads = Some(value()?.parse()?),
                "--images" => arguments.images = Some(value()?.parse()?),
                "--rounds" => arguments.rounds = value()?.parse()?,
                "--json" => arguments.json = Some(value()?.into()),
                "--jpeg" => {
                    let size = value()?;
                    let (width, height) = size.split_once('x').ok_or("--jpeg needs WxH")?;
                    arguments.jpeg = (width.parse()?, height.parse()?);
                }
                "--cpu" => arguments.cpu = true,
                "--test" => (arguments.images, arguments.rounds) = (Some(8), 1),
                "--serve" => return Ok(None),
                "decode" => arguments.decode = true,
                // Cargo passes this one itself.
                "--bench" => {}
                name => arguments.networks.push(Kind::parse(name)?),
            }
        }
        if arguments.networks.is_empty() && !arguments.decode {
            (arguments.networks, arguments.decode) = (Kind::ALL.to_vec(), true);
        }
        if arguments.rounds == 0 || arguments.images == Some(0) {
            return Err("--images and --rounds must be at least 1".into());
        }
        Ok(Some(arguments))
    }
}

impl Arguments {
    /// Time since some moment, on the clock asked for.
    fn now(&self) -> Duration {
        static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);
        if self.cpu {
            ProcessTime::now().as_duration()
        } else {
            EPOCH.elapsed()
        }
    }
}

fn main() -> Outcome<()> {
    let Some(arguments) = Arguments::parse()? else {
        return serve::serve();
    };
    let cores = Threads::global()?.threads();
    println!("{}, {cores} cores", processor());
    let mut report = Vec::new();
    if arguments.decode {
        for (width, height) in [(500, 375), (100, 100)] {
            report.push(decoding(&arguments, width, height)?);
        }
    }
    for network in &arguments.networks {
        let mut threads = match arguments.threads {
            Some(threads) => vec![threads],
            None => vec![1, cores],
        };
        threads.dedup();
        for threads in threads {
            report.extend(measure(&arguments, *network, threads, cores)?);
        }
    }
    if let Some(path) = &arguments.json {
        let report = json!({ "processor": processor(), "cores": cores, "figures": report });
        fs::write(path, serde_json::to_string_pretty(&report)?)?;
    }
    Ok(())
}

/// Decodes and resizes JPEGs for about half a second in each round, on this thread.
fn decoding(arguments: &Arguments, width: usize, height: usize) -> Outcome<Value> {
    let files = (0..16).map(|seed| images::jpeg(width, height, seed));
    let files = files.collect::<Outcome<Vec<_>>>()?;
    let bytes = files.iter().map(Vec::len).sum::<usize>() / files.len();
    let passes = (250_000 * 16 / (width * height * files.len())).clamp(1, 200);
    let mut rates = Vec::new();
    for _ in 0..arguments.rounds {
        let begun = arguments.now();
        for file in files.iter().cycle().take(passes * files.len()) {
            let image = decode(file, LIMITS)?;
            let size = (image.width, image.height);
            std::hint::black_box(resize_rgb(image.data, size, (224, 224)));
        }
        rates.push((passes * files.len()) as f64 / (arguments.now() - begun).as_secs_f64());
    }
    let rate = median(rates);
    println!(
        "decode + resize of a {width}×{height} JPEG ({:.1} KB): {rate:.0} images/s on one thread",
        bytes as f64 / 1e3
    );
    Ok(
        json!({ "what": "decode", "width": width, "height": height, "bytes": bytes, "images_per_s": rate }),
    )
}

/// One way from images to features.
struct Way {
    name: &'static str,
    /// Computes all images once.
    run: Box<dyn FnMut() -> Outcome<()>>,
    rates: Vec<f64>,
}

fn measure(
    arguments: &Arguments,
    network: Kind,
    threads: usize,
    cores: usize,
) -> Outcome<Vec<Value>> {
    let images = arguments.images.unwrap_or_else(|| network.images().1);
    let images = if threads == 1 && cores > 1 {
        images.div_ceil(8)
    } else {
        images
    };
    let (packed, workspace, kernels) = kernels(network, threads, images)?;
    println!(
        "\n{}, {threads} threads, {images} images a turn: packed weights {:.1} MB, workspace {:.1} MB",
        network.name(),
        packed as f64 / 1e6,
        workspace as f64 / 1e6,
    );
    let mut ways = vec![
        Way::new("kernels", kernels),
        Way::new("featurizer", featurizer(network, threads, images)?),
    ];
    if threads == cores {
        let run = sql(network, threads, images, arguments.jpeg)?;
        ways.push(Way::new("SQL", run));
    }
    for way in &mut ways {
        (way.run)()?;
    }
    for _ in 0..arguments.rounds {
        for way in &mut ways {
            let begun = arguments.now();
            (way.run)()?;
            let time = (arguments.now() - begun).as_secs_f64();
            way.rates.push(images as f64 / time);
        }
    }
    println!(
        "{:12} {:>9} {:>9} {:>11}",
        "", "images/s", "best", "of kernels"
    );
    let bare = ways
        .first()
        .map(|way| way.rates.clone())
        .unwrap_or_default();
    let figures = ways.into_iter().map(|way| {
        let ratios = way.rates.iter().zip(&bare).map(|(rate, bare)| rate / bare);
        let ratio = median(ratios.collect());
        let best = way.rates.iter().copied().fold(0.0, f64::max);
        let rate = median(way.rates);
        println!(
            "{:12} {rate:9.2} {best:9.2} {:10.1} %",
            way.name,
            100.0 * ratio
        );
        json!({
            "what": way.name, "network": network.name(), "threads": threads, "images": images,
            "images_per_s": rate, "best": best, "of_kernels": ratio, "packed_bytes": packed,
        })
    });
    Ok(figures.collect())
}

impl Way {
    fn new(name: &'static str, run: Box<dyn FnMut() -> Outcome<()>>) -> Self {
        Self {
            name,
            run,
            rates: Vec::new(),
        }
    }
}

/// Bytes of packed weights and of the workspace, and the way through the kernels.
#[expect(clippy::type_complexity, reason = "used once")]
fn kernels(
    network: Kind,
    threads: usize,
    images: usize,
) -> Outcome<(usize, usize, Box<dyn FnMut() -> Outcome<()>>)> {
    let (batch, image_len) = (network.images().0.min(images), network.image_len());
    let mut numbers = Numbers::Random(1);
    let stack = network.stack(network.graph(&mut numbers)?)?;
    let (packed, workspace) = stack.bytes();
    let pool = Threads::new(threads)?;
    let input = numbers.take(batch * image_len, network.scale());
    let mut out = vec![0.0; batch * stack.output_len()];
    let run = move || {
        let mut left = images;
        while left > 0 {
            let now = left.min(batch);
            let out = &mut out[..now * stack.output_len()];
            stack.run(&input[..now * image_len], out, &pool)?;
            left -= now;
        }
        Ok(())
    };
    Ok((packed, workspace, Box::new(run)))
}

fn featurizer(
    network: Kind,
    threads: usize,
    images: usize,
) -> Outcome<Box<dyn FnMut() -> Outcome<()>>> {
    let architecture = Architecture::parse(network.name())?;
    let model = Model::shared(architecture, &WeightsSpec::Seeded, DeviceKind::Cpu)?;
    let pool = ComputePool::shared(threads)?;
    let featurizer = Featurizer::new(model, architecture.default_pooling(), LIMITS, pool);
    let bitmap = |seed| images::bitmap(network.side(), seed);
    let bitmaps: Vec<Vec<u8>> = (0..BATCH_ROWS as u32).map(bitmap).collect();
    Ok(Box::new(move || {
        let mut left = images;
        while left > 0 {
            let batch: Vec<_> = bitmaps
                .iter()
                .take(left)
                .map(|b| Some(b.as_slice()))
                .collect();
            left -= batch.len();
            featurizer.featurize(&batch, OnUndecodable::Fail)?;
        }
        Ok(())
    }))
}

fn sql(
    network: Kind,
    threads: usize,
    images: usize,
    (width, height): (usize, usize),
) -> Outcome<Box<dyn FnMut() -> Outcome<()>>> {
    let folder = TempDir::new()?;
    for seed in 0..images as u32 {
        let path = folder.path().join(format!("{seed:06}.jpg"));
        fs::write(path, images::jpeg(width, height, seed)?)?;
    }
    let runtime = tokio::runtime::Runtime::new()?;
    let config = SessionConfig::new().with_target_partitions(threads);
    let ctx = SessionContext::new_with_config(config);
    enable_featurize(&ctx)?;
    let location = folder.path().display();
    let setup = [
        format!("SET featurize.threads = {threads}"),
        format!("CREATE EXTERNAL TABLE images STORED AS BINARYFILE LOCATION '{location}'"),
    ];
    for statement in setup {
        runtime.block_on(async { ctx.sql(&statement).await?.collect().await })?;
    }
    let query = format!(
        "SELECT featurize(content, '{}', 'seeded') AS features FROM images",
        network.name()
    );
    let ctx = Arc::new(ctx);
    Ok(Box::new(move || {
        let _until_then = &folder;
        let rows = runtime.block_on(async {
            let mut stream = ctx.sql(&query).await?.execute_stream().await?;
            let mut rows = 0;
            while let Some(batch) = stream.next().await {
                rows += batch?.num_rows();
            }
            Ok::<_, datafusion::error::DataFusionError>(rows)
        })?;
        if rows == images {
            Ok(())
        } else {
            Err(format!("{rows} rows of {images} images").into())
        }
    }))
}
