//! Azure Blob Storage, as far as a scan speaks with it: List Blobs and Get Blob.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use percent_encoding::percent_decode_str;

use super::web_server::serve;
use super::{contents, error, run, session};

/// What the answers to requests are made of.
type Blobs = BTreeMap<&'static str, &'static [u8]>;

const CONTAINER: &str = "/account/fruits";
/// As a key of an account looks: base64.
const KEY: &str = "aHVzaGh1c2hodXNo";

fn answer(blobs: &Blobs, request: &Request<Bytes>) -> Response<Full<Bytes>> {
    let signed = request.headers().get("authorization");
    let is_signed = signed.is_some_and(|s| s.as_bytes().starts_with(b"SharedKey account:"));
    let path = request.uri().path();
    let response = Response::builder()
        .header("last-modified", "Fri, 27 Nov 2026 12:00:00 GMT")
        .header("etag", "\"1\"");
    if !is_signed || !path.starts_with(CONTAINER) {
        let text = "<?xml version=\"1.0\"?><Error><Code>AuthenticationFailed</Code></Error>";
        let response = response.status(StatusCode::FORBIDDEN);
        return response.body(Full::from(text)).unwrap();
    }
    let query = request.uri().query().unwrap_or_default();
    if query.contains("comp=list") {
        let blob = |(name, content): (&&str, &&[u8])| {
            format!(
                "<Blob><Name>{name}</Name><Properties>\
                 <Last-Modified>Fri, 27 Nov 2026 12:00:00 GMT</Last-Modified>\
                 <Content-Length>{}</Content-Length><Content-Type>image/jpeg</Content-Type>\
                 <Etag>1</Etag></Properties></Blob>",
                content.len()
            )
        };
        let list: String = blobs.iter().map(blob).collect();
        let text = format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults>\
             <Blobs>{list}</Blobs><NextMarker/></EnumerationResults>"
        );
        return response.body(Full::from(text)).unwrap();
    }
    let name = path[CONTAINER.len()..].trim_start_matches('/');
    let name = percent_decode_str(name).decode_utf8().unwrap();
    let Some(content) = blobs.get(&*name) else {
        let response = response.status(StatusCode::NOT_FOUND);
        return response.body(Full::default()).unwrap();
    };
    let response = response.header("content-length", content.len());
    let body = match *request.method() {
        Method::HEAD => Bytes::new(),
        _ => Bytes::from_static(content),
    };
    response.body(Full::new(body)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_is_read_with_the_keys_of_options() {
    let blobs = [
        ("t/1.jpg", &b"one"[..]),
        ("t/_SUCCESS", b""),
        ("t/é 2.jpg", b"two"),
    ];
    let blobs = Blobs::from(blobs);
    let (address, _server) = serve(move |request| answer(&blobs, request)).await;
    let table = |location: &str, key: &str| {
        format!(
            "CREATE EXTERNAL TABLE images STORED AS BINARYFILE LOCATION '{location}' OPTIONS (
               'azure.account_name' 'account', 'azure.account_key' '{key}',
               'azure.endpoint' 'http://{address}/account', 'azure.allow_http' 'true')"
        )
    };
    let ctx = session();
    run(&ctx, &table("az://fruits/t/", KEY)).await;
    let found = contents(&run(&ctx, "SELECT path, content FROM images").await);
    let found: Vec<_> = found
        .iter()
        .map(|(path, content)| (path.as_str(), content.as_deref().unwrap()))
        .collect();
    let expected = [
        ("az://fruits/t/1.jpg", &b"one"[..]),
        ("az://fruits/t/é 2.jpg", b"two"),
    ];
    assert_eq!(found, expected);

    // Another account, and two containers that a session cannot tell apart.
    let other = table("az://fruits/t/", KEY).replace("'account',", "'another',");
    let told = error(&ctx, &other.replace("TABLE images", "TABLE i2")).await;
    assert!(told.contains("another 'azure.account_name'"), "{told}");
    let unknown = table("az://x/t/", KEY).replace("azure.account_key", "azure.acount_key");
    let told = error(&session(), &unknown).await;
    assert!(told.contains("did you mean 'azure.account_key'?"), "{told}");
    assert!(!told.contains(KEY), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_container_of_an_account_goes_by_the_name_of_hadoop() {
    let ctx = session();
    let table = |container: &str| {
        format!(
            "CREATE EXTERNAL TABLE {container} STORED AS PARQUET
             LOCATION 'abfss://{container}@account.dfs.core.windows.net/t/x.parquet' OPTIONS (
               'azure.skip_signature' 'true', 'azure.endpoint' 'http://127.0.0.1:9/account',
               'azure.allow_http' 'true')"
        )
    };
    // There is no such server; the store is made nevertheless.
    error(&ctx, &table("fruits")).await;
    let told = error(&ctx, &table("vegetables")).await;
    assert!(told.contains("container 'fruits'"), "{told}");
    assert!(told.contains("az://container/"), "{told}");
}
