//! What is refused, and what is said of it.

use std::fs;
use std::path::Path;

use datafusion_functions_image::model::{DeviceKind, Model};
use datafusion_functions_image::weights::{WeightsAccess, WeightsSpec};

use crate::{data, has_library, load, setting, spec};

/// What is said of a file.
fn error(path: &Path, side: Option<usize>) -> String {
    let error = load(&spec(path), side).unwrap_err().to_string();
    assert!(error.contains(path.to_str().unwrap()), "{error}");
    error
}

/// What is said of a file of these bytes, where there is a preparation.
fn of_bytes(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.onnx");
    fs::write(&path, bytes).unwrap();
    let spec = spec(&path).with_preprocessing(setting());
    load(&spec, None).unwrap_err().to_string()
}

#[test]
fn graphs_that_take_or_give_something_else_are_described() {
    if !has_library() {
        return;
    }
    for (file, expected) in [
        (
            "eight.onnx",
            "'images' of f32 [8, 3, 32, 32]; expected a first dimension that is free or 1",
        ),
        (
            "oblong.onnx",
            "'images' of f32 [1, 3, 32, 16]; expected a square",
        ),
        (
            "bytes.onnx",
            "'images' of u8 [1, 3, 32, 32]; expected one image of f32",
        ),
        (
            "two_inputs.onnx",
            "2 inputs ('images' of f32 [batch, 3, height, width]; 'ids' of i64 [1])",
        ),
        (
            "two_outputs.onnx",
            "several outputs of two dimensions; say which is meant by its name, as weights => NULL, \
             pooling => 'features': its outputs are 'features' of f32 [1, 5]; 'logits' of f32 [1, 5]",
        ),
        (
            "half.onnx",
            "'half' of f16 [1, 5]; expected a tensor of f32",
        ),
        ("unknown.onnx", "ONNX Runtime does not open the file: "),
    ] {
        let spec = spec(&data("refused").join(file)).with_preprocessing(plain());
        let error = load(&spec, None).unwrap_err().to_string();
        assert!(error.contains(expected), "{file}: {error}");
    }
    let named = spec(&data("free.onnx")).with_output(Some("avg".to_owned()));
    let error = load(&named, None).unwrap_err().to_string();
    assert!(
        error.ends_with(
            "no output 'avg', which 'pooling' names; its outputs are 'map' of f32 [1, 8, 16, 16]; \
             'features' of f32 [1, 5]"
        ),
        "{error}"
    );
}

/// The preparation beside the files, as a setting.
fn plain() -> Option<String> {
    Some(fs::read_to_string(data("preprocessor_config.json")).unwrap())
}

#[test]
fn sides_that_contradict_each_other_are_refused() {
    if !has_library() {
        return;
    }
    let pixels = data("pixels.onnx");
    let error = error(&pixels, Some(48));
    assert!(
        error.ends_with("takes images of 32 pixels a side, as its graph says, found input_size 48"),
        "{error}"
    );
    let other = plain().map(|text| text.replace("32", "48"));
    let spec = spec(&pixels).with_preprocessing(other);
    let error = load(&spec, None).unwrap_err().to_string();
    assert!(
        error.ends_with(
            "featurize.onnx_preprocessing: fields 'size' and 'crop_size' make images of 48 pixels a \
             side, and the graph takes 32; give the input_size that is meant"
        ),
        "{error}"
    );
    assert_eq!(load(&spec, Some(32)).unwrap().image_side(), 32);
}

#[test]
fn nothing_is_guessed_of_the_preparation() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.onnx");
    fs::copy(data("free.onnx"), &path).unwrap();
    let missing = error(&path, None);
    for expected in [
        "there is no preprocessor_config.json beside the file (",
        r#"SET featurize.onnx_preprocessing = '{"size": {"shortest_edge": 256}, "resample": 2, "#,
    ] {
        assert!(missing.contains(expected), "{missing}");
    }
    if !has_library() {
        return;
    }
    fs::write(
        folder.path().join("preprocessor_config.json"),
        r#"{"size": {"shortest_edge": 40}}"#,
    )
    .unwrap();
    let half = error(&path, None);
    assert!(
        half.contains("preprocessor_config.json: field 'resample' is missing"),
        "{half}"
    );
}

#[test]
fn files_that_are_something_else_are_called_by_their_names() {
    let whole = fs::read(data("free.onnx")).unwrap();
    let safetensors = fs::read(data("../transformers/vit/model.safetensors")).unwrap();
    let lfs = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 90\n";
    for (bytes, expected) in [
        (&b""[..], "an empty file (0 bytes)"),
        (
            b"<!doctype html><title>Sign in</title>",
            "a web page ('Sign in')",
        ),
        (
            lfs,
            "a pointer of Git LFS to a file of 90 bytes, not the file",
        ),
        (&safetensors, "a file of safetensors"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"\x80\x02}q\x00", "a Python pickle"),
        (b"\xff\xd8\xff\xe0 JFIF", "it is no whole ONNX model"),
        (
            &whole[..whole.len() / 2],
            "it is no whole ONNX model: it ends early",
        ),
    ] {
        let error = of_bytes(bytes);
        assert!(error.contains(expected), "{error}");
    }
    let error = error(&data("nowhere.onnx"), None);
    assert!(error.contains("cannot be read: No such file"), "{error}");
    let error = error_of_folder();
    assert!(error.contains("is no file"), "{error}");
}

fn error_of_folder() -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("folder.onnx");
    fs::create_dir(&path).unwrap();
    error(&path, None)
}

#[test]
fn damage_is_an_error() {
    if !has_library() {
        return;
    }
    let whole = fs::read(data("free.onnx")).unwrap();
    // A byte in the names and kinds of nodes, not in the numbers, which may be any.
    for place in (0..300).step_by(7) {
        let mut bytes = whole.clone();
        bytes[place] ^= 0x15;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.onnx");
        fs::write(&path, bytes).unwrap();
        // It may still be a network; it must not be the end of the process.
        let _ = load(&spec(&path).with_preprocessing(plain()), None);
    }
}

#[test]
fn files_beside_it_are_named() {
    if !has_library() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("beside.onnx");
    fs::copy(data("beside.onnx"), &path).unwrap();
    let numbers = folder.path().join("beside.onnx.data");
    let error = || {
        let spec = spec(&path).with_preprocessing(plain());
        load(&spec, None).unwrap_err().to_string()
    };
    let missing = error();
    assert!(
        missing.contains("beside.onnx.data cannot be read: No such file"),
        "{missing}"
    );
    fs::write(
        &numbers,
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1076\n",
    )
    .unwrap();
    let pointer = error();
    assert!(
        pointer.contains("its numbers are in beside.onnx.data: this is a pointer of Git LFS"),
        "{pointer}"
    );
    fs::write(&numbers, [0; 100]).unwrap();
    let short = error();
    assert!(
        short.contains("ONNX Runtime does not open the file"),
        "{short}"
    );
}

#[test]
fn there_are_no_other_weights_and_no_other_device() {
    let spec = spec(&data("free.onnx"));
    let access = WeightsAccess::default();
    let places = (None, &access);
    let seeded = Some(&WeightsSpec::Seeded);
    let error = Model::shared_onnx(&spec, None, seeded, places, DeviceKind::Cpu).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("has no weights 'seeded', but its own"),
        "{error}"
    );
    let error = Model::shared_onnx(&spec, None, None, places, DeviceKind::Cuda).unwrap_err();
    assert!(
        error.to_string().contains("runs on the processor here"),
        "{error}"
    );
}
