//! Images a second of each stage, over a folder of images:
//!
//! ```text
//! cargo run --release -p datafusion-functions-image --example throughput -- FOLDER [MODEL]
//! ```

use std::error::Error;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Instant;

use datafusion_functions_image::decode::{Limits, decode};
use datafusion_functions_image::features::{Featurizer, OnUndecodable};
use datafusion_functions_image::model::{DeviceKind, Model};
use datafusion_functions_image::models::ModelSpec;
use datafusion_functions_image::pool::ComputePool;
use datafusion_functions_image::resize::resize_rgb;
use datafusion_functions_image::settings::DEFAULT_MAX_PIXELS;
use datafusion_functions_image::weights::{WeightsAccess, WeightsSpec};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let folder = args.next().ok_or("give a folder of images")?;
    measure(&folder, args.next().as_deref().unwrap_or("vgg16"))
}

fn measure(folder: &str, model: &str) -> Result<(), Box<dyn Error>> {
    let spec = ModelSpec::parse(model)?;
    let side = spec.image_side().unwrap_or(224);
    let mut images = Vec::new();
    collect(Path::new(folder), &mut images)?;
    let limits = Limits {
        max_pixels: DEFAULT_MAX_PIXELS,
    };
    println!("{} images", images.len());

    let decoded = timed("decode, one thread", images.len(), || {
        images
            .iter()
            .map(|bytes| decode(bytes, limits))
            .collect::<Result<Vec<_>, _>>()
    })?;
    timed("resize, one thread", images.len(), || {
        for image in decoded {
            let size = (image.width, image.height);
            black_box(resize_rgb(image.data, size, (side, side)));
        }
    });
    let load = Instant::now();
    let (seeded, access) = (WeightsSpec::Seeded, WeightsAccess::default());
    let places = (None, &access);
    let model = Model::shared_spec(&spec, None, Some(&seeded), places, DeviceKind::Cpu)?;
    println!("load {spec}: {:.2} s", load.elapsed().as_secs_f64());
    let pool = ComputePool::shared(0)?;
    let label = format!("featurize, {} threads", pool.threads());
    let pooling = model.default_pooling();
    let featurizer = Featurizer::new(model, pooling, limits, pool);
    timed(&label, images.len(), || {
        for batch in images.chunks(64) {
            let batch: Vec<_> = batch.iter().map(|bytes| Some(bytes.as_slice())).collect();
            black_box(featurizer.featurize(&batch, OnUndecodable::Fail)?);
        }
        Ok::<_, Box<dyn Error>>(())
    })?;
    Ok(())
}

fn timed<T>(label: &str, images: usize, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let out = work();
    let seconds = start.elapsed().as_secs_f64();
    println!("{label}: {:.1} images/s", images as f64 / seconds);
    out
}

fn collect(folder: &Path, images: &mut Vec<Vec<u8>>) -> std::io::Result<()> {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(&path, images)?;
        } else {
            images.push(std::fs::read(&path)?);
        }
    }
    Ok(())
}

#[test]
fn it_runs() -> Result<(), Box<dyn Error>> {
    measure("../../examples/fruits/Lemon", "mobilenet_v2")
}
