//! Files at an address.

use std::path::Path;

use datafusion_functions_image::error::Result;
use datafusion_functions_image::model::{DeviceKind, Model};
use datafusion_functions_image::models::ModelSpec;
use datafusion_functions_image::weights::{WeightsAccess, WeightsFolder};
use std::sync::Arc;

use crate::server::Server;
use crate::{agrees, data, has_library, setting};

fn load(folder: &Path, address: &str, preprocessing: Option<String>) -> Result<Arc<Model>> {
    let ModelSpec::Onnx(spec) = ModelSpec::parse(address)? else {
        unreachable!("{address} is no ONNX file");
    };
    let spec = spec.with_preprocessing(preprocessing);
    let access = WeightsAccess::default();
    Model::shared_onnx(&spec, None, None, (Some(folder), &access), DeviceKind::Cpu)
}

#[test]
fn files_are_fetched_with_those_beside_them() {
    if !has_library() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let server = Server::folder(data(""));
    let model = load(folder.path(), &server.url("base/beside.onnx"), None).unwrap();
    agrees("beside", &model);
    let here = crate::load(&crate::spec(&data("beside.onnx")), None).unwrap();
    assert_eq!(model.weights_sha256(), here.weights_sha256());
    let asked: Vec<String> = server.requests().into_iter().map(|r| r.target).collect();
    assert_eq!(
        asked,
        [
            "/base/beside.onnx",
            "/base/preprocessor_config.json",
            "/base/beside.onnx.data"
        ]
    );
    // Once in a process.
    let again = load(folder.path(), &server.url("base/beside.onnx"), None).unwrap();
    assert!(Arc::ptr_eq(&model, &again) && server.requests().len() == 3);
}

#[test]
fn what_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::folder(data(""));
    let error = |file: &str, preprocessing| {
        let loaded = load(folder.path(), &server.url(file), preprocessing);
        loaded.unwrap_err().to_string()
    };
    let missing = error("base/nowhere.onnx", None);
    assert!(
        missing.contains("the server does not have it (404 Not Found)"),
        "{missing}"
    );
    assert!(!missing.contains("'seeded'"), "{missing}");
    let unsaid = error("base/refused/eight.onnx", None);
    assert!(
        unsaid.contains("there is no preprocessor_config.json beside the file (")
            && unsaid.contains("SET featurize.onnx_preprocessing = '"),
        "{unsaid}"
    );
    // What comes is not what its name says.
    let folder_of = tempfile::tempdir().unwrap();
    std::fs::write(
        folder_of.path().join("mine.onnx"),
        "<html><title>Sign in</title>",
    )
    .unwrap();
    let other = Server::folder(folder_of.path().to_owned());
    let loaded = load(folder.path(), &other.url("base/mine.onnx"), setting());
    let page = loaded.unwrap_err().to_string();
    assert!(
        page.contains("this is a web page ('Sign in'); expected an ONNX model"),
        "{page}"
    );
}

#[test]
fn they_can_be_fetched_beforehand() {
    let scratch = tempfile::tempdir().unwrap();
    let server = Server::folder(data(""));
    let folder = WeightsFolder::locate(Some(scratch.path())).unwrap();
    let address = server.url("base/beside.onnx");
    let ModelSpec::Onnx(spec) = ModelSpec::parse(&address).unwrap() else {
        unreachable!("{address} is no ONNX file");
    };
    let files = folder.fetch_onnx(&spec, &WeightsAccess::default()).unwrap();
    let lengths: Vec<u64> = files
        .iter()
        .map(|file| file.path().metadata().unwrap().len())
        .collect();
    let expected = [
        "beside.onnx",
        "beside.onnx.data",
        "preprocessor_config.json",
    ];
    assert_eq!(
        lengths,
        expected.map(|name| data(name).metadata().unwrap().len())
    );
    assert_eq!(folder.verify().unwrap().len(), 3);
}
