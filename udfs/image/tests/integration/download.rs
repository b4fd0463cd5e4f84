//! Downloads of weights, from a server on this machine.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use datafusion_functions_image::error::{Error, Result};
use datafusion_functions_image::model::{DeviceKind, Model};
use datafusion_functions_image::models::Architecture;
use datafusion_functions_image::weights::{
    CachedWeights, FileState, Verdict, WeightsAccess, WeightsFolder, WeightsSpec,
};
use tempfile::TempDir;

use crate::keras::unpack;
use crate::server::{Content, Server};

const VGG16: &str = "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5";
const MOBILENET_V2: &str = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5";

pub(crate) fn folder() -> (TempDir, WeightsFolder) {
    let scratch = tempfile::tempdir().unwrap();
    let folder = WeightsFolder::locate(Some(&scratch.path().join("weights"))).unwrap();
    (scratch, folder)
}

/// Two hundred thousand bytes that begin as HDF5, more than any buffer on the way.
pub(crate) fn body(seed: usize) -> Vec<u8> {
    let mut body: Vec<u8> = (0..200_000).map(|i| (i * i / 7 + seed * i) as u8).collect();
    body[..8].copy_from_slice(b"\x89HDF\r\n\x1a\n");
    body
}

/// Downloads as `featurize weights fetch` does.
pub(crate) fn fetch(folder: &WeightsFolder, url: &str) -> Result<CachedWeights> {
    let weights = WeightsSpec::parse(url)?;
    folder.fetch(&weights, Architecture::Vgg16, &WeightsAccess::default())
}

fn names(folder: &WeightsFolder) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder.path()) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Nothing is in the folder but whole files with their records, and locks.
pub(crate) fn assert_clean(folder: &WeightsFolder) {
    for name in names(folder) {
        assert!(
            !name.contains(".partial") && !name.ends_with(".new"),
            "{name} was left behind"
        );
    }
}

/// A process of its own that first uses weights, as a query would.
struct Child {
    weights: String,
    model: &'static str,
    variables: Vec<(&'static str, String)>,
}

impl Child {
    fn of(weights: &str) -> Self {
        Self {
            weights: weights.to_owned(),
            model: "vgg16",
            variables: Vec::new(),
        }
    }

    /// `'imagenet'` with this server in place of Keras's.
    fn imagenet(model: &'static str, base: &str) -> Self {
        Self {
            weights: "imagenet".to_owned(),
            model,
            variables: vec![("FEATURIZE_WEIGHTS_URL", base.to_owned())],
        }
    }

    fn start(&self, folder: &WeightsFolder) -> std::process::Child {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "download::in_a_process_of_its_own", "--ignored"])
            .arg("--nocapture")
            .env("TEST_WEIGHTS", &self.weights)
            .env("TEST_MODEL", self.model)
            .env("FEATURIZE_WEIGHTS_DIR", folder.path())
            .envs(self.variables.iter().cloned())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// The SHA-256 of the weights, or the error.
    fn run(&self, folder: &WeightsFolder) -> Result<String, String> {
        outcome(self.start(folder))
    }
}

fn outcome(child: std::process::Child) -> Result<String, String> {
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (_, rest) = text.split_once("OUTCOME ").unwrap();
    let (outcome, _) = rest.split_once(" END").unwrap();
    match outcome.split_once(' ').unwrap() {
        ("ok", sha256) => Ok(sha256.to_owned()),
        (_, error) => Err(error.to_owned()),
    }
}

#[test]
#[ignore = "started by the other tests"]
fn in_a_process_of_its_own() {
    let variable = |name| std::env::var(name).unwrap();
    let weights = WeightsSpec::parse(&variable("TEST_WEIGHTS")).unwrap();
    let architecture = Architecture::parse(&variable("TEST_MODEL")).unwrap();
    match weights.resolve(architecture, None, &WeightsAccess::default()) {
        Ok(WeightsSpec::Cached(cached)) => println!("OUTCOME ok {} END", cached.sha256()),
        Ok(other) => println!("OUTCOME error not cached: {other} END"),
        Err(error) => println!("OUTCOME error {error} END"),
    }
}

#[test]
fn a_download_is_recorded_and_serves_ever_after() {
    let scratch = tempfile::tempdir().unwrap();
    let file = unpack(scratch.path(), "mobilenet_v2_keras2.h5");
    let bytes = std::fs::read(file).unwrap();
    let server = Server::of(Content::new(&bytes, "a"));
    let (_scratch, folder) = folder();
    let child = Child::imagenet("mobilenet_v2", &server.url("keras"));
    let sha256 = child.run(&folder).unwrap();
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    let target = format!("/keras/mobilenet_v2/{MOBILENET_V2}");
    assert_eq!(requests[0].target, target);
    assert_eq!(
        std::fs::read(folder.path().join(MOBILENET_V2)).unwrap(),
        bytes
    );
    assert_clean(&folder);
    let record = std::fs::read_to_string(folder.path().join(format!("{MOBILENET_V2}.sha256")));
    assert_eq!(record.unwrap(), format!("{sha256}  {MOBILENET_V2}\n"));

    // Published files never change: the server is not asked again.
    assert_eq!(child.run(&folder), Ok(sha256.clone()));
    assert_eq!(server.requests().len(), 1);

    // What was downloaded is what the network is built from.
    let access = WeightsAccess::default();
    let weights = WeightsSpec::ImageNet;
    let weights = weights.resolve(Architecture::MobileNetV2, Some(folder.path()), &access);
    let model = Model::load(
        Architecture::MobileNetV2,
        &weights.unwrap(),
        DeviceKind::Cpu,
    );
    let model = model.unwrap();
    assert_eq!(model.weights_sha256(), sha256);
    assert!(model.weights_origin().starts_with("'imagenet' ("));

    let files = folder.files().unwrap();
    let states: Vec<_> = files
        .iter()
        .map(|file| (file.name.as_str(), file.state))
        .collect();
    let expected = [
        (VGG16, FileState::Absent),
        (MOBILENET_V2, FileState::Cached),
    ];
    assert_eq!(states[..2], expected);
    let mut others = states[2..].iter();
    assert!(others.all(|(_, state)| *state == FileState::Absent));
    assert_eq!(files[1].sha256, Some(sha256.clone()));
    let verdicts = folder.verify().unwrap();
    assert_eq!(
        verdicts,
        [(MOBILENET_V2.to_owned(), sha256, Verdict::Intact)]
    );
}

#[test]
fn what_is_not_there_is_named_with_what_to_do() {
    let mut content = Content::new(b"", "a");
    content.status = 404;
    let server = Server::of(content);
    let (_scratch, folder) = folder();
    let base = server.url("keras");
    let error = Child::imagenet("vgg16", &base).run(&folder).unwrap_err();
    for part in [
        "weights 'imagenet'",
        &format!("{base}/vgg16/{VGG16}"),
        "404 Not Found",
        &format!("put it into {}", folder.path().display()),
        "'seeded'",
    ] {
        assert!(error.contains(part), "{part} is not in: {error}");
    }
    assert_eq!(
        server.requests().len(),
        1,
        "a missing file is not asked for twice"
    );
    let error = fetch(&folder, &server.url("w.h5")).unwrap_err().to_string();
    assert!(
        error.contains("404 Not Found") && error.contains("give its path"),
        "{error}"
    );
    assert_clean(&folder);
}

#[test]
fn nobody_there() {
    // A port that was free a moment ago.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let (_scratch, folder) = folder();
    let error = Child::imagenet("vgg16", &base).run(&folder).unwrap_err();
    assert!(error.contains("Connection refused"), "{error}");
    assert!(error.contains("'seeded'"), "{error}");
    assert_clean(&folder);
}

#[test]
fn a_file_with_the_wrong_hash_is_thrown_away() {
    let server = Server::of(Content::new(&body(1), "a"));
    let (_scratch, folder) = folder();
    let child = Child::imagenet("vgg16", &server.url("keras"));
    let error = child.run(&folder).unwrap_err();
    assert!(error.contains("has MD5"), "{error}");
    assert!(
        error.contains("expected 6d6bbae143d832006294945121d1f1fc"),
        "{error}"
    );
    assert!(!folder.path().join(VGG16).exists());
    assert_clean(&folder);

    // Put there by hand it is no better.
    std::fs::write(folder.path().join(VGG16), body(1)).unwrap();
    let error = child.run(&folder).unwrap_err();
    assert!(
        error.contains("is damaged, or another file: it has MD5"),
        "{error}"
    );
    assert!(matches!(folder.verify().unwrap()[0].2, Verdict::Damaged(_)));
}

/// What servers send in the place of a file, whatever it is called.
#[test]
fn what_is_no_weights_is_thrown_away() {
    for (body, what) in [
        (
            &b"<!DOCTYPE html><title>Sign in</title>"[..],
            "this is a web page ('Sign in')",
        ),
        (
            b"<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code></Error>",
            "an XML answer of a server",
        ),
        (b"{\"error\":\"Invalid credentials\"}", "JSON: {\"error\""),
        (
            b"version https://git-lfs.github.com/spec/v1\nsize 9\n",
            "a pointer of Git LFS",
        ),
        (b"\x80\x02}q\x00", "a Python pickle"),
        (b"PK\x05\x06junk", "a ZIP archive that is not whole"),
        (b"weights", "7 bytes are not a whole HDF5 file"),
        (b"", "an empty file"),
    ] {
        let server = Server::of(Content::new(body, "a"));
        let (_scratch, folder) = folder();
        let error = fetch(&folder, &server.url("w.h5")).unwrap_err().to_string();
        assert!(
            error.contains(what) && error.contains("thrown away"),
            "{error}"
        );
        let error = Child::imagenet("vgg16", &server.url("keras"))
            .run(&folder)
            .unwrap_err();
        assert!(error.contains(what) && !error.contains("MD5"), "{error}");
        assert_eq!(folder.verify().unwrap(), []);
        assert_clean(&folder);
    }
}

#[test]
fn processes_that_start_at_once_share_one_download() {
    let server = Server::of(Content {
        pause: Duration::from_millis(700),
        ..Content::new(&body(7), "a")
    });
    let (_scratch, folder) = folder();
    let child = Child::imagenet("mobilenet_v2", &server.url("keras"));
    let children: Vec<_> = (0..3).map(|_| child.start(&folder)).collect();
    let outcomes: Vec<_> = children.into_iter().map(outcome).collect();
    assert!(outcomes[0].is_ok(), "{outcomes:?}");
    assert!(outcomes.iter().all(|outcome| *outcome == outcomes[0]));
    assert_eq!(server.requests().len(), 1);
    assert_clean(&folder);
}

#[test]
fn a_url_is_asked_once_a_process_whether_it_has_changed() {
    let server = Server::new(|number| match number {
        0 | 1 => Content::new(&body(8), "a"),
        2 | 3 => Content::new(&body(9), "b"),
        _ => Content {
            status: 503,
            ..Content::new(b"", "c")
        },
    });
    let (_scratch, folder) = folder();
    let child = Child::of(&server.url("w.safetensors"));
    let first = child.run(&folder).unwrap();
    assert_eq!(child.run(&folder), Ok(first.clone()));
    assert_eq!(server.requests()[1].if_none_match.as_deref(), Some("\"a\""));
    assert_eq!(server.requests()[1].sent, 0, "the same file was sent again");
    let second = child.run(&folder).unwrap();
    assert_ne!(second, first);
    assert_clean(&folder);
    // Nobody can say whether it has changed: what is there is used.
    assert_eq!(child.run(&folder), Ok(second));
}

#[test]
fn damage_is_reported_and_mended_by_fetching() {
    let server = Server::of(Content::new(&body(10), "a"));
    let (_scratch, folder) = folder();
    let url = server.url("w.h5");
    let cached = fetch(&folder, &url).unwrap();
    let mut bytes = body(10);
    bytes[1000] ^= 1;
    std::fs::write(cached.path(), bytes).unwrap();
    let error = Child::of(&url).run(&folder).unwrap_err();
    assert!(
        error.contains("is damaged, or another file: it has SHA-256"),
        "{error}"
    );
    assert!(matches!(folder.verify().unwrap()[..], [(_, _, Verdict::Damaged(_))] if true));
    assert_eq!(fetch(&folder, &url).unwrap(), cached);
    assert_eq!(std::fs::read(cached.path()).unwrap(), body(10));
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let folder = WeightsFolder::locate(Some(&file.join("weights"))).unwrap();
    let server = Server::of(Content::new(&body(11), "a"));
    let error = fetch(&folder, &server.url("w.h5")).unwrap_err();
    assert!(matches!(error, Error::Weights { .. }));
    let error = error.to_string();
    assert!(error.contains(folder.path().to_str().unwrap()), "{error}");
    assert!(error.contains("SET featurize.weights_dir"), "{error}");
    assert_eq!(server.requests().len(), 0);
}

/// What is there already needs no permission to write.
#[cfg(unix)]
#[test]
fn a_read_only_folder_serves_what_it_has() {
    use std::os::unix::fs::PermissionsExt;

    let server = Server::of(Content::new(&body(12), "a"));
    let (_scratch, folder) = folder();
    let url = server.url("w.h5");
    let cached = fetch(&folder, &url).unwrap();
    let mode = |mode| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(folder.path(), permissions).unwrap();
    };
    mode(0o555);
    let again = Child::of(&url).run(&folder);
    // Root may write in spite of the permissions.
    let root = std::fs::write(folder.path().join("probe"), b"").is_ok();
    let other = fetch(&folder, &server.url("other.h5"));
    mode(0o755);
    assert_eq!(again.as_deref(), Ok(cached.sha256()));
    if !root {
        let error = other.unwrap_err().to_string();
        assert!(error.contains("cannot be kept in"), "{error}");
    }
}

#[test]
fn secrets_are_used_and_never_shown() {
    let server = Server::of(Content::new(&body(13), "a"));
    let (_scratch, folder) = folder();
    let plain = server.url("models/w.h5");
    let secret = plain.replace("http://", "http://ann:hush-hush@") + "?X-Amz-Signature=c0ffee";
    let cached = fetch(&folder, &secret).unwrap();
    let requests = server.requests();
    assert_eq!(requests[0].target, "/models/w.h5?X-Amz-Signature=c0ffee");
    let expected = "Basic YW5uOmh1c2gtaHVzaA==";
    assert_eq!(requests[0].authorization.as_deref(), Some(expected));
    let mut shown = vec![format!("{cached:?}"), names(&folder).join(" ")];
    for name in names(&folder) {
        let path = folder.path().join(&name);
        if !name.ends_with(".h5") {
            shown.push(std::fs::read_to_string(path).unwrap());
        }
    }
    let weights = WeightsSpec::parse(&secret).unwrap();
    shown.push(format!("{weights} {weights:?}"));
    // The file is no HDF5, which the error says of the file and of its address.
    let access = WeightsAccess::default();
    let weights = weights.resolve(Architecture::Vgg16, Some(folder.path()), &access);
    let weights = weights.unwrap();
    let error = Model::load(Architecture::Vgg16, &weights, DeviceKind::Cpu).unwrap_err();
    shown.push(error.to_string());

    let gone = Server::of(Content {
        status: 403,
        ..Content::new(b"", "a")
    });
    let secret = secret.replace(&server.url(""), &gone.url(""));
    let secret = secret.replace(
        server.url("").trim_start_matches("http://"),
        gone.url("").trim_start_matches("http://"),
    );
    let error = fetch(&folder, &secret).unwrap_err().to_string();
    assert!(error.contains("403 Forbidden"), "{error}");
    shown.push(error);
    for text in shown {
        for secret in ["ann:", "hush-hush", "c0ffee", "YW5u"] {
            assert!(!text.contains(secret), "{secret} is in: {text}");
        }
    }
}

#[test]
fn the_hub_is_where_its_variable_says() {
    let server = Server::of(Content::new(&body(14), "a"));
    let (_scratch, folder) = folder();
    let mut child = Child::of("hf://owner/repo/sub/model.safetensors");
    child.variables = vec![
        ("HF_ENDPOINT", server.url("")),
        ("HF_TOKEN", "hf_hush".to_owned()),
    ];
    child.run(&folder).unwrap();
    let requests = server.requests();
    assert_eq!(
        requests[0].target,
        "/owner/repo/resolve/main/sub/model.safetensors"
    );
    assert_eq!(requests[0].authorization.as_deref(), Some("Bearer hf_hush"));
}

#[test]
fn what_cannot_be_downloaded_is_refused() {
    let (_scratch, folder) = folder();
    let access = WeightsAccess::default();
    let error = folder.fetch(&WeightsSpec::Seeded, Architecture::Vgg16, &access);
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("'imagenet' or a URL")
    );
    let error = fetch(&folder, "s3://bucket/w.h5").unwrap_err().to_string();
    assert!(
        error.contains("there is no object store for s3:// here"),
        "{error}"
    );
    assert!(!Path::new("s3:").exists());
}
