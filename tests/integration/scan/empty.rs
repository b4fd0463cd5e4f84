//! A listing without rows says why.

use std::process::Command;

use super::s3_server::S3Server;

/// What the program says on stderr to a table of `location` that is read twice.
fn told(location: &str, options: &str, arguments: &[&str]) -> String {
    let create = format!(
        "CREATE EXTERNAL TABLE images STORED AS BINARYFILE LOCATION '{location}' OPTIONS ({options})"
    );
    let output = Command::new(env!("CARGO_BIN_EXE_featurize"))
        .args(arguments)
        .args(["-c", &create])
        .args(["-c", "SELECT count(*) FROM images"])
        .args(["-c", "SELECT path FROM images"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    told
}

#[test]
fn a_listing_without_rows_says_once_what_was_skipped_and_why() {
    let server = S3Server::in_memory(&["fruits"]);
    let folder = tempfile::tempdir().unwrap();
    for key in ["t/Kiwi/1.jpg", "t/Kiwi/2.jpg", "t/Lemon/3.jpg", "t/_x.jpg"] {
        server.put("fruits", key, key);
        let file = folder.path().join(key);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, key).unwrap();
    }
    std::fs::create_dir_all(folder.path().join("none")).unwrap();
    server.put("fruits", "none/", "");
    let local = folder.path().canonicalize().unwrap();
    let local = format!("file://{}", local.display());
    let with_store = |options: &str| format!("{options}, {}", server.options());
    for (place, options, expected) in [
        (
            "t/",
            "'recursiveFileLookup' 'false'",
            "2 folders not looked into, unless 'recursiveFileLookup' is set to 'true', such as 'Kiwi'; \
             1 name beginning with '_' or '.', such as '_x.jpg'",
        ),
        (
            "t/",
            "'recursiveFileLookup' 'true', 'pathGlobFilter' '*.jpeg'",
            "3 objects not like 'pathGlobFilter' '*.jpeg', such as 'Kiwi/1.jpg'",
        ),
        (
            "t/Kiwi/1.jpg",
            "'modifiedBefore' '2001-01-01'",
            "1 object not as 'modifiedBefore' and 'modifiedAfter' say, such as '1.jpg'",
        ),
        (
            "t/K*/*.png",
            "'recursiveFileLookup' 'true'",
            "3 names not like the pattern of LOCATION, such as 'Kiwi/1.jpg'",
        ),
        (
            "t/",
            "'recursiveFileLookup' 'true', 'maxLength' '2', 'oversize' 'skip'",
            "3 objects of more than 'maxLength' bytes, such as 'Kiwi/1.jpg'",
        ),
        (
            "none/",
            "'recursiveFileLookup' 'true'",
            "there is nothing in it",
        ),
    ] {
        for (root, options) in [("s3://fruits", &*with_store(options)), (&*local, options)] {
            let told = told(&format!("{root}/{place}"), options, &[]);
            assert!(told.contains(expected), "{root}/{place}: {told}");
            assert!(told.contains(root), "{root}/{place}: {told}");
            assert_eq!(told.matches("no rows").count(), 1, "{told}");
        }
        assert_eq!(told(&format!("{local}/{place}"), options, &["-q"]), "");
    }
    // One that has rows says nothing.
    let lookup = "'recursiveFileLookup' 'true'";
    assert_eq!(told(&format!("{local}/t/"), lookup, &[]), "");
}
