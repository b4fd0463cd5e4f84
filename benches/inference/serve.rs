//! Being driven by another program: one request a line on standard input, one answer a line on
//! standard output, both JSON. `benches/peers/inference.py` takes turns between engines this way.
//!
//! * `{"describe": "vgg16"}` answers `{"side": N, "scale": N, "layers": […]}`, each layer with the places of
//!   those that it reads; place 0 are the images;
//! * `{"load": "vgg16", "weights": FILE, "images": FILE, "threads": N, "output": FILE}` packs a network and
//!   writes the features of every image;
//! * `{"run": "vgg16", "batch": N, "images": N}` computes that many, N at a time, and answers
//!   `{"seconds": S, "cpu": S}`, elapsed and of processor time.
//!
//! Files hold little-endian `f32`; images are in height, width, channel order.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, Write, stdin, stdout};
use std::path::Path;
use std::time::Instant;

use cpu_time::ProcessTime;
use featurize_kernels::{ComputePool, Layer, Node, Pooling, Window};
use serde_json::{Value, json};

use crate::networks::{Kind, Numbers, Outcome, Stack};

struct Loaded {
    image_len: usize,
    stack: Stack,
    images: Vec<f32>,
    out: Vec<f32>,
    pool: ComputePool,
}

pub(crate) fn serve() -> Outcome<()> {
    let mut networks = HashMap::new();
    for line in stdin().lock().lines() {
        let request: Value = serde_json::from_str(&line?)?;
        let answer = if let Some(network) = request["describe"].as_str() {
            describe(Kind::parse(network)?)?
        } else if let Some(network) = request["load"].as_str() {
            let loaded = load(Kind::parse(network)?, &request)?;
            let isa = loaded.stack.isa();
            networks.insert(network.to_owned(), loaded);
            json!({ "version": format!("{} ({isa})", env!("CARGO_PKG_VERSION")) })
        } else {
            let network = text(&request, "run")?;
            let loaded = networks.get_mut(network).ok_or("run before load")?;
            run(loaded, &request)?
        };
        let mut out = stdout().lock();
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

fn describe(network: Kind) -> Outcome<Value> {
    let graph = network.graph(&mut Numbers::Random(1))?;
    let place = |node: &Node| graph.index(*node);
    let window = |kind: &str, input: &Node, window: &Window| {
        let [rows, columns] = window.zeros((network.side(), network.side()));
        json!({ "kind": kind, "inputs": [place(input)], "size": window.size, "stride": window.stride,
                "padding": [rows.0, columns.0] })
    };
    let layers = graph.layers().filter_map(|layer| {
        Some(match layer {
            Layer::Input => return None,
            Layer::Conv(conv) => {
                let mut layer = window("conv", &conv.input, &conv.window);
                layer["groups"] = conv.groups.into();
                layer["channels"] = json!([graph.channels(conv.input), conv.bias.len()]);
                layer["activation"] = format!("{:?}", conv.activation).into();
                layer
            }
            Layer::MaxPool(input, size) => window("max", input, size),
            Layer::AveragePool {
                input,
                window: size,
                ..
            } => window("mean", input, size),
            Layer::Add(inputs, activation) => {
                let activation = format!("{activation:?}");
                json!({ "kind": "add", "inputs": inputs.each_ref().map(place), "activation": activation })
            }
            Layer::Concat(parts) => {
                let inputs: Vec<usize> = parts.iter().map(place).collect();
                json!({ "kind": "concat", "inputs": inputs })
            }
            // The networks that are measured here have none of these.
            Layer::Patches(..)
            | Layer::Tokens { .. }
            | Layer::Norm(_)
            | Layer::Attention(_)
            | Layer::First(_) => json!({ "kind": "of transformers" }),
        })
    });
    Ok(json!({
        "side": network.side(),
        "scale": network.scale(),
        "average": network.pooling() == Pooling::Avg,
        "layers": layers.collect::<Vec<_>>(),
    }))
}

fn load(network: Kind, request: &Value) -> Outcome<Loaded> {
    let weights = Path::new(text(request, "weights")?);
    let stack = network.stack(network.graph(&mut Numbers::file(weights)?)?)?;
    let images = match Numbers::file(Path::new(text(request, "images")?))? {
        Numbers::File(values) => values.collect(),
        Numbers::Random(_) => Vec::new(),
    };
    let image_len = network.image_len();
    let count = images.len() / image_len;
    let mut loaded = Loaded {
        image_len,
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

fn run(loaded: &mut Loaded, request: &Value) -> Outcome<Value> {
    let (batch, images) = (number(request, "batch")?, number(request, "images")?);
    let input = loaded
        .images
        .get(..batch * loaded.image_len)
        .ok_or("batch")?;
    let out = &mut loaded.out[..batch * loaded.stack.output_len()];
    let (begun, cpu) = (Instant::now(), ProcessTime::now());
    for _ in 0..images.div_ceil(batch) {
        loaded.stack.run(input, out, &loaded.pool)?;
    }
    Ok(json!({ "seconds": begun.elapsed().as_secs_f64(), "cpu": cpu.elapsed().as_secs_f64() }))
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
