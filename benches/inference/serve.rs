//! Being driven by another program: one request a line on standard input, one answer a line on
//! standard output, both JSON. `benches/peers/inference.py` takes turns between engines this way.
//!
//! * `{"load": "vgg16", "weights": FILE, "images": FILE, "threads": N, "output": FILE}` packs a network and
//!   writes the features of every image;
//! * `{"run": "vgg16", "batch": N, "images": N}` computes that many, N at a time, and answers
//!   `{"seconds": S}`.
//!
//! Files hold little-endian `f32`; images are in height, width, channel order.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, Write, stdin, stdout};
use std::path::Path;
use std::time::Instant;

use featurize_kernels::ComputePool;
use serde_json::{Value, json};

use crate::networks::{IMAGE_LEN, Kind, Numbers, Outcome, Stack};

struct Loaded {
    stack: Stack,
    images: Vec<f32>,
    out: Vec<f32>,
    pool: ComputePool,
}

pub(crate) fn serve() -> Outcome<()> {
    let mut networks = HashMap::new();
    for line in stdin().lock().lines() {
        let request: Value = serde_json::from_str(&line?)?;
        let answer = if let Some(network) = request["load"].as_str() {
            let loaded = load(Kind::parse(network)?, &request)?;
            let isa = loaded.stack.isa();
            networks.insert(network.to_owned(), loaded);
            json!({ "version": format!("{} ({isa})", env!("CARGO_PKG_VERSION")) })
        } else {
            let network = text(&request, "run")?;
            let loaded = networks.get_mut(network).ok_or("run before load")?;
            json!({ "seconds": run(loaded, &request)? })
        };
        let mut out = stdout().lock();
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

fn load(network: Kind, request: &Value) -> Outcome<Loaded> {
    let steps = network.steps(&mut Numbers::file(Path::new(text(request, "weights")?))?);
    let stack = network.stack(&steps)?;
    let images = match Numbers::file(Path::new(text(request, "images")?))? {
        Numbers::File(values) => values.collect(),
        Numbers::Random(_) => Vec::new(),
    };
    let count = images.len() / IMAGE_LEN;
    let mut loaded = Loaded {
        out: vec![0.0; count * stack.output_len()],
        pool: ComputePool::new(number(request, "threads")?)?,
        stack,
        images,
    };
    loaded
        .stack
        .run(&loaded.images, &mut loaded.out, &loaded.pool)?;
    let bytes: Vec<u8> = loaded.out.iter().flat_map(|x| x.to_le_bytes()).collect();
    fs::write(text(request, "output")?, bytes)?;
    Ok(loaded)
}

fn run(loaded: &mut Loaded, request: &Value) -> Outcome<f64> {
    let (batch, images) = (number(request, "batch")?, number(request, "images")?);
    let input = loaded.images.get(..batch * IMAGE_LEN).ok_or("batch")?;
    let out = &mut loaded.out[..batch * loaded.stack.output_len()];
    let begun = Instant::now();
    for _ in 0..images.div_ceil(batch) {
        loaded.stack.run(input, out, &loaded.pool)?;
    }
    Ok(begun.elapsed().as_secs_f64())
}

fn text<'a>(request: &'a Value, key: &str) -> Outcome<&'a str> {
    request[key]
        .as_str()
        .ok_or_else(|| format!("no text '{key}' in {request}").into())
}

fn number(request: &Value, key: &str) -> Outcome<usize> {
    let number = request[key].as_u64().filter(|number| *number > 0);
    let number = number.ok_or_else(|| format!("no number '{key}' in {request}"))?;
    Ok(usize::try_from(number)?)
}
