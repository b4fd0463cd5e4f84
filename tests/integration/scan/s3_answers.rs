//! What S3 answers, word for word, and what a user is told to do about it; options that go with requests.

use super::s3::{create, create_sql};
use super::s3_server::{Failure, Kind, S3Server};
use super::{error, run, session};

fn server() -> S3Server {
    let server = S3Server::in_memory(&["fruits"]);
    server.put("fruits", "t/a.jpg", b"a".as_slice());
    server
}

fn answer(status: u16, region: Option<&'static str>, document: &'static str) -> Failure {
    Failure::Answer {
        status,
        region,
        document,
    }
}

const ARCHIVED: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>InvalidObjectState</Code>\
    <Message>The operation is not valid for the object's storage class</Message><StorageClass>GLACIER\
    </StorageClass><RequestId>hush</RequestId></Error>";
const MALFORMED: &str = "<Error><Code>AuthorizationHeaderMalformed</Code><Message>The authorization header \
    is malformed; the region 'eu-west-3' is wrong; expecting 'us-west-2'</Message><Region>us-west-2\
    </Region></Error>";
const SKEWED: &str = "<Error><Code>RequestTimeTooSkewed</Code><Message>The difference between the request \
    time and the current time is too large.</Message><ServerTime>2026-11-28T03:00:00Z</ServerTime></Error>";
const EXPIRED: &str = "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message>\
    <Token-0>hush</Token-0></Error>";
const SIGNATURE: &str = "<Error><Code>SignatureDoesNotMatch</Code><Message>The request signature we \
    calculated does not match the signature you provided.</Message><StringToSign>hush</StringToSign></Error>";
const KMS: &str = "<Error><Code>AccessDenied</Code><Message>User: arn:aws:iam::1:user/u is not authorized \
    to perform: kms:Decrypt on resource: arn:aws:kms:eu-west-3:1:key/2</Message></Error>";

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_its_own_advice() {
    let server = server();
    let ctx = session();
    create(&ctx, "s3://fruits/t/", &server.options()).await;
    for (kind, failure, expected) in [
        (
            Kind::Get,
            answer(403, None, ARCHIVED),
            "in an archive (GLACIER): restore it",
        ),
        (
            Kind::Get,
            answer(403, None, KMS),
            "grant the credentials kms:Decrypt",
        ),
        (
            Kind::Get,
            answer(403, None, SKEWED),
            "the store's says 2026-11-28T03:00:00Z",
        ),
        (
            Kind::Get,
            answer(400, None, EXPIRED),
            "what has been committed stays",
        ),
        (
            Kind::Get,
            answer(403, None, SIGNATURE),
            "does not belong to aws.access_key_id",
        ),
        (
            Kind::List,
            answer(400, None, MALFORMED),
            "set aws.region 'us-west-2'",
        ),
        (
            Kind::List,
            answer(301, Some("us-west-2"), ""),
            "set aws.region 'us-west-2'",
        ),
    ] {
        server.fail_next(1, kind, "t", failure);
        let told = error(&ctx, "SELECT content FROM images").await;
        assert!(told.contains(expected), "{told}");
        assert!(!told.contains("hush") && !told.contains("<"), "{told}");
    }
    // read_blob says the same.
    server.fail_next(1, Kind::Get, "a.jpg", answer(403, None, ARCHIVED));
    let told = error(&ctx, "SELECT read_blob(path) FROM images").await;
    assert!(
        told.contains("in an archive (GLACIER): restore it"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn more_options_go_with_the_requests() {
    let server = server();
    let ctx = session();
    create(&ctx, "s3://fruits/t/", &server.options()).await;
    run(&ctx, "SELECT content FROM images").await;
    let payer = "x-amz-request-payer: requester";
    assert!(!server.has_come(payer));
    let ctx = session();
    let options = format!(
        "{}, 'aws.request_payer' 'true', 'aws.timeout' '20s'",
        server.options()
    );
    create(&ctx, "s3://fruits/t/", &options).await;
    run(&ctx, "SELECT content FROM images").await;
    assert!(server.has_come(payer));
    let ctx = session();
    let options = format!("{}, 'aws.request_payr' 'true'", server.options());
    let told = error(&ctx, &create_sql("s3://fruits/t/", &options)).await;
    assert!(told.contains("did you mean 'aws.request_payer'?"), "{told}");
}

#[test]
fn the_environment_has_them_too() {
    let server = server();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_featurize"))
        .args([
            "-q",
            "--format",
            "csv",
            "-c",
            "SELECT read_blob('s3://fruits/t/a.jpg') = X'61'",
        ])
        .env("AWS_ENDPOINT_URL", server.endpoint())
        .env("AWS_ALLOW_HTTP", "true")
        .env("AWS_REGION", super::s3_server::REGION)
        .env("AWS_ACCESS_KEY_ID", super::s3_server::ACCESS_KEY_ID)
        .env("AWS_SECRET_ACCESS_KEY", super::s3_server::SECRET_ACCESS_KEY)
        .env("AWS_REQUEST_PAYER", "true")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("true"), "{output:?}");
    assert!(server.has_come("x-amz-request-payer: requester"));
}
