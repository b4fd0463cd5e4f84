//! Downloads that do not come to their end, and those that go on from there.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use datafusion_functions_image::cancel::{self, CancelToken};
use datafusion_functions_image::error::Error;
use datafusion_functions_image::models::Architecture;
use datafusion_functions_image::weights::{Stage, WeightsAccess, WeightsFolder, WeightsSpec};

use crate::download::{assert_clean, body, fetch, folder};
use crate::server::{Content, Server};

#[test]
fn a_cut_connection_is_gone_on_from() {
    let whole = Content::new(&body(2), "a");
    let server = Server::new({
        let whole = whole.clone();
        move |number| Content {
            cut: (number == 0).then_some(70_000),
            ..whole.clone()
        }
    });
    let (_scratch, folder) = folder();
    let cached = fetch(&folder, &server.url("w.h5")).unwrap();
    assert_eq!(std::fs::read(cached.path()).unwrap(), whole.body);
    assert_clean(&folder);
    let requests = server.requests();
    let from: Vec<_> = requests.iter().map(|request| request.from).collect();
    assert_eq!(from, [None, Some(70_000)]);
    let sent: usize = requests.iter().map(|request| request.sent).sum();
    assert_eq!(sent, whole.body.len(), "bytes were fetched twice");
}

/// Leaves a partial file behind, as a process does that dies.
fn interrupted(folder: &WeightsFolder, url: &str, bytes: &[u8], version: Option<&str>) {
    let weights = fetch(folder, url).unwrap();
    let path = weights.path().display().to_string();
    for suffix in ["", ".sha256", ".version"] {
        std::fs::remove_file(format!("{path}{suffix}")).unwrap();
    }
    std::fs::write(format!("{path}.partial"), bytes).unwrap();
    if let Some(version) = version {
        std::fs::write(format!("{path}.partial.version"), version).unwrap();
    }
}

#[test]
fn a_later_process_goes_on_only_from_the_same_version() {
    let bytes = body(3);
    let version = "size 200000\netag \"a\"\n";
    for (partial, version, ranges, expected) in [
        (&bytes[..50_000], Some(version), true, vec![Some(50_000)]),
        // Whole already: a process died before it could rename.
        (&bytes[..], Some(version), true, vec![]),
        // Of another version, of an unknown one, of another size, longer than the file.
        (
            &[7; 50_000],
            Some("size 200000\netag \"b\"\n"),
            true,
            vec![Some(50_000), None],
        ),
        (
            &[7; 50_000],
            Some("size 200001\netag \"a\"\n"),
            true,
            vec![Some(50_000), None],
        ),
        (
            &[7; 50_000],
            Some("size 200000\nunversioned\n"),
            true,
            vec![None],
        ),
        (&[7; 50_000], None, true, vec![None]),
        (&[7; 200_001], Some(version), true, vec![None]),
        // A server that knows no ranges.
        (
            &bytes[..50_000],
            Some(version),
            false,
            vec![Some(50_000), None],
        ),
    ] {
        let mut content = Content::new(&bytes, "a");
        content.ranges = ranges;
        let server = Server::of(content);
        let (_scratch, folder) = folder();
        let url = server.url("w.h5");
        interrupted(&folder, &url, partial, version);
        let before = server.requests().len();
        let cached = fetch(&folder, &url).unwrap();
        assert_eq!(std::fs::read(cached.path()).unwrap(), bytes);
        assert_clean(&folder);
        let requests = server.requests();
        let from: Vec<_> = requests[before..]
            .iter()
            .map(|request| request.from)
            .collect();
        assert_eq!(from, expected, "{version:?}");
    }
}

#[test]
fn a_file_that_changes_during_the_download_starts_anew() {
    let server = Server::new(|number| Content {
        cut: (number == 0).then_some(70_000),
        ..if number == 0 {
            Content::new(&body(4), "a")
        } else {
            Content::new(&body(5), "b")
        }
    });
    let (_scratch, folder) = folder();
    let cached = fetch(&folder, &server.url("w.h5")).unwrap();
    assert_eq!(std::fs::read(cached.path()).unwrap(), body(5));
    assert_clean(&folder);
}

#[test]
fn a_server_that_never_finishes_is_given_up() {
    let server = Server::of(Content {
        cut: Some(0),
        ..Content::new(&body(6), "a")
    });
    let (_scratch, folder) = folder();
    let error = fetch(&folder, &server.url("w.h5")).unwrap_err().to_string();
    assert!(error.contains("after 0 of 200000 bytes"), "{error}");
    assert_eq!(server.requests().len(), 4);
    let whole: Vec<_> = folder.verify().unwrap();
    assert_eq!(whole, []);
}

/// What has arrived stays, and a later download goes on from it.
#[test]
fn a_cancelled_download_ends_in_the_middle() {
    let whole = body(7);
    let (asked, is_asked) = channel();
    let server = Server::new({
        let whole = whole.clone();
        move |number| {
            let _ = asked.send(());
            Content {
                // Longer than any test: the first answer never ends.
                pause: Duration::from_secs(if number == 0 { 3600 } else { 0 }),
                ..Content::new(&whole, "a")
            }
        }
    });
    let (_scratch, folder) = folder();
    let (url, token) = (server.url("w.h5"), CancelToken::new());
    let outcome = std::thread::scope(|scope| {
        let download = scope.spawn(|| cancel::scope(&token, || fetch(&folder, &url)));
        is_asked.recv().unwrap();
        token.cancel();
        download.join().unwrap()
    });
    assert!(matches!(outcome, Err(Error::Cancelled)), "{outcome:?}");
    assert_eq!(server.requests().len(), 1, "it waited for the server");
    let cached = fetch(&folder, &url).unwrap();
    assert_eq!(std::fs::read(cached.path()).unwrap(), whole);
    assert_clean(&folder);
}

/// Another process has the lock of the file.
#[test]
fn waiting_for_another_process_can_be_cancelled() {
    let server = Server::of(Content::new(&body(8), "a"));
    let (_scratch, folder) = folder();
    let url = server.url("w.h5");
    let path = fetch(&folder, &url).unwrap().path().to_owned();
    std::fs::remove_file(&path).unwrap();
    let lock = std::fs::File::open(format!("{}.lock", path.display())).unwrap();
    lock.lock().unwrap();
    let token = CancelToken::new();
    let stop = token.clone();
    let access = WeightsAccess::default().with_progress(Arc::new(move |progress| {
        if progress.stage == Stage::Waiting {
            stop.cancel();
        }
    }));
    // So that the test ends in any case.
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(30));
        drop(lock);
    });
    let weights = WeightsSpec::parse(&url).unwrap();
    let fetch = || folder.fetch(&weights, Architecture::Vgg16, &access);
    let outcome = cancel::scope(&token, fetch);
    assert!(matches!(outcome, Err(Error::Cancelled)), "{outcome:?}");
    assert_eq!(server.requests().len(), 1, "it waited for the lock");
}
