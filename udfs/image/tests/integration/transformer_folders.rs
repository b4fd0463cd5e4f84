//! Folders of transformers: where they are, and what may be wrong with them.

use std::fs;
use std::path::Path;

use candle_core::{DType, Device, Tensor, safetensors};
use datafusion_functions_image::models::Pooling;
use datafusion_functions_image::weights::WeightsSpec;
use tempfile::TempDir;

use crate::transformers::{data, load};
use crate::{features, golden_image, with_model};

/// A copy of a folder.
fn copy(name: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(data().join(name)).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    folder
}

fn error(folder: &Path) -> String {
    load(folder.to_str().unwrap(), None, None, None)
        .unwrap_err()
        .to_string()
}

/// What is said of a folder after `spoil`.
fn spoilt(name: &str, spoil: impl FnOnce(&Path)) -> String {
    let folder = copy(name);
    spoil(folder.path());
    let error = error(folder.path());
    assert!(error.contains(folder.path().to_str().unwrap()), "{error}");
    error
}

fn replace(folder: &Path, file: &str, old: &str, new: &str) {
    let path = folder.join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(old), "{text}");
    fs::write(path, text.replace(old, new)).unwrap();
}

fn change(folder: &Path, change: impl FnOnce(&mut std::collections::HashMap<String, Tensor>)) {
    let path = folder.join("model.safetensors");
    let mut tensors = safetensors::load(&path, &Device::Cpu).unwrap();
    change(&mut tensors);
    safetensors::save(&tensors, path).unwrap();
}

#[test]
fn missing_files_are_named() {
    for (network, file) in [
        ("vit", "config.json"),
        ("vit", "preprocessor_config.json"),
        ("vit", "model.safetensors"),
        ("clip", "model-00002-of-00003.safetensors"),
    ] {
        let error = spoilt(network, |folder| {
            fs::remove_file(folder.join(file)).unwrap()
        });
        assert!(error.contains(&format!(": {file}: ")), "{error}");
    }
}

#[test]
fn wrong_fields_are_named() {
    let error = spoilt("vit", |folder| {
        replace(
            folder,
            "config.json",
            "\"hidden_size\": 24",
            "\"hidden_size\": 1e9",
        );
    });
    assert!(
        error.contains("config.json: field 'hidden_size' must be"),
        "{error}"
    );
    let error = spoilt("vit", |folder| {
        replace(
            folder,
            "config.json",
            "\"model_type\": \"vit\"",
            "\"model_type\": \"swin\"",
        );
    });
    assert!(
        error.contains("field 'model_type' is 'swin'; expected 'dinov2'"),
        "{error}"
    );
    let error = spoilt("vit", |folder| {
        replace(
            folder,
            "preprocessor_config.json",
            "\"height\": 32",
            "\"height\": 48",
        );
    });
    assert!(
        error.contains("preprocessor_config.json: field 'size.width' must be 48, found 32"),
        "{error}"
    );
    // The file and the numbers contradict each other.
    let error = spoilt("vit", |folder| {
        replace(
            folder,
            "config.json",
            "\"intermediate_size\": 40",
            "\"intermediate_size\": 48",
        );
    });
    let expected = "model.safetensors: tensor encoder.layer.0.intermediate.dense.weight has shape \
                    [40, 24], and config.json asks for [48, 24]";
    assert!(error.contains(expected), "{error}");
    let error = spoilt("clip", |folder| {
        let index = "model.safetensors.index.json";
        replace(
            folder,
            index,
            "model-00001-of-00003.safetensors",
            "../model.safetensors",
        );
    });
    assert!(
        error.contains("model.safetensors.index.json: field 'weight_map."),
        "{error}"
    );
}

#[test]
fn wrong_tensors_are_named() {
    let name = "encoder.layer.1.attention.attention.key.bias";
    let error = spoilt("vit", |folder| {
        change(folder, |tensors| {
            tensors.remove(name);
        });
    });
    assert!(
        error.contains(&format!(
            "tensor {name} of shape [24] is missing in model.safetensors"
        )),
        "{error}"
    );
    let error = spoilt("vit", |folder| {
        change(folder, |tensors| {
            let bytes = Tensor::zeros(24, DType::U8, &Device::Cpu).unwrap();
            tensors.insert(name.to_owned(), bytes);
        });
    });
    let expected = format!("tensor {name} is of type U8; expected F32, F16 or BF16");
    assert!(error.contains(&expected), "{error}");
    let error = spoilt("vit", |folder| {
        change(folder, |tensors| {
            let numbers = Tensor::new(&[f32::NAN; 24], &Device::Cpu).unwrap();
            tensors.insert(name.to_owned(), numbers);
        });
    });
    assert!(
        error.contains("24 of 24 values that are not finite"),
        "{error}"
    );
    let error = spoilt("vit", |folder| {
        let pointer = "version https://git-lfs.github.com/spec/v1\nsize 9\n";
        fs::write(folder.join("model.safetensors"), pointer).unwrap();
    });
    assert!(error.contains("a pointer of Git LFS"), "{error}");
}

#[test]
fn poolings_that_a_network_lacks_are_refused() {
    let model = load(data().join("siglip").to_str().unwrap(), None, None, None).unwrap();
    let error = model.dimension(Pooling::Cls).unwrap_err().to_string();
    assert!(
        error.contains("has no pooling 'cls', expected one of 'none', 'avg', 'max', 'projection'"),
        "{error}"
    );
}

#[test]
fn identity_covers_all_files() {
    let identity = |folder: &Path| {
        let model = load(folder.to_str().unwrap(), None, None, None).unwrap();
        model.weights_sha256().to_owned()
    };
    let folder = copy("vit");
    let before = identity(folder.path());
    assert_eq!(before, identity(&data().join("vit")));
    // sha256sum config.json model.safetensors preprocessor_config.json | sha256sum
    assert_eq!(
        before,
        "370fcae58adeedd3e4fbe361c5acd4b09e2a0cbe943fde9c738db2d883db9aa9"
    );
    replace(folder.path(), "config.json", "1e-12", "1e-6");
    assert_ne!(before, identity(folder.path()));
}

#[test]
fn short_names_run_offline_with_seeded_weights() {
    let seeded = WeightsSpec::Seeded;
    let model = load("dinov2_small", Some(56), Some(&seeded), None).unwrap();
    assert_eq!((model.name(), model.image_side()), ("dinov2_small", 56));
    // As transformers counts them, less the mask token.
    assert_eq!(model.parameter_count(), 22_056_192);
    let features = features(&with_model(model, Pooling::Cls, 0), &[&golden_image()]);
    assert_eq!(features[0].len(), 384);
    assert!(features[0].iter().all(|value| value.is_finite()));
    let error = load("dinov2_small", None, Some(&WeightsSpec::ImageNet), None).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("dinov2_small has no weights 'imagenet'"),
        "{error}"
    );
}

#[test]
fn a_file_of_weights_can_stand_beside_a_folder() {
    let file = WeightsSpec::File(data().join("vit/model.safetensors"));
    let folder = copy("vit");
    fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    let model = load(folder.path().to_str().unwrap(), None, Some(&file), None).unwrap();
    let own = load(data().join("vit").to_str().unwrap(), None, None, None).unwrap();
    let of = |model| features(&with_model(model, Pooling::Cls, 1), &[&golden_image()]);
    assert_eq!(of(model), of(own));
}

#[cfg(feature = "http")]
mod remote {
    use super::*;
    use crate::server::Server;

    #[test]
    fn folders_are_downloaded_once() {
        for network in ["vit", "clip"] {
            let server = Server::folder(data().join(network));
            let folder = tempfile::tempdir().unwrap();
            let load = || load(&server.url("base"), None, None, Some(folder.path())).unwrap();
            let model = load();
            let local =
                super::load(data().join(network).to_str().unwrap(), None, None, None).unwrap();
            assert_eq!(model.weights_sha256(), local.weights_sha256(), "{network}");
            let requests = server.requests().len();
            load();
            assert_eq!(server.requests().len(), requests, "{network}");
        }
    }

    #[test]
    fn what_a_server_lacks_is_named() {
        let source = copy("vit");
        fs::remove_file(source.path().join("preprocessor_config.json")).unwrap();
        let server = Server::folder(source.path().to_owned());
        let folder = tempfile::tempdir().unwrap();
        let error = load(&server.url("base/"), None, None, Some(folder.path())).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("base/preprocessor_config.json"), "{error}");
    }
}
