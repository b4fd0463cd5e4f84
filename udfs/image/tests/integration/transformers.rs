//! Vision transformers against transformers on PyTorch: the same folders, the same sixty images, from the
//! bytes of the picture on. `tests/parity/make_transformers.py` made both, and says of which version.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::safetensors::BufferedSafetensors;
use candle_core::{DType, Device};
use datafusion_functions_image::decode::Limits;
use datafusion_functions_image::error::Result;
use datafusion_functions_image::model::{DeviceKind, Model};
use datafusion_functions_image::models::{ModelSpec, Pooling};
use datafusion_functions_image::weights::{WeightsAccess, WeightsSpec};

use crate::{features, parity, with_model};

/// Largest and median relative error of a vector, in the L2 norm.
const LARGEST: f64 = 5e-5;
const MEDIAN: f64 = 1e-5;
const NETWORKS: [&str; 6] = [
    "dinov2",
    "dinov2_registers",
    "clip",
    "clip_vision",
    "siglip",
    "vit",
];

pub(crate) fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/transformers")
}

/// Loads the model at an address.
pub(crate) fn load(
    address: &str,
    side: Option<usize>,
    weights: Option<&WeightsSpec>,
    folder: Option<&Path>,
) -> Result<Arc<Model>> {
    let ModelSpec::Transformer(spec) = ModelSpec::parse(address)? else {
        unreachable!("{address} is no transformer");
    };
    let access = WeightsAccess::default();
    Model::shared_transformer(&spec, side, weights, (folder, &access), DeviceKind::Cpu)
}

fn local(name: &str, side: Option<usize>) -> Arc<Model> {
    load(data().join(name).to_str().unwrap(), side, None, None).unwrap()
}

struct Golden(BufferedSafetensors);

impl Golden {
    fn read(folder: &Path) -> Self {
        let bytes = std::fs::read(folder.join("golden.safetensors")).unwrap();
        Self(BufferedSafetensors::new(bytes).unwrap())
    }

    /// A vector for each image.
    fn vectors(&self, name: &str) -> Option<Vec<Vec<f32>>> {
        let tensor = self.0.load(name, &Device::Cpu).ok()?;
        let tensor = tensor.to_dtype(DType::F32).unwrap();
        Some(tensor.flatten_from(1).unwrap().to_vec2().unwrap())
    }
}

/// Compares vectors with those of the reference.
fn agrees(name: &str, found: &[Vec<f32>], expected: &[Vec<f32>]) {
    assert_eq!(found.len(), expected.len(), "{name}");
    let mut errors: Vec<f64> = found
        .iter()
        .zip(expected)
        .map(|(found, expected)| {
            assert_eq!(found.len(), expected.len(), "{name}");
            let square = |value: f32| f64::from(value).powi(2);
            let difference: f64 = found.iter().zip(expected).map(|(a, b)| square(a - b)).sum();
            let norm: f64 = expected.iter().copied().map(square).sum();
            (difference / norm).sqrt()
        })
        .collect();
    errors.sort_by(f64::total_cmp);
    let (median, largest) = (errors[errors.len() / 2], errors[errors.len() - 1]);
    println!("{name}: median {median:.1e}, largest {largest:.1e}");
    assert!(median <= MEDIAN, "{name}: median of the errors {median:e}");
    assert!(largest <= LARGEST, "{name}: largest error {largest:e}");
}

fn compare(networks: &[&str], golden: &Golden, model: impl Fn(&str) -> Arc<Model>) {
    let images = parity::images();
    let images: Vec<&[u8]> = images.iter().map(Vec::as_slice).collect();
    for network in networks {
        let model = model(network);
        let mut known = 0;
        for pooling in Pooling::ALL {
            let name = format!("{network}.{}", pooling.name());
            let Some(expected) = golden.vectors(&name) else {
                continue;
            };
            known += 1;
            let featurizer = with_model(Arc::clone(&model), pooling, 0);
            let found = features(&featurizer, &images[..expected.len()]);
            agrees(&name, &found, &expected);
        }
        assert!(known >= 4, "{network}");
    }
}

#[test]
fn small_networks_agree_with_pytorch() {
    compare(&NETWORKS, &Golden::read(&data()), |name| local(name, None));
}

#[test]
fn another_input_size_resizes_positions_as_pytorch() {
    let golden = Golden::read(&data());
    let images = parity::images();
    let images: Vec<&[u8]> = images.iter().map(Vec::as_slice).collect();
    for network in NETWORKS {
        let own = local(network, None);
        let model = local(network, Some(own.image_side() * 3 / 2));
        let pooling = model.default_pooling();
        let name = format!("{network}.wide");
        let expected = golden.vectors(&name).unwrap();
        let found = features(&with_model(model, pooling, 0), &images[..expected.len()]);
        agrees(&name, &found, &expected);
    }
}

/// The image whose pixels the golden file keeps is in a lossless format, of 97 × 131 pixels.
#[test]
fn pictures_are_prepared_to_the_pixel() {
    let golden = Golden::read(&data());
    let image = &parity::images()[3];
    let limits = Limits {
        max_pixels: 1 << 20,
    };
    for network in NETWORKS {
        let expected = golden.vectors(&format!("{network}.pixels")).unwrap();
        let found = local(network, None).prepare(image, limits).unwrap();
        assert!(found == expected[0], "{network}");
    }
}

#[test]
fn the_default_is_what_the_reference_calls_the_embedding() {
    let default = |name| local(name, None).default_pooling();
    assert_eq!(default("dinov2"), Pooling::Cls);
    assert_eq!(default("vit"), Pooling::Cls);
    for name in ["clip", "clip_vision", "siglip"] {
        assert_eq!(default(name), Pooling::Projection);
    }
}

#[test]
fn vectors_do_not_depend_on_batch_or_threads() {
    let images = parity::images();
    let images: Vec<&[u8]> = images.iter().map(Vec::as_slice).take(11).collect();
    for network in ["dinov2", "clip", "siglip"] {
        let model = local(network, None);
        let pooling = model.default_pooling();
        let all = features(&with_model(Arc::clone(&model), pooling, 2), &images);
        for threads in [1, 3] {
            let featurizer = with_model(Arc::clone(&model), pooling, threads);
            let each = images
                .iter()
                .flat_map(|image| features(&featurizer, &[image]));
            assert!(each.eq(all.iter().cloned()), "{network}: {threads} threads");
        }
    }
}

/// FEATURIZE_TRANSFORMERS names what `make_transformers.py real FOLDER` wrote.
#[test]
fn real_sizes_agree_with_pytorch() {
    let Some(folder) = std::env::var_os("FEATURIZE_TRANSFORMERS").map(PathBuf::from) else {
        return;
    };
    compare(
        &["dinov2_small", "clip_vit_b32"],
        &Golden::read(&folder),
        |name| load(folder.join(name).to_str().unwrap(), None, None, None).unwrap(),
    );
}
