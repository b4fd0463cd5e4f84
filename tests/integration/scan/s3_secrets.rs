//! Keys and tokens are shown nowhere: not in plans, catalogs, errors or logs.

use std::process::Command;

use datafusion::physical_plan::displayable;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_featurize::enable_featurize;

use super::s3::create_sql;
use super::s3_server::{S3Server, SECRET_ACCESS_KEY};
use super::{error, run};

const TOKEN: &str = "temporary/token+with/odd==characters";

fn server() -> (S3Server, String) {
    let server = S3Server::in_memory(&["fruits"]);
    server.put("fruits", "t/x.jpg", b"content".as_slice());
    server.require_token(TOKEN);
    let options = format!("{}, 'aws.session_token' '{TOKEN}'", server.options());
    (server, options)
}

fn session() -> SessionContext {
    let config = SessionConfig::new().with_information_schema(true);
    let ctx = SessionContext::new_with_config(config);
    enable_featurize(&ctx).unwrap();
    ctx
}

#[track_caller]
fn assert_shows_no_secret(text: &str) {
    for secret in [SECRET_ACCESS_KEY, TOKEN] {
        let place = text.find(secret);
        // What comes before it tells where it is shown.
        let shown = text[..place.unwrap_or_default()].chars().rev().take(300);
        let shown: String = shown.collect::<Vec<_>>().into_iter().rev().collect();
        assert_eq!(place, None, "a secret is shown: {shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_in_no_plan_and_no_catalog() {
    let (_server, options) = server();
    let ctx = session();
    let create = create_sql("s3://fruits/t/", &options);
    let plan = ctx.state().create_logical_plan(&create).await.unwrap();
    assert_shows_no_secret(&plan.display_indent().to_string());
    assert_shows_no_secret(&plan.display_indent_schema().to_string());
    assert_shows_no_secret(&plan.display_graphviz().to_string());
    assert_shows_no_secret(&plan.display_pg_json().to_string());
    run(&ctx, &create).await;

    let query = "SELECT path, content FROM images WHERE length > 3 ORDER BY path";
    let mut shown = vec![];
    for explain in [
        "EXPLAIN",
        "EXPLAIN VERBOSE",
        "EXPLAIN ANALYZE",
        "EXPLAIN ANALYZE VERBOSE",
        "EXPLAIN FORMAT INDENT",
        "EXPLAIN FORMAT TREE",
        "EXPLAIN FORMAT PGJSON",
        "EXPLAIN FORMAT GRAPHVIZ",
    ] {
        shown.push(format!("{explain} {query}"));
        // What cannot be explained is an error, which may show the statement's plan.
        let again = create.replace("images", "again");
        let text = match ctx.sql(&format!("{explain} {again}")).await {
            Ok(frame) => format!("{:?}", frame.collect().await),
            Err(e) => format!("{e}\n{e:?}"),
        };
        assert_shows_no_secret(&text);
    }
    for sql in [
        "SHOW CREATE TABLE images",
        "SHOW TABLES",
        "SHOW ALL",
        "DESCRIBE images",
        "SELECT * FROM information_schema.tables",
        "SELECT * FROM information_schema.views",
        "SELECT * FROM information_schema.columns",
        "SELECT * FROM information_schema.df_settings",
    ] {
        shown.push(sql.to_owned());
    }
    for sql in shown {
        let batches = run(&ctx, &sql).await;
        let text = arrow::util::pretty::pretty_format_batches(&batches).unwrap();
        assert_shows_no_secret(&format!("{sql}\n{text}"));
    }

    let table = ctx.table_provider("images").await.unwrap();
    assert_shows_no_secret(&format!("{table:?}"));
    let frame = ctx.sql(query).await.unwrap();
    assert_shows_no_secret(&format!("{:?}", frame.logical_plan()));
    let plan = frame.create_physical_plan().await.unwrap();
    assert_shows_no_secret(&format!("{plan:?}"));
    let plan = displayable(plan.as_ref());
    assert_shows_no_secret(&format!("{}\n{}", plan.indent(true), plan.tree_render()));
    let location = datafusion::execution::object_store::ObjectStoreUrl::parse("s3://fruits");
    let store = ctx.runtime_env().object_store(location.unwrap()).unwrap();
    assert_shows_no_secret(&format!("{store:?} {store}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_in_no_error() {
    let (server, options) = server();
    let ctx = session();
    for (location, options) in [
        // Half of the keys, unknown options, and values that are none.
        (
            "s3://fruits/t/",
            options.replace("'aws.access_key_id'", "'aws.acess_key_id'"),
        ),
        (
            "s3://fruits/t/",
            options.replace("'aws.session_token'", "'aws.sesion_token'"),
        ),
        (
            "s3://fruits/t/",
            options.replace(
                "'aws.allow_http' 'true'",
                &format!("'aws.allow_http' '{TOKEN}'"),
            ),
        ),
        ("s3://fruits/t/", format!("{options}, 'recursive' 'true'")),
        ("s3://fruits/t/", format!("{options}, 'maxLength' 'many'")),
        // Places that do not exist.
        ("s3://fruits/u/", options.clone()),
        ("s3://nowhere/t/", options.clone()),
        ("ftp://fruits/t/", options.clone()),
        ("s3://fruits/[", options.clone()),
        ("s3:///t/", options.clone()),
        // Credentials that the server refuses, and repeats in its answer.
        (
            "s3://fruits/t/",
            options.replace(SECRET_ACCESS_KEY, "wrong"),
        ),
        (
            "s3://fruits/t/",
            options.replace(TOKEN, &format!("{TOKEN}==")),
        ),
        (
            "s3://fruits/t/x.jpg",
            options.replace(SECRET_ACCESS_KEY, "wrong"),
        ),
        // Statements that do not parse or plan.
        ("s3://fruits/t/", format!("{options} 'x'")),
        ("s3://fruits/t/'oops", options.clone()),
    ] {
        let result = ctx.sql(&create_sql(location, &options)).await;
        let e = result.err().unwrap();
        assert_shows_no_secret(&format!("{e}\n{e:?}"));
    }
    run(&ctx, &create_sql("s3://fruits/t/", &options)).await;
    server.deny("fruits", "t/x.jpg");
    assert_shows_no_secret(&error(&ctx, "SELECT content FROM images").await);
}

#[test]
fn secrets_are_in_no_log() {
    let (_server, options) = server();
    let wrong = options.replace(TOKEN, &format!("{TOKEN}=="));
    let sql = format!(
        "{}; SELECT count(*) AS n, max(octet_length(encode(content, 'hex'))) AS bytes FROM images;
         EXPLAIN VERBOSE SELECT content FROM images; {}",
        create_sql("s3://fruits/t/", &options),
        create_sql("s3://fruits/t/", &wrong).replace("images", "refused"),
    );
    let output = Command::new(env!("CARGO_BIN_EXE_featurize"))
        .args(["-q", "--format", "csv", "-c", &sql])
        .env("RUST_LOG", "trace")
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(shown.contains("n,bytes\n1,14\n"), "{shown}{log}");
    assert!(log.contains("InvalidToken"), "{log}");
    assert_shows_no_secret(&log);
    assert_shows_no_secret(&shown);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_of_addresses_are_in_no_error() {
    const SECRET: &str = "hush4hush";
    let server = S3Server::in_memory(&["fruits"]);
    let endpoint = server.endpoint();
    let host = endpoint.trim_start_matches("http://");
    for location in [
        format!("http://somebody:{SECRET}@{host}/fruits/"),
        format!("http://somebody:{SECRET}@{host}/fruits/*.jpg"),
        format!("http://somebody:{SECRET}@{host}/fruits/a.jpg"),
        format!("http://somebody:{SECRET}@host:nonsense/a.jpg"),
        format!("ftp://somebody:{SECRET}@host/a.jpg"),
        format!("http://{host}/fruits/a.jpg?X-Amz-Signature={SECRET}"),
        format!("http://{host}/fruits/?X-Amz-Signature={SECRET}"),
        format!("http://{host}?X-Amz-Signature={SECRET}"),
    ] {
        let sql =
            format!("CREATE EXTERNAL TABLE images STORED AS BINARYFILE LOCATION '{location}'");
        let told = error(&session(), &sql).await;
        assert!(!told.contains(SECRET), "{told}");
    }
}
