//! Versions, resuming and what is said of failures, without a server.

use super::*;

#[test]
fn versions_survive_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("version");
    for validator in [
        None,
        Some("etag \"a b\""),
        Some("modified 2026-01-01T00:00:00+00:00"),
    ] {
        let version = Version {
            size: 7,
            validator: validator.map(str::to_owned),
        };
        version.write(&path).unwrap();
        assert_eq!(Version::read(&path), Some(version));
    }
    for text in ["", "size 7", "size 7\netag", "size x\netag \"a\"\n"] {
        fs::write(&path, text).unwrap();
        assert_eq!(Version::read(&path), None, "{text:?}");
    }
}

#[test]
fn only_bytes_of_a_known_version_are_gone_on_from() {
    let folder = tempfile::tempdir().unwrap();
    let partial = Partial {
        bytes: folder.path().join("w.partial"),
        version: folder.path().join("w.partial.version"),
    };
    let version = |size, validator: Option<&str>| Version {
        size,
        validator: validator.map(str::to_owned),
    };
    let known = version(7, Some("etag \"a\""));
    for (bytes, on_disk, resumable) in [
        (Some("abc"), Some(known.clone()), true),
        (Some("abcdefg"), Some(known.clone()), true),
        (Some("abcdefgh"), Some(known.clone()), false),
        (Some(""), Some(known.clone()), false),
        (Some("abc"), Some(version(7, None)), false),
        (Some("abc"), None, false),
        (None, Some(known), false),
        (None, None, false),
    ] {
        partial.discard().unwrap();
        if let Some(bytes) = bytes {
            fs::write(&partial.bytes, bytes).unwrap();
        }
        if let Some(version) = &on_disk {
            version.write(&partial.version).unwrap();
        }
        let found = partial.resumable().unwrap();
        assert_eq!(found.is_some(), resumable, "{bytes:?} {on_disk:?}");
        assert_eq!(partial.bytes.exists(), resumable);
        assert_eq!(partial.version.exists(), resumable);
    }
}

/// A server that takes the connection and says nothing.
#[cfg(feature = "http")]
#[test]
fn silence_ends() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/w.h5", listener.local_addr().unwrap());
    let url = WeightsUrl::parse(&url).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let partial = Partial {
        bytes: folder.path().join("w.partial"),
        version: folder.path().join("w.partial.version"),
    };
    let patience = Patience {
        failures: 2,
        pause: Duration::from_millis(1),
        stall: Duration::from_millis(50),
        changes: 0,
    };
    let access = WeightsAccess::default();
    let failure = fetch(&url, "w.h5", &partial, &access, patience).unwrap_err();
    let expected = "nothing arrived for 50ms";
    assert!(
        matches!(&failure, Failure::Remote(why) if why == expected),
        "{failure:?}"
    );
}
