//! One way with S3: what is wrong is said alike for every format, and what one statement says of a
//! bucket serves all.

use std::process::{Command, Output};

use super::s3_server::{ACCESS_KEY_ID, Kind, Part, REGION, S3Server, SECRET_ACCESS_KEY};
use super::{error, run, session};

/// The program, in an environment that says nothing of S3 but `variables`.
fn featurize(variables: &[(&str, &str)], statements: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_featurize"));
    program.args(["-q", "--format", "csv"]);
    for sql in statements {
        program.args(["-c", sql]);
    }
    let of_aws = std::env::vars_os().map(|(name, _)| name);
    for name in of_aws.filter(|name| name.to_string_lossy().starts_with("AWS_")) {
        program.env_remove(name);
    }
    program.envs(variables.iter().copied()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn server() -> S3Server {
    let server = S3Server::on_disk(&["fruits"]);
    server.put("fruits", "t/x.csv", b"a\n1\n".as_slice());
    server
}

const FORMATS: [&str; 4] = ["BINARYFILE", "PARQUET", "CSV", "JSON"];

fn create(format: &str, location: &str, options: &str) -> String {
    format!("CREATE EXTERNAL TABLE t STORED AS {format} LOCATION '{location}' OPTIONS ({options})")
}

#[test]
fn what_is_wrong_is_said_alike_for_every_format() {
    let server = server();
    let options = server.options();
    for format in FORMATS {
        for (location, options, expected) in [
            (
                "s3://vegetables/t/",
                options.clone(),
                "NoSuchBucket|there is no bucket at 's3://vegetables",
            ),
            (
                "s3://fruits/t/",
                options.replace("aws.region", "aws.regio"),
                "no option 'aws.regio' (did you mean 'aws.region'?)",
            ),
            (
                "s3://fruits/t/",
                options.replace(SECRET_ACCESS_KEY, "wrong"),
                "SignatureDoesNotMatch|aws.secret_access_key does not belong",
            ),
            (
                "S3://fruits/t/",
                options.replace(ACCESS_KEY_ID, "NOBODY"),
                "InvalidAccessKeyId|check aws.access_key_id",
            ),
            (
                "s3://fruits/t/",
                options.replace("'aws.allow_http' 'true', ", ""),
                "HTTP|allow_http",
            ),
        ] {
            let output = featurize(&[], &[&create(format, location, &options)]);
            let error = text(&output.stderr);
            for part in expected.split('|') {
                assert!(error.contains(part), "{format}: '{part}' in {error}");
            }
            assert!(!error.contains("<Error>"), "{format}: {error}");
        }
    }
    for write_mode in ["", ", 'write_mode' 'overwrite'"] {
        let options = options.replace("aws.region", "aws.regio");
        let copy = format!(
            "COPY (SELECT 1 AS a) TO 's3://fruits/out/' STORED AS CSV OPTIONS ({options}{write_mode})"
        );
        let error = text(&featurize(&[], &[&copy]).stderr);
        assert!(error.contains("did you mean 'aws.region'?"), "{error}");
    }
}

#[test]
fn an_endpoint_of_the_environment_without_encryption_is_told() {
    let server = server();
    let endpoint = server.endpoint();
    let variables = [
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("AWS_REGION", "eu-west-3"),
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID),
        ("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY),
    ];
    let select = "SELECT a FROM 's3://fruits/t/x.csv'";
    let copy = "COPY (SELECT 1 AS a) TO 's3://fruits/out/' STORED AS PARQUET";
    for sql in [
        &create("CSV", "s3://fruits/t/", "'format.has_header' 'true'"),
        select,
        copy,
    ] {
        let error = text(&featurize(&variables, &[sql]).stderr);
        assert!(
            error.contains("AWS_ALLOW_HTTP=true") && error.contains("s3://fruits"),
            "{sql}: {error}"
        );
    }
    assert_eq!(server.requests(Kind::Get) + server.requests(Kind::List), 0);
    let allowed = [&variables[..], &[("AWS_ALLOW_HTTP", "true")]].concat();
    let output = featurize(&allowed, &[select]);
    assert_eq!(text(&output.stdout), "a\n1\n", "{}", text(&output.stderr));
}

/// The statements of the README's section on the job: first the job, then its first statement with keys.
fn readme() -> (String, String) {
    let readme = include_str!("../../../README.md");
    let (_, job) = readme.split_once("## The job in SQL").unwrap();
    let mut blocks = job.split("```sql\n").skip(1);
    let mut next = || {
        blocks
            .next()
            .unwrap()
            .split_once("```")
            .unwrap()
            .0
            .to_owned()
    };
    (next(), next())
}

#[test]
fn the_job_of_the_readme_runs_with_keys_in_its_first_statement_alone() {
    let server = S3Server::on_disk(&["fruits"]);
    for label in ["Lemon", "Kiwi"] {
        let folder = format!("{}/examples/fruits/{label}", env!("CARGO_MANIFEST_DIR"));
        for file in std::fs::read_dir(folder).unwrap() {
            let file = file.unwrap();
            let name = file.file_name().into_string().unwrap();
            let content = std::fs::read(file.path()).unwrap();
            server.put("fruits", &format!("Training/{label}/{name}"), content);
        }
    }
    let (job, with_keys) = readme();
    let (_, later) = job.split_once(";\n").unwrap();
    let with_keys = with_keys
        .replace("AKIA…", ACCESS_KEY_ID)
        .replace("'…'", &format!("'{SECRET_ACCESS_KEY}'"))
        .replace("http://localhost:9000", &server.endpoint());
    let later = later.replace("'mobilenet_v2')", "'mobilenet_v2', 'seeded')");
    let output = featurize(
        &[],
        &[
            &with_keys,
            &later,
            "SELECT count(*) AS n FROM 's3://fruits/Features/'",
            "SELECT count(*) AS n FROM 's3://fruits/Features/*.parquet'",
            "SELECT count(*) AS n FROM 's3://fruits/Export_csv/'",
        ],
    );
    let printed = text(&output.stdout);
    assert!(
        output.status.success() && printed.ends_with("n\n12\nn\n12\nn\n12\n"),
        "{printed}{}",
        text(&output.stderr)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_may_lack_copies() {
    for status in [501, 400] {
        let server = server();
        server.forget(Part::Copy, status);
        let ctx = session();
        for x in [1, 2] {
            let copy = format!(
                "COPY (SELECT CAST({x} AS BIGINT) AS x) TO 's3://fruits/out/' STORED AS PARQUET
                 OPTIONS ('write_mode' 'overwrite', {})",
                server.options()
            );
            run(&ctx, &copy).await;
        }
        run(
            &ctx,
            "CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION 's3://fruits/out/'",
        )
        .await;
        let rows = format!("{:?}", run(&ctx, "SELECT x FROM t").await);
        assert!(rows.contains("2,") && !rows.contains("1,"), "{rows}");
        // Not ten times each.
        assert!(
            server.requests(Kind::Put) < 40,
            "{}",
            server.requests(Kind::Put)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_delete_is_told_what_is_needed() {
    for parts in [&[Part::Delete][..], &[Part::BulkDelete, Part::Delete]] {
        let server = server();
        for part in parts {
            let status = if *part == Part::Delete { 403 } else { 501 };
            server.forget(*part, status);
        }
        let copy = format!(
            "COPY (SELECT 1 AS x) TO 's3://fruits/out/' STORED AS PARQUET
             OPTIONS ('write_mode' 'overwrite', {})",
            server.options()
        );
        let told = error(&session(), &copy).await;
        for part in ["AccessDenied", "grant the credentials s3:DeleteObject"] {
            assert!(told.contains(part), "{part} in {told}");
        }
        assert!(
            !told.contains("<Error>") && !told.contains("Signature"),
            "{told}"
        );
    }
}

/// A profile whose credentials come from a program, which is asked before each request if nobody keeps them.
#[test]
fn credentials_of_a_program_are_asked_for_once() {
    let server = server();
    for name in 0..20 {
        server.put("fruits", &format!("t/{name}.jpg"), b"picture".as_slice());
    }
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name).display().to_string();
    let program = format!(
        "#!/bin/sh\necho asked >> {}\nprintf '{{\"Version\":1,\"AccessKeyId\":\"{ACCESS_KEY_ID}\",\
         \"SecretAccessKey\":\"{SECRET_ACCESS_KEY}\",\"Expiration\":\"%s\"}}' 2099-01-01T00:00:00Z\n",
        place("asked")
    );
    std::fs::write(place("program"), program).unwrap();
    let profile = format!(
        "[profile p]\nregion = {REGION}\ncredential_process = sh {}\n",
        place("program")
    );
    std::fs::write(place("config"), profile).unwrap();
    let output = featurize(
        &[
            ("AWS_CONFIG_FILE", &place("config")),
            ("AWS_SHARED_CREDENTIALS_FILE", &place("none")),
            ("AWS_PROFILE", "p"),
            ("AWS_ENDPOINT_URL", &server.endpoint()),
            ("AWS_ALLOW_HTTP", "true"),
        ],
        &[
            "CREATE EXTERNAL TABLE t STORED AS BINARYFILE LOCATION 's3://fruits/t/' OPTIONS ('pathGlobFilter' '*.jpg')",
            "SELECT count(content) FROM t",
        ],
    );
    let shown = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success(), "{shown}");
    assert!(shown.ends_with("20\n"), "{shown}");
    let asked = std::fs::read_to_string(place("asked")).unwrap();
    assert_eq!(asked.lines().count(), 1);
}
