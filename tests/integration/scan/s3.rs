//! Scans of an S3 server: keys, credentials, and what is said when they are wrong.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::prelude::SessionContext;
use object_store::RetryConfig;
use url::Url;

use super::s3_server::{ACCESS_KEY_ID, Kind, S3Server, SECRET_ACCESS_KEY};
use super::{contents, error, run, session};

/// Names that careless encoders break.
const ODD_KEYS: [&str; 12] = [
    "plain.jpg",
    "Apple Red 1/0_100.jpg",
    "Pêche à la crème/é.jpg",
    "a#b/#.jpg",
    "50% off/%20.jpg",
    "1+1/+.jpg",
    "up..down/a../b...jpg",
    "q?x=1&y=2.jpg",
    "a=b;c,d@e:f!g$h'(i)*~.jpg",
    "[x]{y}^|`.jpg",
    "back\\slash.jpg",
    "日本/🍎.jpg",
];

pub(crate) async fn create(ctx: &SessionContext, location: &str, options: &str) {
    run(ctx, &create_sql(location, options)).await;
}

pub(crate) fn create_sql(location: &str, options: &str) -> String {
    format!(
        "CREATE EXTERNAL TABLE images STORED AS BINARYFILE LOCATION '{location}'
         OPTIONS ('recursiveFileLookup' 'true', {options})"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_keys_come_back_with_their_bytes() {
    for server in [
        S3Server::on_disk(&["fruits"]),
        S3Server::in_memory(&["fruits"]),
    ] {
        let mut expected = BTreeMap::new();
        for (i, key) in ODD_KEYS.into_iter().enumerate() {
            let content = vec![i as u8; 100 + i];
            server.put("fruits", &format!("t/{key}"), content.clone());
            expected.insert(format!("s3://fruits/t/{key}"), Some(content));
        }
        let ctx = session();
        create(&ctx, "s3://fruits/t/", &server.options()).await;
        let found = contents(&run(&ctx, "SELECT path, content FROM images").await);
        assert_eq!(found, expected);
        assert_eq!(server.requests(Kind::Get), ODD_KEYS.len());
        // What a query says that it read can be named again in a query.
        let sql = "SELECT count(*) FROM images WHERE path = 's3://fruits/t/50% off/%20.jpg'";
        let batches = run(&ctx, sql).await;
        assert_eq!(
            format!("{:?}", batches[0].column(0)).matches("1,").count(),
            1
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registered_store_needs_no_options() {
    let server = S3Server::on_disk(&["fruits"]);
    server.put("fruits", "t/a b.jpg", b"content".as_slice());
    let ctx = session();
    let store = server.store("fruits").build().unwrap();
    ctx.register_object_store(&Url::parse("s3://fruits").unwrap(), Arc::new(store));
    run(
        &ctx,
        "CREATE EXTERNAL TABLE images STORED AS BINARYFILE LOCATION 's3://fruits/t/'",
    )
    .await;
    let found = contents(&run(&ctx, "SELECT path, content FROM images").await);
    assert_eq!(found["s3://fruits/t/a b.jpg"], Some(b"content".to_vec()));
}

/// A server with the object `t/x.jpg` in each bucket.
fn server(buckets: &[&str]) -> S3Server {
    let server = S3Server::on_disk(buckets);
    for bucket in buckets {
        server.put(bucket, "t/x.jpg", b"content".as_slice());
    }
    server
}

/// The error of creating a table at `location`, or else of reading it.
async fn refusal(location: &str, options: &str) -> String {
    let ctx = session();
    match ctx.sql(&create_sql(location, options)).await {
        Ok(_) => error(&ctx, "SELECT content FROM images").await,
        Err(e) => e.to_string(),
    }
}

fn assert_says(error: &str, expected: &[&str]) {
    for part in expected {
        assert!(error.contains(part), "'{part}' is missing: {error}");
    }
    for secret in [
        SECRET_ACCESS_KEY,
        TOKEN,
        "Signature=",
        "CanonicalRequest",
        "<Error>",
    ] {
        assert!(!error.contains(secret), "'{secret}' is shown: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_keys_are_told_apart() {
    let server = server(&["fruits"]);
    let keys = |id, secret| {
        format!(
            "{}, 'aws.access_key_id' '{id}', 'aws.secret_access_key' '{secret}'",
            server.endpoint_options()
        )
    };
    for location in ["s3://fruits/t/", "s3://fruits/t", "s3a://fruits/t/*.jpg"] {
        let (_, rest) = location.trim_end_matches('/').split_once("://").unwrap();
        let error = refusal(location, &keys(ACCESS_KEY_ID, "wrong")).await;
        assert_says(
            &error,
            &[
                rest,
                "SignatureDoesNotMatch",
                "aws.secret_access_key does not",
            ],
        );
        let error = refusal(location, &keys("AKIDNOBODY", SECRET_ACCESS_KEY)).await;
        assert_says(
            &error,
            &[rest, "InvalidAccessKeyId", "check aws.access_key_id"],
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_not_there_is_named() {
    let server = server(&["fruits"]);
    let error = refusal("s3://vegetables/t/", &server.options()).await;
    assert_says(
        &error,
        &[
            "'s3://vegetables/t'",
            "NoSuchBucket",
            "check its name, aws.endpoint",
        ],
    );
    let error = refusal("s3://fruits/u/", &server.options()).await;
    assert_says(
        &error,
        &["LOCATION 's3://fruits/u' does not exist; check its spelling"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn denied_access_names_what_is_denied_and_what_is_needed() {
    let server = server(&["fruits", "secret"]);
    server.deny("secret", "");
    for location in ["s3://secret/t/", "s3://secret/t/x.jpg"] {
        let error = refusal(location, &server.options()).await;
        let expected = [
            location.trim_end_matches('/'),
            "AccessDenied",
            "s3:ListBucket",
        ];
        assert_says(&error, &expected);
    }

    server.put("fruits", "t/y.jpg", b"denied".as_slice());
    server.deny("fruits", "t/y.jpg");
    let ctx = session();
    create(&ctx, "s3://fruits/t/", &server.options()).await;
    let denied = error(&ctx, "SELECT content FROM images").await;
    assert_says(
        &denied,
        &[
            "could not read 's3://fruits/t/y.jpg'",
            "AccessDenied",
            "s3:GetObject",
        ],
    );
    let rest = "SELECT path, content FROM images WHERE path NOT LIKE '%/y.jpg'";
    assert_eq!(contents(&run(&ctx, rest).await).len(), 1);

    // The object itself is the location: it may be listed, but neither asked for nor read.
    let error = refusal("s3://fruits/t/y.jpg", &server.options()).await;
    assert_says(&error, &["'s3://fruits/t/y.jpg'", "403", "s3:GetObject"]);
}

const TOKEN: &str = "temporary/token+with/odd==characters";

#[tokio::test(flavor = "multi_thread")]
async fn temporary_credentials_need_their_token() {
    let server = server(&["fruits"]);
    server.require_token(TOKEN);
    let ctx = session();
    let options = format!("{}, 'aws.session_token' '{TOKEN}'", server.options());
    create(&ctx, "s3://fruits/t/", &options).await;
    let found = contents(&run(&ctx, "SELECT path, content FROM images").await);
    assert_eq!(found.len(), 1);

    let error = refusal("s3://fruits/t/", &server.options()).await;
    assert_says(&error, &["InvalidAccessKeyId", "aws.session_token"]);
    let options = format!("{}, 'aws.session_token' 'hush-{TOKEN}'", server.options());
    let error = refusal("s3://fruits/t/", &options).await;
    assert_says(&error, &["InvalidToken", "get new temporary credentials"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn public_buckets_are_read_without_credentials() {
    let server = server(&["fruits", "private"]);
    server.make_public("fruits");
    let options = format!(
        "'aws.endpoint' '{}', 'aws.allow_http' 'true', 'aws.skip_signature' 'true'",
        server.endpoint()
    );
    let ctx = session();
    create(&ctx, "s3://fruits/t/", &options).await;
    let found = contents(&run(&ctx, "SELECT path, content FROM images").await);
    assert_eq!(found.len(), 1);
    let error = refusal("s3://private/t/", &options).await;
    assert_says(
        &error,
        &["'s3://private/t'", "AccessDenied", "aws.access_key_id"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_answer_is_named() {
    // Whoever wants to wait for ten retries may: a program's own store gives up at once.
    let ctx = session();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let server = server(&["fruits"]);
    let retry = RetryConfig {
        max_retries: 0,
        ..Default::default()
    };
    let store = server
        .store("fruits")
        .with_endpoint(format!("http://{address}"));
    let store = store.with_retry(retry).build().unwrap();
    ctx.register_object_store(&Url::parse("s3://fruits").unwrap(), Arc::new(store));
    let sql = "CREATE EXTERNAL TABLE images STORED AS BINARYFILE LOCATION 's3://fruits/t/'";
    let error = error(&ctx, sql).await;
    assert_says(
        &error,
        &["'s3://fruits/t'", "cannot be reached", "aws.endpoint"],
    );
}
