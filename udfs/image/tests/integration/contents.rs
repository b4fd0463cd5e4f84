//! Files are what their bytes say, whatever they are called; what is not read is called by its name.

use std::io::{Cursor, Write};
use std::path::Path;

use datafusion_functions_image::model::{DeviceKind, Model};
use datafusion_functions_image::models::Architecture::Vgg16;
use datafusion_functions_image::preprocess::Preprocessing;
use datafusion_functions_image::weights::WeightsSpec;
use zip::write::SimpleFileOptions;

use crate::keras::unpack;

fn load(path: &Path) -> Result<Model, String> {
    let weights = WeightsSpec::parse(path.to_str().unwrap()).unwrap();
    Model::load(Vgg16, &weights, DeviceKind::Cpu).map_err(|error| error.to_string())
}

#[test]
fn names_do_not_matter() {
    let folder = tempfile::tempdir().unwrap();
    for (file, renamed) in [
        ("models/vgg16_topped.keras", "archive.h5"),
        ("models/vgg16_topped.keras", "archive"),
        ("models/vgg16_topped_whole.h5", "w.safetensors"),
        ("models/vgg16_topped_keras3.weights.h5", "weights"),
        ("models/vgg16_topped_keras3.weights.h5", "w.keras"),
    ] {
        let path = folder.path().join(renamed);
        std::fs::rename(unpack(folder.path(), file), &path).unwrap();
        assert_eq!(
            load(&path).unwrap().parameter_count(),
            14_714_688,
            "{renamed}"
        );
    }
    let path = folder.path().join("w.h5");
    let kernel = candle_core::Tensor::ones(3, candle_core::DType::F32, &candle_core::Device::Cpu);
    let tensors = [("x", kernel.unwrap())].into_iter().collect();
    candle_core::safetensors::save::<&str, _>(&tensors, &path).unwrap();
    let error = load(&path).unwrap_err();
    assert!(
        error.contains("block1_conv1.kernel of shape [3, 3, 3, 64] is missing"),
        "{error}"
    );
}

/// A ZIP archive with these members, not compressed.
fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in members {
        writer.start_file(*name, stored).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn what_is_no_weights_file_is_called_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let lfs = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 58889256\n";
    let page = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>";
    let index =
        br#"{"metadata": {"total_size": 5}, "weight_map": {"a": "model-00001.safetensors"}}"#;
    let numpy = archive(&[("a.npy", b"\x93NUMPY"), ("b.npy", b"")]);
    let pickle = archive(&[
        ("archive/data.pkl", b"\x80\x02}q\x00."),
        ("archive/version", b"3"),
    ]);
    let program = archive(&[("m/data.pkl", b"\x80\x02"), ("m/constants.pkl", b"")]);
    let other = archive(&[("photo.jpg", b"")]);
    let whole = archive(&[("model.weights.h5", b"nothing")]);
    let cases: [(&[u8], &[&str]); 18] = [
        (b"", &["an empty file (0 bytes)"]),
        (
            lfs,
            &["Git LFS to a file of 58889256 bytes", "git lfs pull"],
        ),
        (page, &["a web page ('Sign in')", "/resolve/"]),
        (b"\xef\xbb\xbf <html>", &["a web page"]),
        (b"<?xml version=\"1.0\"?><Error>", &["XML", "<Error>"]),
        (index, &["index of weights in several files", "save_file"]),
        (br#"{"error": "gated"}"#, &["JSON", "gated"]),
        (
            b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.",
            &["Python pickle", "can run code"],
        ),
        (
            &pickle,
            &["a pickle of PyTorch", "safetensors.torch.save_file"],
        ),
        (&program, &["TorchScript", "safetensors.torch.save_file"]),
        (&pickle[..40], &["ZIP archive that is not whole"]),
        (&numpy, &[".npz", "safetensors.numpy.save_file"]),
        (
            &other,
            &["a ZIP archive without model.weights.h5", "photo.jpg"],
        ),
        (&whole, &["7 bytes are not a whole HDF5 file"]),
        (b"\x1f\x8b\x08\x00", &["compressed by gzip", "gunzip"]),
        (
            b"\x08\x01\x12\x2asaved",
            &["TensorFlow SavedModel", "save_weights"],
        ),
        (b"\x1c\0\0\0TFL3", &["TensorFlow Lite"]),
        (b"\x08\x08\x12\x07pytorch", &["an ONNX model"]),
    ];
    // The name must not matter.
    for name in ["w.h5", "w.safetensors", "w.keras", "w.bin"] {
        let path = folder.path().join(name);
        for (bytes, parts) in &cases {
            std::fs::write(&path, bytes).unwrap();
            let error = load(&path).unwrap_err();
            let named = path.to_str().unwrap();
            for part in parts.iter().chain([&named]) {
                assert!(error.contains(part), "{part} is not in: {error}");
            }
        }
    }
}

#[test]
fn folders_are_called_by_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let error = load(folder.path()).unwrap_err();
    assert!(error.contains("this is a folder"), "{error}");
    std::fs::write(folder.path().join("model.safetensors"), b"").unwrap();
    let error = load(folder.path()).unwrap_err();
    assert!(
        error.contains("model.safetensors") && error.contains("give the path"),
        "{error}"
    );
    std::fs::write(folder.path().join("saved_model.pb"), b"\x08\x01\x12").unwrap();
    let error = load(folder.path()).unwrap_err();
    assert!(
        error.contains("SavedModel") && error.contains("save_weights"),
        "{error}"
    );
}

/// Pickles are not worth a download; other names may be those of weights.
#[test]
fn addresses_without_an_ending_are_accepted() {
    for url in [
        "https://h/w",
        "https://h/v1.0",
        "s3://b/w.keras",
        "https://h/download?id=3",
    ] {
        assert!(
            matches!(WeightsSpec::parse(url), Ok(WeightsSpec::Url(_))),
            "{url}"
        );
    }
    for (url, what) in [
        ("https://h/pytorch_model.bin", "a pickle of PyTorch"),
        (
            "https://h/model.safetensors.index.json",
            "the index of weights in several files",
        ),
        ("https://h/saved_model.pb", "a model of TensorFlow"),
    ] {
        let error = WeightsSpec::parse(url).unwrap_err().to_string();
        assert!(
            error.contains("expected the address of a .h5") && error.contains(what),
            "{error}"
        );
    }
}

/// An archive of Keras has Keras's preprocessing.
#[test]
fn an_archive_is_kerass() {
    let folder = tempfile::tempdir().unwrap();
    let model = load(&unpack(folder.path(), "models/vgg16_topped.keras")).unwrap();
    assert_eq!(model.preprocessing(), Some(Preprocessing::Caffe));
}
