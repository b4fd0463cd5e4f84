//! Networks in ONNX files. `tests/parity/make_onnx.py` made the files, and computed what comes of them.
//!
//! Where `ORT_DYLIB_PATH` names no library of ONNX Runtime, the tests print that they were skipped:
//!
//! ```text
//! pip install onnxruntime
//! ORT_DYLIB_PATH=…/site-packages/onnxruntime/capi/libonnxruntime.so.1.32.0 \
//!     cargo test --workspace --features onnx --test onnx
//! ```

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

#[cfg(feature = "http")]
#[path = "onnx/download.rs"]
mod download;
#[path = "onnx/errors.rs"]
mod errors;
#[path = "onnx/networks.rs"]
mod networks;
#[cfg(feature = "http")]
#[path = "integration/server.rs"]
#[expect(dead_code, reason = "other tests need more of the server")]
mod server;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::Float32Type;
use datafusion_functions_image::cancel::CancelToken;
use datafusion_functions_image::decode::Limits;
use datafusion_functions_image::error::{Error, Result};
use datafusion_functions_image::features::{Featurizer, OnUndecodable};
use datafusion_functions_image::model::{DeviceKind, Model};
use datafusion_functions_image::models::{ModelSpec, OnnxSpec, Pooling};
use datafusion_functions_image::pool::ComputePool;
use datafusion_functions_image::weights::WeightsAccess;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The images of the golden file.
const IMAGES: [usize; 4] = [28, 31, 40, 59];

/// Whether there is a library to test with.
fn has_library() -> bool {
    let has = std::env::var_os("ORT_DYLIB_PATH").is_some_and(|path| !path.is_empty());
    if !has {
        println!("skipped: ORT_DYLIB_PATH names no library of ONNX Runtime");
    }
    has
}

fn data(name: &str) -> PathBuf {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    data.join("onnx").join(name)
}

fn images() -> Vec<Vec<u8>> {
    let image = |number: usize| std::fs::read(data(&format!("../parity/{number}.jpg"))).unwrap();
    IMAGES.into_iter().map(image).collect()
}

fn spec(path: &Path) -> OnnxSpec {
    match ModelSpec::parse(path.to_str().unwrap()).unwrap() {
        ModelSpec::Onnx(spec) => spec,
        other => unreachable!("{other} is no ONNX file"),
    }
}

fn load(spec: &OnnxSpec, side: Option<usize>) -> Result<Arc<Model>> {
    let access = WeightsAccess::default();
    Model::shared_onnx(spec, side, None, (None, &access), DeviceKind::Cpu)
}

fn featurizer(model: &Arc<Model>, threads: usize) -> Featurizer {
    let limits = Limits {
        max_pixels: 1 << 24,
    };
    let pool = ComputePool::shared(threads).unwrap();
    Featurizer::new(Arc::clone(model), Pooling::None, limits, pool)
}

/// The features of images, all of which are good.
fn features(featurizer: &Featurizer, images: &[Vec<u8>]) -> Vec<Vec<f32>> {
    let images: Vec<_> = images.iter().map(|image| Some(image.as_slice())).collect();
    let lists = featurizer.featurize(&images, OnUndecodable::Fail).unwrap();
    let list = |list: Option<arrow::array::ArrayRef>| {
        list.unwrap()
            .as_primitive::<Float32Type>()
            .values()
            .to_vec()
    };
    lists.iter().map(list).collect()
}

/// The error of a vector, relative to the expected one.
fn relative(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let pairs = found.iter().zip(expected);
    let error: f64 = pairs.map(|(a, b)| (f64::from(*a) - b).powi(2)).sum();
    let norm: f64 = expected.iter().map(|value| value.powi(2)).sum();
    (error / norm).sqrt()
}

/// Compares with vectors of the golden file.
fn agrees(name: &str, model: &Arc<Model>) {
    let golden = std::fs::read_to_string(data("golden.json")).unwrap();
    let golden: Value = serde_json::from_str(&golden).unwrap();
    let vectors = golden[name].as_array().unwrap();
    let found = features(&featurizer(model, 2), &images()[..vectors.len()]);
    for (found, expected) in found.iter().zip(vectors) {
        let expected = expected.as_array().unwrap().iter();
        let expected: Vec<f64> = expected.map(|value| value.as_f64().unwrap()).collect();
        let error = relative(found, &expected);
        assert!(error < 1e-5, "{name}: {error:e}");
    }
}

fn setting() -> Option<String> {
    Some(std::fs::read_to_string(data("setting.json")).unwrap())
}

#[test]
fn files_agree_with_numpy() {
    if !has_library() {
        return;
    }
    let free = spec(&data("free.onnx"));
    let model = load(&free, None).unwrap();
    assert_eq!((model.image_side(), model.parameter_count()), (32, 269));
    assert_eq!(model.dimension(Pooling::None).unwrap(), 5);
    assert_eq!(
        model.preparation().describe(),
        "bilinear, shortest edge to 40, centre of 32 × 32, × 0.003921569, mean [0.485, 0.456, 0.406], \
         deviation [0.229, 0.224, 0.225]"
    );
    agrees("beside", &model);
    // Another output, of images of another size.
    let map = free.with_output(Some("map".to_owned()));
    agrees("map_at_24", &load(&map, Some(24)).unwrap());
    // Pixels instead of planes, blue first, prepared as a setting says.
    let pixels = spec(&data("pixels.onnx")).with_preprocessing(setting());
    agrees("setting", &load(&pixels, None).unwrap());
}

#[test]
fn numbers_may_be_in_a_file_beside_it() {
    if !has_library() {
        return;
    }
    let model = load(&spec(&data("beside.onnx")), None).unwrap();
    assert_eq!(model.parameter_count(), 269);
    agrees("beside", &model);
}

#[test]
fn a_file_is_known_by_its_hash() {
    if !has_library() {
        return;
    }
    let of = |name| {
        load(&spec(&data(name)), None)
            .unwrap()
            .weights_sha256()
            .to_owned()
    };
    let sha256 = |bytes: &[u8]| -> String {
        let digest = Sha256::digest(bytes);
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let of_file = |name| sha256(&std::fs::read(data(name)).unwrap());
    assert_eq!(of("free.onnx"), of_file("free.onnx"));
    // sha256sum beside.onnx beside.onnx.data | sha256sum
    let lines =
        ["beside.onnx", "beside.onnx.data"].map(|name| format!("{}  {name}\n", of_file(name)));
    assert_eq!(of("beside.onnx"), sha256(lines.concat().as_bytes()));
}

#[test]
fn features_depend_neither_on_batches_nor_on_threads() {
    if !has_library() {
        return;
    }
    let spec = spec(&data("free.onnx"));
    let images = images();
    let all = features(&featurizer(&load(&spec, None).unwrap(), 0), &images);
    for threads in [1, 2, 3] {
        let model = load(&spec.clone().with_threads(threads), None).unwrap();
        let featurizer = featurizer(&model, threads);
        for (image, expected) in images.iter().zip(&all) {
            let alone = features(&featurizer, std::slice::from_ref(image));
            assert_eq!(&alone[0], expected);
        }
        let many: Vec<_> = images.iter().cycle().take(50).cloned().collect();
        let many = features(&featurizer, &many);
        for (found, expected) in many.iter().zip(all.iter().cycle()) {
            assert_eq!(found, expected);
        }
    }
}

#[test]
fn everybody_shares_one_model() {
    if !has_library() {
        return;
    }
    let spec = spec(&data("free.onnx"));
    let images = images();
    let results: Vec<_> = std::thread::scope(|scope| {
        let run = || {
            let model = load(&spec, None).unwrap();
            let found = features(&featurizer(&model, 2), &images);
            (model, found)
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let (model, expected) = &results[0];
    for (other, found) in &results {
        assert!(Arc::ptr_eq(model, other) && found == expected);
    }
}

#[test]
fn what_is_no_image_is_null_or_an_error() {
    if !has_library() {
        return;
    }
    let featurizer = featurizer(&load(&spec(&data("free.onnx")), None).unwrap(), 2);
    let good = images().remove(0);
    let images = [None, Some(good.as_slice()), Some(b"junk".as_slice())];
    let lists = featurizer.featurize(&images, OnUndecodable::Null).unwrap();
    assert_eq!(
        (lists.is_null(0), lists.is_null(1), lists.is_null(2)),
        (true, false, true)
    );
    let error = featurizer
        .featurize(&images, OnUndecodable::Fail)
        .unwrap_err();
    assert!(matches!(error, Error::Decode { row: 2, .. }), "{error}");
    let none = featurizer.featurize(&[], OnUndecodable::Fail).unwrap();
    assert!(none.is_empty());
}

#[test]
fn cancelling_ends_it() {
    if !has_library() {
        return;
    }
    let token = CancelToken::new();
    token.cancel();
    let model = load(&spec(&data("free.onnx")), None).unwrap();
    let featurizer = featurizer(&model, 2).with_cancel_token(token);
    let good = images().remove(0);
    let outcome = featurizer.featurize(&[Some(&good)], OnUndecodable::Fail);
    assert!(matches!(outcome, Err(Error::Cancelled)), "{outcome:?}");
}

/// The library is looked for once in a process: each case is one of its own, this test run again.
#[test]
fn an_absent_or_foreign_library_is_named() {
    const CHILD: &str = "FEATURIZE_TEST_ONNX_CHILD";
    if std::env::var_os(CHILD).is_some() {
        println!(
            "error: {}",
            load(&spec(&data("free.onnx")), None).unwrap_err()
        );
        return;
    }
    let text = data("golden.json").display().to_string();
    for (library, expected) in [
        (
            "/nowhere/libonnxruntime.so",
            "/nowhere/libonnxruntime.so cannot be loaded (",
        ),
        (text.as_str(), "golden.json cannot be loaded ("),
        ("libc.so.6", "libc.so.6 is another library"),
    ] {
        if !cfg!(all(target_os = "linux", target_env = "gnu")) && !library.contains('/') {
            continue;
        }
        let child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "an_absent_or_foreign_library_is_named",
                "--nocapture",
            ])
            .env("ORT_DYLIB_PATH", library)
            .env(CHILD, "1")
            .output()
            .unwrap();
        let out = String::from_utf8_lossy(&child.stdout);
        assert!(child.status.success(), "{out}");
        assert!(out.contains(expected), "{out}");
        assert!(
            out.contains("Set the environment variable ORT_DYLIB_PATH"),
            "{out}"
        );
    }
}
