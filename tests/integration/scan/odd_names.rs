//! Keys and names that cannot be read, and those that stand for folders, among good ones.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;

use datafusion::prelude::SessionContext;
use url::Url;

use super::s3_server::{Kind, S3Server};
use super::{contents, error, run, session};

const GOOD: [&str; 6] = [
    "top.jpg",
    "x.jpg",
    "t/a b.jpg",
    "t/ blanks .jpg",
    "t/deep/er/c.jpg",
    "t/empty.jpg",
];

const UNNAMEABLE: [&str; 6] = [
    "/x.jpg",
    "/t/a b.jpg",
    "t//y.jpg",
    "t/./z.jpg",
    "t/deep/../w.jpg",
    "t/deep/line\nbreak.jpg",
];

const MARKERS: [&str; 6] = [
    "t/",
    "t/Empty/",
    "t/deep/er/",
    "t/Apple 1_$folder$",
    "t/deep_$folder$",
    "t/deep/er",
];

fn server() -> S3Server {
    let server = S3Server::in_memory(&["fruits"]);
    for key in GOOD {
        let content = if key.contains("empty") { "" } else { key };
        server.put("fruits", key, content);
    }
    for key in MARKERS {
        server.put("fruits", key, "");
    }
    server
}

async fn paths(ctx: &SessionContext, location: &str, options: &str) -> BTreeSet<String> {
    run(ctx, "DROP TABLE IF EXISTS images").await;
    let sql = format!(
        "CREATE EXTERNAL TABLE images STORED AS BINARYFILE LOCATION '{location}' OPTIONS ({options})"
    );
    run(ctx, &sql).await;
    let found = contents(&run(ctx, "SELECT path, content FROM images").await);
    for (path, content) in &found {
        let content = String::from_utf8(content.clone().unwrap()).unwrap();
        assert!(
            content.is_empty() || path.ends_with(&content),
            "{path} holds {content}"
        );
    }
    found.into_keys().collect()
}

fn expected(prefix: &str) -> BTreeSet<String> {
    let keys = GOOD.iter().filter(|key| key.starts_with(prefix));
    keys.map(|key| format!("s3://fruits/{key}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_without_a_name_do_not_keep_the_others_from_being_read() {
    let server = server();
    for key in UNNAMEABLE {
        server.put("fruits", key, key);
    }
    let ctx = session();
    let recursive = format!("'recursiveFileLookup' 'true', {}", server.options());
    assert_eq!(paths(&ctx, "s3://fruits/", &recursive).await, expected(""));
    assert_eq!(
        paths(&ctx, "s3://fruits/t/", &recursive).await,
        expected("t/")
    );
    assert_eq!(
        paths(&ctx, "s3://fruits/**/*.jpg", &recursive).await,
        expected("")
    );
    let top = paths(&ctx, "s3://fruits/", &server.options()).await;
    assert_eq!(top.len(), 2, "{top:?}");
    // Three listings for the tables and three for the queries, of a handful of folders.
    assert!(
        server.requests(Kind::List) < 60,
        "{}",
        server.requests(Kind::List)
    );

    let create = format!(
        "CREATE EXTERNAL TABLE images STORED AS BINARYFILE LOCATION 's3://fruits/t/' OPTIONS ({recursive})"
    );
    let output = Command::new(env!("CARGO_BIN_EXE_featurize"))
        .args([
            "-q",
            "--format",
            "csv",
            "-c",
            &create,
            "-c",
            "SELECT count(*) AS n FROM images",
        ])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "n\n4\n");
    let warnings = String::from_utf8_lossy(&output.stderr);
    assert_eq!(warnings.matches("left out").count(), 1, "{warnings}");
    assert!(
        warnings.contains("s3://fruits/t: 4 left out") && warnings.contains("\"t/./"),
        "{warnings}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_walk_of_a_programs_own_store_ends() {
    let server = S3Server::in_memory(&["fruits"]);
    for key in ["top.jpg", "/x.jpg", "/t/y.jpg", "t/z.jpg"] {
        server.put("fruits", key, key);
    }
    let ctx = session();
    let store = server.store("fruits").build().unwrap();
    ctx.register_object_store(&Url::parse("s3://fruits").unwrap(), Arc::new(store));
    let found = paths(&ctx, "s3://fruits/", "'recursiveFileLookup' 'true'").await;
    let expected = ["s3://fruits/t/z.jpg", "s3://fruits/top.jpg"];
    assert_eq!(found, expected.map(str::to_owned).into());
    let found = paths(&ctx, "s3://fruits/", "'pathGlobFilter' '*'").await;
    assert_eq!(found, ["s3://fruits/top.jpg".to_owned()].into());
    assert!(
        server.requests(Kind::List) < 12,
        "{}",
        server.requests(Kind::List)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn markers_of_folders_are_no_rows() {
    let server = server();
    let ctx = session();
    let options = server.options();
    let recursive = format!("'recursiveFileLookup' 'true', {options}");
    for (location, prefix) in [
        ("s3://fruits/", ""),
        ("s3://fruits/t", "t/"),
        ("s3://fruits/t/*", "t/"),
    ] {
        assert_eq!(
            paths(&ctx, location, &recursive).await,
            expected(prefix),
            "{location}"
        );
    }
    // An empty folder is one that exists.
    assert_eq!(paths(&ctx, "s3://fruits/t/Empty/", &options).await.len(), 0);
    assert_eq!(paths(&ctx, "s3://fruits/t/Empty", &options).await.len(), 0);

    for key in ["p/", "p/year=2024/", "p/year=2024_$folder$", "p/year=2025/"] {
        server.put("fruits", key, "");
    }
    server.put("fruits", "p/year=2024/a.jpg", "a.jpg");
    let found = paths(&ctx, "s3://fruits/p/", &options).await;
    assert_eq!(found, ["s3://fruits/p/year=2024/a.jpg".to_owned()].into());
    let years = run(&ctx, "SELECT year FROM images").await;
    assert!(format!("{years:?}").contains("2024"), "{years:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_location_is_what_was_typed_and_decoded_only_if_there_is_no_such_thing() {
    let server = S3Server::in_memory(&["fruits"]);
    let keys = [
        "t/Apple%20Red/1.jpg",
        "t/Apple Red/2.jpg",
        "t/Only Blank/3.jpg",
        "t/100%/4.jpg",
    ];
    let folder = tempfile::tempdir().unwrap();
    for key in keys {
        server.put("fruits", key, key);
        let file = folder.path().join(key);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, key).unwrap();
    }
    let ctx = session();
    let disk = format!("file://{}", folder.path().canonicalize().unwrap().display());
    for root in ["s3://fruits", &disk] {
        let options = server.options();
        for (location, key) in [
            ("t/Apple%20Red/", keys[0]),
            ("t/Apple%20Red/1.jpg", keys[0]),
            ("t/Apple%20*/*", keys[0]),
            ("t/Apple Red/", keys[1]),
            ("t/Only%20Blank/", keys[2]),
            ("t/Only%20B*/*.jpg", keys[2]),
            ("t/100%/", keys[3]),
            ("t/100%25/", keys[3]),
        ] {
            let found = paths(&ctx, &format!("{root}/{location}"), &options).await;
            assert_eq!(found, [format!("{root}/{key}")].into(), "{root}/{location}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_looks_like_a_glob_is_read_as_the_name_where_it_exists() {
    let server = S3Server::in_memory(&["fruits"]);
    let keys = [
        "photos [2024]/a.jpg",
        "photos 2/b.jpg",
        "x{1}/c.jpg",
        "y*z/d.jpg",
        "y1z/e.jpg",
        "[a/f.jpg",
        "g?.jpg",
        "gg.jpg",
    ];
    let folder = tempfile::tempdir().unwrap();
    for key in keys {
        server.put("fruits", key, key);
        let file = folder.path().join(key);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, key).unwrap();
    }
    let ctx = session();
    let disk = format!("file://{}", folder.path().canonicalize().unwrap().display());
    for root in ["s3://fruits", &disk] {
        for (location, expected) in [
            ("photos [2024]/", &keys[..1]),
            ("photos [2024]/a.jpg", &keys[..1]),
            ("photos [2024]", &keys[..1]),
            ("photos%20[2024]/", &keys[..1]),
            ("photos [0-9]/", &keys[1..2]),
            ("x{1}/", &keys[2..3]),
            ("y*z/", &keys[3..4]),
            ("y?z/", &keys[3..5]),
            ("[a/", &keys[5..6]),
            ("g?.jpg", &keys[6..7]),
            ("g*.jpg", &keys[6..8]),
        ] {
            let found = paths(&ctx, &format!("{root}/{location}"), &server.options()).await;
            let expected = expected.iter().map(|key| format!("{root}/{key}")).collect();
            assert_eq!(found, expected, "{root}/{location}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_location_with_an_empty_name_does_not_read_the_folder_above() {
    let server = server();
    for location in ["s3://fruits//", "s3://fruits/t//", "s3://fruits/t/../"] {
        let sql = format!(
            "CREATE EXTERNAL TABLE images STORED AS BINARYFILE LOCATION '{location}' OPTIONS ({})",
            server.options()
        );
        let told = error(&session(), &sql).await;
        assert!(told.contains("cannot be reached"), "{location}: {told}");
    }
    assert_eq!(server.requests(Kind::List), 0);
}

#[cfg(unix)]
#[test]
fn names_of_the_disk_that_cannot_be_read_are_told() {
    use std::os::unix::ffi::OsStrExt;

    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().canonicalize().unwrap();
    std::fs::create_dir(place.join("deep")).unwrap();
    for name in ["a.jpg", "b#c.jpg", "deep/d.jpg", "e.jpg#12"] {
        std::fs::write(place.join(name), name).unwrap();
    }
    std::fs::write(place.join(std::ffi::OsStr::from_bytes(b"\xff.jpg")), "").unwrap();
    std::os::unix::fs::symlink(&place, place.join("deep/loop")).unwrap();
    let create = format!(
        "CREATE EXTERNAL TABLE images STORED AS BINARYFILE LOCATION '{}/'
         OPTIONS ('recursiveFileLookup' 'true')",
        place.display()
    );
    let output = Command::new(env!("CARGO_BIN_EXE_featurize"))
        .args(["-q", "--format", "csv", "-c", &create])
        .args([
            "-c",
            "SELECT count(*) AS n, count(content) AS read FROM images",
        ])
        .output()
        .unwrap();
    let warnings = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "n,read\n3,3\n",
        "{warnings}"
    );
    assert!(
        warnings.contains("3 left out") && warnings.contains("a link to a folder"),
        "{warnings}"
    );

    // Named on its own, such a file is refused with the reason.
    let create = create.replace("/'\n", "/e.jpg#12'\n");
    let output = Command::new(env!("CARGO_BIN_EXE_featurize"))
        .args(["-q", "-c", &create])
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        error.contains("e.jpg#12") && error.contains("not supported"),
        "{error}"
    );
    assert!(error.contains("its name ends in '#' and digits"), "{error}");
    assert_eq!(output.status.code(), Some(1));
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_or_a_device_is_refused_and_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe.jpg");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    for place in [pipe.to_str().unwrap(), "/dev/zero", "file:///dev/null"] {
        let sql = format!("CREATE EXTERNAL TABLE images STORED AS BINARYFILE LOCATION '{place}'");
        let ctx = session();
        let told = tokio::time::timeout(std::time::Duration::from_secs(60), error(&ctx, &sql));
        let told = told.await.unwrap();
        let name = place.trim_start_matches("file://");
        assert!(told.contains(name) && told.contains("not a file"), "{told}");
    }
}
