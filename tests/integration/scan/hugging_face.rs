//! Data sets of the Hugging Face hub, as far as a scan speaks with it: its tree in pages, what it knows of
//! paths, and files by way of another address.

use std::collections::BTreeMap;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use datafusion::common::runtime::SpawnedTask;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::web_server::serve;

type Files = BTreeMap<&'static str, Bytes>;

const API: &str = "/api/datasets/ann/fruits/";
const RESOLVE: &str = "/datasets/ann/fruits/resolve/";
const TOKEN: &str = "hf_hush";

/// Entries of a page: two, so that every listing has several.
const PAGE: usize = 2;

/// What the hub says of a file.
fn entry(name: &str, content: &Bytes) -> Value {
    json!({ "type": "file", "oid": "0a1b", "size": content.len(), "path": name })
}

/// Everything below `folder`, with the folders on the way; all levels of it or one.
fn tree(files: &Files, folder: &str, recursive: bool) -> Vec<Value> {
    let mut found = BTreeMap::new();
    for (name, content) in files {
        let below = match folder {
            "" => Some(*name),
            folder => name
                .strip_prefix(folder)
                .and_then(|rest| rest.strip_prefix('/')),
        };
        let Some(below) = below else { continue };
        let start = name.len() - below.len();
        for (end, _) in below.match_indices('/') {
            let path = &name[..start + end];
            found.insert(
                path,
                json!({ "type": "directory", "oid": "c", "size": 0, "path": path }),
            );
        }
        found.insert(name, entry(name, content));
    }
    let is_direct = |path: &str| !path[folder.len()..].trim_start_matches('/').contains('/');
    let found = found.into_iter();
    let found = found.filter(|(path, _)| recursive || is_direct(path));
    found.map(|(_, entry)| entry).collect()
}

fn answer(files: &Files, revision: &str, request: &Request<Bytes>) -> Response<Full<Bytes>> {
    let text = |text: String| Full::new(Bytes::from(text));
    let refuse = |status: StatusCode, code: &str| {
        let response = Response::builder().status(status);
        let response = response.header("x-error-code", code);
        let response = response.header("x-error-message", format!("{code} it is"));
        response.body(Full::default()).unwrap()
    };
    let authorization = request.headers().get("authorization");
    let path = percent_decode_str(request.uri().path())
        .decode_utf8()
        .unwrap();
    if let Some(name) = path.strip_prefix("/cdn/") {
        // Whoever keeps the files has not been told the token by the hub; one machine is one host, so that
        // the client keeps it here.
        let content = &files[name];
        let range = request.headers().get("range");
        let range = range.map(|range| {
            let range = range.to_str().unwrap().strip_prefix("bytes=").unwrap();
            let (start, end) = range.split_once('-').unwrap();
            let end: usize = end.parse().unwrap();
            (start.parse().unwrap(), content.len().min(end + 1))
        });
        let response = Response::builder().header("etag", "\"0a1b\"");
        let Some((start, end)) = range else {
            return response.body(Full::new(content.clone())).unwrap();
        };
        let told = format!("bytes {start}-{}/{}", end - 1, content.len());
        let response = response.status(206).header("content-range", told);
        return response.body(Full::new(content.slice(start..end))).unwrap();
    }
    if authorization.is_none_or(|value| value != &format!("Bearer {TOKEN}")) {
        return refuse(StatusCode::UNAUTHORIZED, "RepoNotFound");
    }
    if let Some(rest) = path.strip_prefix(RESOLVE) {
        let name = rest.strip_prefix(revision).unwrap().trim_start_matches('/');
        if !files.contains_key(name) {
            return refuse(StatusCode::NOT_FOUND, "EntryNotFound");
        }
        let response = Response::builder().status(StatusCode::FOUND);
        // The name as it was encoded, behind the revision, whose slashes are.
        let root = format!("{RESOLVE}{}", revision.replace('/', "%2F"));
        let name = request.uri().path().strip_prefix(&root).unwrap();
        let place = format!("/cdn{name}");
        return response
            .header("location", place)
            .body(Full::default())
            .unwrap();
    }
    let Some(rest) = path.strip_prefix(API) else {
        return refuse(StatusCode::NOT_FOUND, "RepoNotFound");
    };
    let rest = rest
        .split_once('/')
        .filter(|(_, rest)| rest.starts_with(revision));
    let Some((what, rest)) = rest else {
        return refuse(StatusCode::NOT_FOUND, "RevisionNotFound");
    };
    let folder = rest[revision.len()..].trim_start_matches('/');
    if what == "paths-info" {
        let asked: Value = serde_json::from_slice(request.body()).unwrap();
        let asked = asked["paths"].as_array().unwrap().iter();
        let asked = asked.map(|path| path.as_str().unwrap());
        let found = asked.filter_map(|path| Some(entry(path, files.get(path)?)));
        let found = Value::from(found.collect::<Vec<_>>());
        return Response::new(text(found.to_string()));
    }
    let query = request.uri().query().unwrap_or_default();
    let found = tree(files, folder, query.contains("recursive=true"));
    if found.is_empty() {
        return refuse(StatusCode::NOT_FOUND, "EntryNotFound");
    }
    let start = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("cursor="));
    let start: usize = start.map_or(0, |start| start.parse().unwrap());
    let page = &found[start..found.len().min(start + PAGE)];
    let mut response = Response::builder();
    if start + PAGE < found.len() {
        let query = query.split('&').find(|pair| pair.starts_with("recursive"));
        let place = request.uri().path();
        let query = query.map_or(String::new(), |query| format!("{query}&"));
        let next = format!("<{place}?{query}cursor={}>; rel=\"next\"", start + PAGE);
        response = response.header("link", next);
    }
    let page = Value::from(page.to_vec());
    response.body(text(page.to_string())).unwrap()
}

/// The program, which is told of this hub.
async fn featurize(hub: String, token: &str, statements: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_featurize"));
    program.args(["-q", "--format", "csv"]);
    for sql in statements {
        program.args(["-c", sql]);
    }
    program.envs([("HF_ENDPOINT", &*hub), ("HF_TOKEN", token)]);
    SpawnedTask::spawn_blocking(move || program.output().unwrap())
        .await
        .unwrap()
}

fn printed(output: &Output) -> String {
    let shown = [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy);
    let shown = shown.concat();
    assert!(!shown.contains(TOKEN), "{shown}");
    shown
}

fn files() -> Files {
    [
        ("README.md", &b"about"[..]),
        ("train/Apple 1/0.jpg", b"zero"),
        ("train/Apple 1/1.jpg", b"one"),
        ("train/P\u{e4}r/2 [x].jpg", b"two"),
        ("train/labels.csv", b"path,label\n0.jpg,Apple\n"),
    ]
    .map(|(name, content)| (name, Bytes::from_static(content)))
    .into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_set_is_a_bucket() {
    for (revision, written) in [
        ("main", ""),
        ("v1.0", "@v1.0"),
        ("refs/convert/parquet", "@~parquet"),
    ] {
        let asked = Arc::new(Mutex::new(vec![]));
        let noted = Arc::clone(&asked);
        let files = files();
        let (address, _server) = serve(move |request| {
            noted.lock().unwrap().push(request.uri().to_string());
            answer(&files, revision, request)
        })
        .await;
        let table = format!(
            "CREATE EXTERNAL TABLE images STORED AS BINARYFILE
             LOCATION 'hf://datasets/ann/fruits{written}/train/'
             OPTIONS ('recursiveFileLookup' 'true', 'pathGlobFilter' '*.jpg')"
        );
        let labels = format!(
            "CREATE EXTERNAL TABLE labels STORED AS CSV
             LOCATION 'hf://datasets/ann/fruits{written}/train/labels.csv'"
        );
        let blob = format!(
            "SELECT arrow_cast(read_blob('hf://datasets/ann/fruits{written}/train/Apple 1/1.jpg'), 'Utf8')"
        );
        let output = featurize(
            format!("http://{address}"),
            TOKEN,
            &[
                &table,
                "SELECT path, length, arrow_cast(content, 'Utf8') FROM images ORDER BY path",
                &labels,
                "SELECT * FROM labels",
                &blob,
            ],
        )
        .await;
        let shown = printed(&output);
        assert!(output.status.success(), "{shown}");
        for expected in [
            format!("hf://datasets/ann/fruits{written}/train/Apple 1/0.jpg,4,zero"),
            format!("hf://datasets/ann/fruits{written}/train/Apple 1/1.jpg,3,one"),
            format!("hf://datasets/ann/fruits{written}/train/P\u{e4}r/2 [x].jpg,3,two"),
            "0.jpg,Apple".to_owned(),
        ] {
            assert!(shown.contains(&expected), "{expected}: {shown}");
        }
        assert!(shown.trim_end().ends_with("one"), "{shown}");
        // The listing has four pages, and a file is not asked for twice.
        let asked = asked.lock().unwrap();
        let count = |part: &str| asked.iter().filter(|uri| uri.contains(part)).count();
        assert_eq!(count("/cdn/train/Apple%201/0.jpg"), 1, "{asked:?}");
        assert!(count("cursor=") >= 2, "{asked:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_hub_refuses_is_told_with_what_to_do() {
    let files = files();
    let (address, _server) = serve(move |request| answer(&files, "main", request)).await;
    let hub = format!("http://{address}");
    let table = |place: &str| {
        format!("CREATE EXTERNAL TABLE t STORED AS BINARYFILE LOCATION 'hf://{place}'")
    };
    for (place, token, expected) in [
        (
            "datasets/ann/fruits/train/",
            "wrong",
            "may the token in HF_TOKEN read it?",
        ),
        (
            "datasets/ann/pears/train/",
            TOKEN,
            "is that the name of the data set",
        ),
        (
            "datasets/ann/fruits@v2/train/",
            TOKEN,
            "a branch, tag or commit",
        ),
        ("datasets/ann/", TOKEN, "expected hf://datasets/owner/repo/"),
        ("ann/fruits/", TOKEN, "hf://datasets/owner/repo/"),
        ("datasets/ann/fruits/nowhere/", TOKEN, "nowhere"),
    ] {
        let table = table(place);
        let output = featurize(hub.clone(), token, &[&table, "SELECT count(*) FROM t"]).await;
        let shown = printed(&output);
        assert!(!output.status.success(), "{place}: {shown}");
        assert!(shown.contains(expected), "{place}: {shown}");
    }
    let copy = "COPY (SELECT 1) TO 'hf://datasets/ann/fruits/out/' STORED AS PARQUET";
    let output = featurize(hub, TOKEN, &[copy]).await;
    let shown = printed(&output);
    assert!(!output.status.success(), "{shown}");
    assert!(shown.contains("are read, not written"), "{shown}");
}
