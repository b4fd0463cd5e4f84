//! Archives are read as the folders that they were made of.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::prelude::SessionContext;
use rawzip::CompressionMethod;

use self::made::{DEFLATED, Member, STORED, gzip, tar, zip, zip_of};
use super::{contents, error, objects, run, session};
use crate::counting_store::CountingStore;

#[path = "../../support/archives.rs"]
pub(crate) mod made;

async fn table(ctx: &SessionContext, location: &str, options: &str) {
    run(ctx, "DROP TABLE IF EXISTS images").await;
    let sql = format!(
        "CREATE EXTERNAL TABLE images STORED AS BINARYFILE LOCATION '{location}' {options}"
    );
    run(ctx, &sql).await;
}

const RECURSIVE: &str = "OPTIONS ('recursiveFileLookup' 'true')";

/// The objects of a folder in which everything occurs, and that folder as archives.
async fn store(ctx: &SessionContext) -> (Arc<CountingStore>, Vec<(String, Vec<u8>)>) {
    let mut files = objects(60);
    files.push(("t/_SUCCESS".into(), vec![]));
    files.push(("t/.hidden/x.jpg".into(), vec![1]));
    files.push(("t/Kind 1/é.jpg".into(), vec![2; 70_000]));
    files.push((format!("t/{}/long.jpg", "n".repeat(120)), vec![3; 9]));
    files.push(("t/top.png".into(), vec![4; 4_000]));
    let named = || {
        files
            .iter()
            .map(|(name, content)| (&name[2..], &content[..]))
    };
    let members: Vec<Member<'_>> = named()
        .zip([STORED, DEFLATED].into_iter().cycle())
        .map(|((name, content), method)| (name, content, method))
        .collect();
    let archives = [
        ("a/t.zip", zip(&members)),
        ("a/t.tar", tar(named())),
        ("a/t.tgz", gzip(&tar(named()))),
    ];
    let archives = archives.map(|(name, content)| (name.to_owned(), content));
    let store = CountingStore::register(ctx, files.iter().cloned().chain(archives)).await;
    (store, files)
}

const ARCHIVES: [&str; 3] = ["a/t.zip", "a/t.tar", "a/t.tgz"];

#[tokio::test(flavor = "multi_thread")]
async fn every_query_gives_what_the_folder_gives() {
    let ctx = session();
    store(&ctx).await;
    for (place, options, query) in [
        ("", RECURSIVE, "SELECT path, content FROM images"),
        ("/", "", "SELECT path, content FROM images"),
        ("/*", "", "SELECT path, content FROM images"),
        ("/Kind 3", "", "SELECT path, content FROM images"),
        ("/Kind [12]/*1*.jpg", "", "SELECT path, content FROM images"),
        (
            "/**/*.jpg",
            "",
            "SELECT path, content FROM images WHERE length > 100",
        ),
        (
            "",
            "OPTIONS ('recursiveFileLookup' 'true', 'pathGlobFilter' '*.png')",
            "SELECT path, content FROM images",
        ),
        (
            "",
            "OPTIONS ('recursiveFileLookup' 'true', 'maxLength' '300', 'oversize' 'null')",
            "SELECT path, content FROM images",
        ),
        (
            "",
            "OPTIONS ('recursiveFileLookup' 'true', 'maxLength' '300', 'oversize' 'skip')",
            "SELECT path, content FROM images",
        ),
    ] {
        table(&ctx, &format!("s3://counted/t{place}"), options).await;
        let of_folder = contents(&run(&ctx, query).await);
        assert!(!of_folder.is_empty(), "{place} {options}");
        for archive in ARCHIVES {
            table(&ctx, &format!("s3://counted/{archive}{place}"), options).await;
            let found = contents(&run(&ctx, query).await);
            let renamed: BTreeMap<_, _> = of_folder
                .iter()
                .map(|(path, content)| (path.replace("/t/", &format!("/{archive}/")), content))
                .collect();
            let found: BTreeMap<_, _> = found.iter().map(|(p, c)| (p.clone(), c)).collect();
            assert_eq!(found, renamed, "{archive}{place} {options} {query}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_discovered_and_globs_name_several() {
    let ctx = session();
    let years = [("year=2023/1.jpg", &b"3"[..]), ("year=2024/1.jpg", b"4")];
    CountingStore::register(&ctx, [("y.tar".to_owned(), tar(years))]).await;
    table(&ctx, "s3://counted/y.tar", "").await;
    let rows = run(&ctx, "SELECT path, content FROM images WHERE year = 2024").await;
    let found: Vec<_> = contents(&rows).into_values().flatten().collect();
    assert_eq!(found, [b"4"]);
    store(&ctx).await;
    table(&ctx, "s3://counted/a/*.t*", RECURSIVE).await;
    let rows = contents(&run(&ctx, "SELECT path, content FROM images").await);
    assert_eq!(rows.len(), 2, "archives in a glob of files are files");
    table(&ctx, "s3://counted/a/*.tar", RECURSIVE).await;
    let rows = contents(&run(&ctx, "SELECT path, content FROM images").await);
    assert_eq!(rows.len(), 63);
    table(&ctx, "s3://counted/a/", "").await;
    let rows = contents(&run(&ctx, "SELECT path, content FROM images").await);
    assert_eq!(rows.len(), 3, "archives in a folder are files");
}

#[tokio::test(flavor = "multi_thread")]
async fn neighbours_come_with_one_request_and_the_index_is_kept() {
    let ctx = session();
    let (store, _) = store(&ctx).await;
    for (archive, most) in [("a/t.zip", 6), ("a/t.tar", 6)] {
        table(&ctx, &format!("s3://counted/{archive}"), RECURSIVE).await;
        let before = store.gets();
        run(&ctx, "SELECT count(*), sum(length) FROM images").await;
        assert_eq!(store.gets(), before, "{archive}: metadata costs nothing");
        let rows = run(&ctx, "SELECT path, content FROM images").await;
        assert_eq!(contents(&rows).len(), 63);
        let gets = store.gets() - before;
        assert!(gets <= most, "{archive}: {gets} requests");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_changes_is_listed_anew() {
    let ctx = session();
    let one = zip(&[("a.jpg", b"one", STORED)]);
    let two = zip(&[("a.jpg", b"two", STORED), ("b.jpg", b"2", STORED)]);
    CountingStore::register(&ctx, [("x.zip".to_owned(), one)]).await;
    table(&ctx, "s3://counted/x.zip", "").await;
    assert_eq!(
        contents(&run(&ctx, "SELECT path, content FROM images").await).len(),
        1
    );
    CountingStore::register(&ctx, [("x.zip".to_owned(), two)]).await;
    let found = contents(&run(&ctx, "SELECT path, content FROM images").await);
    let found: Vec<_> = found.into_values().flatten().collect();
    assert_eq!(found, [b"two".to_vec(), b"2".to_vec()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_cannot_leave_the_archive_and_the_last_of_a_name_counts() {
    let ctx = session();
    let names = [
        "/etc/passwd",
        "../up.jpg",
        "./a//b.jpg",
        "c.jpg",
        "c.jpg",
        "d/../../e.jpg",
        "f/",
    ];
    let of_zip: Vec<Member<'_>> = names.iter().map(|n| (*n, n.as_bytes(), STORED)).collect();
    let mut of_zip = of_zip;
    of_zip[3].1 = b"first";
    let of_tar = of_zip.iter().map(|(name, content, _)| (*name, *content));
    let files = [
        ("n.zip".to_owned(), zip(&of_zip)),
        ("n.tar".to_owned(), tar(of_tar)),
    ];
    CountingStore::register(&ctx, files).await;
    for archive in ["n.zip", "n.tar"] {
        table(&ctx, &format!("s3://counted/{archive}"), RECURSIVE).await;
        let found = contents(&run(&ctx, "SELECT path, content FROM images").await);
        let found: Vec<_> = found
            .iter()
            .map(|(path, content)| (path.as_str(), content.as_deref().unwrap()))
            .collect();
        let expected: [(String, &[u8]); 3] = [
            (format!("s3://counted/{archive}/a/b.jpg"), b"./a//b.jpg"),
            (format!("s3://counted/{archive}/c.jpg"), b"c.jpg"),
            (format!("s3://counted/{archive}/etc/passwd"), b"/etc/passwd"),
        ];
        let expected: Vec<_> = expected
            .iter()
            .map(|(path, c)| (path.as_str(), *c))
            .collect();
        assert_eq!(found, expected, "{archive}");
    }
}

/// Requests are many rows long, and batches are not.
#[tokio::test(flavor = "multi_thread")]
async fn neighbours_come_with_one_request_in_batches_as_ever() {
    let ctx = session();
    run(&ctx, "SET datafusion.execution.target_partitions = 1").await;
    let content = vec![5; 5_000];
    // In the order of the archive, which is that of the list then.
    let names: Vec<String> = (0..3_000)
        .map(|number| format!("{number:04}.jpg"))
        .collect();
    let members: Vec<Member<'_>> = names
        .iter()
        .map(|name| (name.as_str(), content.as_slice(), STORED))
        .collect();
    let files = [
        ("many.zip".to_owned(), zip(&members)),
        (
            "many.tar".to_owned(),
            tar(names.iter().map(|name| (name.as_str(), content.as_slice()))),
        ),
    ];
    let store = CountingStore::register(&ctx, files).await;
    for archive in ["many.zip", "many.tar"] {
        table(&ctx, &format!("s3://counted/{archive}"), RECURSIVE).await;
        run(&ctx, "SELECT count(*) FROM images").await;
        let before = store.gets();
        let batches = run(&ctx, "SELECT content FROM images").await;
        // 15 MB and what lies between, of 8 MB each at most.
        let gets = store.gets() - before;
        assert!((2..=3).contains(&gets), "{archive}: {gets} requests");
        let rows: Vec<usize> = batches.iter().map(|batch| batch.num_rows()).collect();
        assert_eq!(rows.iter().sum::<usize>(), 3_000, "{archive}");
        assert!(rows.iter().all(|rows| *rows <= 64), "{archive}: {rows:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_named() {
    let ctx = session();
    let good = [("a.jpg", &[7; 3000][..], DEFLATED)];
    let whole = zip(&good);
    let mut flipped = whole.clone();
    flipped[40] ^= 1;
    let of_tar = tar([("a.jpg", &[7; 3000][..])]);
    let no_end = of_tar[..of_tar.len() - 1024].to_vec();
    let mut lying = zip(&[("a.jpg", &[7; 3000], STORED)]);
    // The length in the directory, which begins after the header, the content and its descriptor.
    let directory = lying.windows(4).rposition(|w| w == b"PK\x01\x02").unwrap();
    lying[directory + 24..directory + 28].copy_from_slice(&9_000_000_u32.to_le_bytes());
    let files = [
        ("encrypted.zip", zip_of(&[("a.jpg", b"xxxx", STORED)], true)),
        (
            "bzip2.zip",
            zip(&[("a.jpg", b"xxxx", CompressionMethod::BZIP2)]),
        ),
        ("flipped.zip", flipped),
        ("lying.zip", lying),
        ("cut.zip", whole[..whole.len() - 30].to_vec()),
        ("none.zip", b"<html>not found</html>".to_vec()),
        ("empty.zip", vec![]),
        ("cut.tar", of_tar[..2000].to_vec()),
        ("none.tar", [b'x'; 2048].to_vec()),
        ("cut.tgz", gzip(&of_tar)[..40].to_vec()),
        ("none.tgz", b"<html>not found</html>".to_vec()),
        ("no_end.tar", no_end),
    ];
    let files = files.map(|(name, content)| (name.to_owned(), content));
    CountingStore::register(&ctx, files).await;
    for (archive, why) in [
        ("encrypted.zip", "a.jpg': it is encrypted"),
        ("bzip2.zip", "a.jpg': it is compressed as"),
        ("flipped.zip", "a.jpg': it"),
        ("lying.zip", "a.jpg': it"),
        ("cut.zip", "no whole zip"),
        ("none.zip", "no whole zip"),
        ("empty.zip", "no whole zip"),
        ("cut.tar", "cut off: 'a.jpg'"),
        ("none.tar", "no whole tar"),
        ("cut.tgz", "could not be unpacked"),
        ("none.tgz", "could not be unpacked"),
    ] {
        run(&ctx, "DROP TABLE IF EXISTS images").await;
        let location = format!("s3://counted/{archive}");
        let sql =
            format!("CREATE EXTERNAL TABLE images STORED AS BINARYFILE LOCATION '{location}'");
        let error = match ctx.sql(&sql).await {
            Err(e) => e.to_string(),
            Ok(_) => error(&ctx, "SELECT content FROM images").await,
        };
        assert!(
            error.contains(why) && error.contains(&location),
            "{archive}: {error}"
        );
    }
    table(&ctx, "s3://counted/no_end.tar", "").await;
    assert_eq!(
        contents(&run(&ctx, "SELECT path, content FROM images").await).len(),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_may_have_the_name_of_an_archive() {
    let ctx = session();
    let inner = zip(&[("x.jpg", b"in", STORED)]);
    let files = [
        ("f.zip/a.jpg".to_owned(), b"plain".to_vec()),
        ("f.zip/g.zip".to_owned(), inner),
    ];
    CountingStore::register(&ctx, files).await;
    table(&ctx, "s3://counted/f.zip/", "").await;
    let found = contents(&run(&ctx, "SELECT path, content FROM images").await);
    assert_eq!(found.len(), 2);
    assert_eq!(
        found["s3://counted/f.zip/a.jpg"].as_deref(),
        Some(&b"plain"[..])
    );
    table(&ctx, "s3://counted/f.zip/g.zip", "").await;
    let found = contents(&run(&ctx, "SELECT path, content FROM images").await);
    assert_eq!(
        found["s3://counted/f.zip/g.zip/x.jpg"].as_deref(),
        Some(&b"in"[..])
    );
}
