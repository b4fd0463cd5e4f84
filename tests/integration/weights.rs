//! `featurize weights` and weights from a web server, from outside.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use datafusion::prelude::SessionContext;
use datafusion_featurize::enable_featurize;
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use url::Url;

/// The beginning of an HDF5 file, and no more of it.
const WEIGHTS: &[u8] = b"\x89HDF\r\n\x1a\nweights";
const NAME: &str = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5";

fn featurize(folder: &Path, base: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_featurize"))
        .args(arguments)
        .env("FEATURIZE_WEIGHTS_DIR", folder)
        .env("FEATURIZE_WEIGHTS_URL", base)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(output.status.success());
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The base URL of a server that has `body` at `path` and nothing else.
fn serve(path: String, body: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(&stream).lines().map(Result::unwrap);
            let first = lines.next().unwrap_or_default();
            let _ = lines.take_while(|line| !line.is_empty()).count();
            let found = first.split(' ').nth(1) == Some(path.as_str());
            let (status, body) = if found {
                (200, body.as_slice())
            } else {
                (404, &[][..])
            };
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status} x\r\nConnection: close\r\nETag: \"a\"\r\nContent-Length: {length}\r\n\r\n"
            );
            let _ = stream.write_all(head.as_bytes());
            let _ = stream.write_all(body);
        }
    });
    base
}

#[test]
fn list_fetch_verify() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("weights");
    let base = serve(format!("/mobilenet_v2/{NAME}"), WEIGHTS.to_vec());
    let run = |arguments: &[&str]| featurize(&folder, &base, arguments);
    let csv = |command: &[&str]| {
        let arguments = [command, &["--format", "csv"]].concat();
        stdout(&run(&[&["-q"][..], &arguments].concat()))
    };
    let listed = csv(&["weights", "list"]);
    assert!(
        listed.starts_with("model,state,bytes,sha256,path\nvgg16,absent,0,,"),
        "{listed}"
    );
    assert!(listed.contains("\nmobilenet_v2,absent,0,,"), "{listed}");

    let fetched = stdout(&run(&["weights", "fetch", "mobilenet_v2"]));
    let (hash, path) = fetched.trim_end().split_once("  ").unwrap();
    assert_eq!(hash.len(), 64);
    assert_eq!(Path::new(path), folder.join(NAME));
    assert_eq!(std::fs::read(path).unwrap(), WEIGHTS);
    let listed = csv(&["weights", "list"]);
    assert!(
        listed.contains(&format!("\nmobilenet_v2,cached,15,{hash},{path}\n")),
        "{listed}"
    );
    assert_eq!(
        csv(&["weights", "verify"]),
        format!("file,sha256,verdict\n{NAME},{hash},intact\n")
    );

    std::fs::write(path, b"weighty").unwrap();
    let output = run(&["weights", "verify"]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("1 of 1 files"), "{error}");
    assert!(error.contains(NAME), "{error}");
    stdout(&run(&["weights", "fetch", "mobilenet_v2"]));
    assert_eq!(std::fs::read(path).unwrap(), WEIGHTS);

    let output = run(&["weights", "fetch", "vgg16"]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.contains("404 Not Found") && error.contains("'seeded'"),
        "{error}"
    );
}

#[test]
fn all_names_are_checked_before_the_first_download() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("weights");
    let base = serve(format!("/mobilenet_v2/{NAME}"), WEIGHTS.to_vec());
    for (wrong, expected) in [
        ("vgg61", "did you mean 'vgg16'?"),
        ("https://host/pytorch_model.bin", "a pickle of PyTorch"),
        ("ftp://host/w.h5", "expected http(s)://"),
        ("file:///w.h5", "is on this machine"),
        ("./w.h5", "is on this machine"),
    ] {
        let output = featurize(&folder, &base, &["weights", "fetch", "mobilenet_v2", wrong]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(expected), "{error}");
        assert_eq!(output.status.code(), Some(1));
        assert!(!folder.exists(), "{wrong}: something was downloaded");
    }
}

/// `'imagenet'` is downloaded when a query first needs it, and its absence is explained.
#[test]
fn a_query_says_what_is_missing() {
    let scratch = tempfile::tempdir().unwrap();
    let base = serve("/nothing".to_owned(), Vec::new());
    let output = featurize(
        scratch.path(),
        &base,
        &["-q", "-c", "SELECT featurize(X'00')"],
    );
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    for part in [
        "featurize: weights 'imagenet'",
        "404 Not Found",
        "put it into",
        "'seeded'",
    ] {
        assert!(error.contains(part), "{part} is not in: {error}");
    }
}

/// A store that the session has, with whatever credentials it was given, serves weights too.
#[tokio::test]
async fn the_sessions_stores_serve_weights() {
    let ctx = SessionContext::new();
    enable_featurize(&ctx).unwrap();
    let bucket = Arc::new(InMemory::new());
    let path = object_store::path::Path::from("models/w.h5");
    bucket.put(&path, WEIGHTS.into()).await.unwrap();
    let root = Url::parse("s3://bucket").unwrap();
    ctx.runtime_env().register_object_store(&root, bucket);
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().display();
    ctx.sql(&format!("SET featurize.weights_dir = '{folder}'"))
        .await
        .unwrap();
    let sql = "SELECT featurize(X'00', 'vgg16', 's3://bucket/models/w.h5')";
    let result = ctx.sql(sql).await.unwrap().collect().await;
    let error = result.unwrap_err().to_string();
    assert!(
        error.contains("15 bytes are not a whole HDF5 file"),
        "{error}"
    );
    let cached = std::fs::read_dir(scratch.path()).unwrap();
    let names = cached.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut weights = names.filter(|name| name.ends_with(".h5"));
    assert!(weights.next().unwrap().starts_with("w-"));
}
