//! A report on what lies in buckets. Their keys are given as to every other command: by options, or from the
//! environment.

use std::process::Command;
use std::time::Duration;

use super::{Folder, text};
use crate::scan::archives::made::{DEFLATED, STORED, zip};
use crate::scan::s3_server::{ACCESS_KEY_ID, REGION, S3Server, SECRET_ACCESS_KEY};

#[test]
fn the_keys_of_a_store_are_given_to_a_report() {
    let server = S3Server::in_memory(&["fruits", "pictures"]);
    let folder = Folder::new();
    let picture = std::fs::read("examples/fruits/Lemon/0_100.jpg").unwrap();
    server.put("pictures", "Lemon/a.jpg", picture);
    folder.sql(
        "COPY (SELECT 's3://pictures/Lemon/a.jpg' AS path, [value, 1.0, value * value] AS features \
         FROM range(5)) TO '{}/f.parquet' STORED AS PARQUET",
    );
    let features = std::fs::read(folder.path("f.parquet")).unwrap();
    server.put("fruits", "Features/f.parquet", features);
    let page = folder.at("page.html");
    let report_with = |progress: &str, options: &[String], variables: &[(&str, &str)]| {
        Command::new(env!("CARGO_BIN_EXE_featurize"))
            .args([
                "--progress",
                progress,
                "report",
                "--features",
                "s3://fruits/Features/",
                "--out",
                &page,
            ])
            .args(options.iter().flat_map(|option| ["--option", option]))
            .env_remove("AWS_ACCESS_KEY_ID")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .envs(variables.iter().copied())
            .output()
            .unwrap()
    };
    let report =
        |options: &[String], variables: &[(&str, &str)]| report_with("auto", options, variables);
    let endpoint = server.endpoint();
    let named = [
        ("access_key_id", ACCESS_KEY_ID),
        ("secret_access_key", SECRET_ACCESS_KEY),
        ("region", REGION),
        ("endpoint", &endpoint),
        ("allow_http", "true"),
    ];
    let options = named.map(|(name, value)| format!("aws.{name}={value}"));
    let variables = named.map(|(name, value)| (format!("AWS_{}", name.to_uppercase()), value));
    let variables: Vec<_> = variables.iter().map(|(n, v)| (n.as_str(), *v)).collect();
    for output in [report(&options, &[]), report(&[], &variables)] {
        assert_eq!(text(&output.stderr), "");
        let told = text(&output.stdout);
        assert!(told.contains("5 images, 1 point, 1 thumbnail,"), "{told}");
    }
    // A bar that stands at its end would not say why.
    server.set_latency(Duration::from_millis(1200));
    let told = text(&report_with("json", &options, &[]).stderr);
    assert!(told.contains(r#""stage":"pictures""#), "{told}");
    server.set_latency(Duration::ZERO);
    let mut wrong = options.to_vec();
    wrong[1] = "aws.secret_access_key=hush".to_owned();
    wrong[2] = "aws.regio=x".to_owned();
    let error = text(&report(&wrong, &[]).stderr);
    assert!(
        error.contains("aws.regio") && !error.contains("hush"),
        "{error}"
    );
    let error = text(&report(&["region=x".to_owned()], &[]).stderr);
    assert!(error.contains("aws.region"), "{error}");
}

#[test]
fn images_in_an_archive_have_thumbnails() {
    let folder = Folder::new();
    let picture = std::fs::read("examples/fruits/Lemon/0_100.jpg").unwrap();
    let members = [
        ("Lemon/a.jpg", picture.as_slice(), STORED),
        ("Lemon/b.jpg", &picture, DEFLATED),
    ];
    std::fs::write(folder.path("fruits.zip"), zip(&members)).unwrap();
    folder.sql(
        "CREATE EXTERNAL TABLE images STORED AS BINARYFILE LOCATION '{}/fruits.zip'
         OPTIONS ('recursiveFileLookup' 'true');
         COPY (SELECT path, [length, ascii(split_part(path, '/', -1)), 1.0] AS features FROM images)
         TO '{}/f.parquet' STORED AS PARQUET",
    );
    let page = folder.report(&["--features", &folder.at("f.parquet")]);
    assert!(!page.contains("could not be read"), "{page}");
    assert_eq!(page.matches("src=\"data:image/jpeg;base64,").count(), 2);
}
