//! A cluster that speaks TLS only, and whom it refuses.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use arrow_flight::Ticket;
use arrow_flight::flight_service_client::FlightServiceClient;
use ballista_core::serde::protobuf::executor_grpc_client::ExecutorGrpcClient;
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use ballista_core::serde::protobuf::{
    ExecuteQueryParams, ExecutorStoppedParams, LaunchMultiTaskParams, RegisterExecutorParams,
};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_featurize::cluster::{Security, TlsFiles, secure_remote_session};
use tokio::net::TcpSocket;
use tonic::{Code, Status};

use crate::failures::kill_an_executor;
use crate::processes::{Cluster, Setting, create_images, error, program, run, wait_for};
use crate::wire::{Certificates, ELSEWHERE, Recorder, channel};
use crate::write::{CANCELLING, drop_a_query};

/// A scheduler and two executors.
fn secure_cluster(certificates: &Certificates, environment: &[(&str, &str)]) -> Cluster {
    let mut cluster = Cluster::scheduler(2, environment, certificates.setting());
    for _ in 0..2 {
        cluster.add_executor("");
    }
    cluster
}

async fn connect(url: &str, security: &Security) -> Result<SessionContext, String> {
    let runtime = Arc::new(RuntimeEnv::default());
    let session = secure_remote_session(url, security, SessionConfig::new(), runtime).await;
    session.map_err(|e| e.to_string())
}

/// The port that an executor names: `executor executor0: port 40001 (data and tasks, TLS)`.
fn port(line: &str) -> u16 {
    let (_, line) = line.split_once("port ").unwrap();
    line.split(' ').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_with_tls_computes_what_another_does() {
    let certificates = Certificates::new();
    let cluster = secure_cluster(&certificates, &[("RUST_LOG", "trace")]);
    let ctx = cluster.session().await;
    create_images(&ctx).await;
    // Through a shuffle, from one executor to the other, and to the client.
    let sql =
        "SELECT sum(n) FROM (SELECT sha256(content) AS hash, count(*) AS n FROM images GROUP BY 1)";
    let sum = run(&ctx, sql).await;
    assert_eq!(sum.column(0).as_primitive::<Int64Type>().values(), &[48]);
    // The program, as its environment says.
    let client = certificates.files("client");
    let path = |path: &std::path::Path| path.display().to_string();
    let (ca, cert, key) = (path(&client.ca), path(&client.cert), path(&client.key));
    let token = path(&certificates.0.path().join("token"));
    let environment = [
        ("FEATURIZE_TLS_CA", ca.as_str()),
        ("FEATURIZE_TLS_CERT", &cert),
        ("FEATURIZE_TLS_KEY", &key),
        ("FEATURIZE_TOKEN_FILE", &token),
        ("RUST_LOG", "trace"),
    ];
    let url = cluster.url();
    let arguments = [
        "--remote",
        &url,
        "-q",
        "--format",
        "csv",
        "-c",
        "SELECT 1 AS x",
    ];
    let output = program(&environment, &arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "x\n1\n");
    let secret = std::fs::read_to_string(&token).unwrap();
    let key = std::fs::read_to_string(&key).unwrap();
    let key = key.lines().nth(1).unwrap();
    let logs = cluster.executors.iter().chain([&cluster.scheduler]);
    let logs = logs.map(|process| process.log());
    for log in logs.chain([error.into_owned()]) {
        assert!(log.contains("TRACE"), "logging is on");
        for line in log.lines() {
            assert!(!line.contains(&secret) && !line.contains(key), "{line}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_without_the_right_certificate_or_token_are_refused() {
    let (ours, others) = (Certificates::new(), Certificates::new());
    let cluster = Cluster::scheduler(1, &[], ours.setting());
    let url = cluster.url();
    let wrong_token = others.0.path().join("wrong");
    std::fs::write(&wrong_token, "0123456789abcdef-another").unwrap();
    let files = |security: Security| security.tls.unwrap();
    for (security, reason, logged) in [
        (
            Security::default(),
            "expects --tls-ca",
            "does not speak TLS",
        ),
        (
            others.client(),
            "of another authority",
            "does not accept the certificate",
        ),
        (
            Security {
                tls: Some(TlsFiles {
                    ca: files(ours.client()).ca,
                    ..files(others.client())
                }),
                ..ours.client()
            },
            "does not accept the certificate",
            "of another authority",
        ),
        (
            Security {
                token_file: None,
                ..ours.client()
            },
            "the token is missing",
            "the token is missing",
        ),
        (
            Security {
                token_file: Some(wrong_token),
                ..ours.client()
            },
            "the token is missing or not the scheduler's",
            "the token is missing",
        ),
    ] {
        let error = connect(&url, &security).await.err().unwrap();
        assert!(error.contains(reason), "{error}");
        let lines = || {
            let log = cluster.scheduler.log();
            let mut lines = log.lines();
            lines.any(|line| line.contains("refused 127.0.0.1:") && line.contains(logged))
        };
        wait_for(lines);
    }
    // Without any certificate.
    let bare = TlsFiles {
        cert: "none".into(),
        ..ours.files("client")
    };
    let answer = query(cluster.port, Some(&bare)).await;
    assert!(answer.is_err(), "{answer:?}");
    wait_for(|| cluster.scheduler.log().contains("showed no certificate"));
    for line in cluster.scheduler.log().lines() {
        assert!(!line.contains("0123456789abcdef"), "{line}");
    }
    connect(&url, &ours.client()).await.unwrap();
}

/// A query without any program of ours.
async fn query(port: u16, files: Option<&TlsFiles>) -> Result<(), String> {
    let channel = channel(port, files).await.map_err(|e| e.to_string())?;
    let answer = SchedulerGrpcClient::new(channel)
        .execute_query(ExecuteQueryParams::default())
        .await;
    answer.map(drop).map_err(|e| e.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_in_the_address_is_checked() {
    let certificates = Certificates::of(&[]);
    let security = certificates.client();
    let cluster = Cluster::scheduler(1, &[], certificates.setting());
    let recorder = Recorder::start(cluster.port);
    assert_eq!(recorder.port, cluster.port);
    connect(&cluster.url(), &security).await.unwrap();
    let elsewhere = cluster.url().replace("127.0.0.1", ELSEWHERE);
    let error = connect(&elsewhere, &security).await.err().unwrap();
    assert!(error.contains("for another name"), "{error}");
}

/// More than there are handshakes at the same time, of one address.
#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_keeps_no_other_waiting() {
    let certificates = Certificates::new();
    let cluster = Cluster::scheduler(1, &[], certificates.setting());
    let scheduler = ([127, 0, 0, 1], cluster.port).into();
    let mut silent = vec![];
    for _ in 0..400 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 3], 0).into()).unwrap();
        silent.push(socket.connect(scheduler).await.unwrap());
    }
    let started = Instant::now();
    connect(&cluster.url(), &certificates.client())
        .await
        .unwrap();
    // Theirs last ten seconds.
    assert!(
        started.elapsed() < Duration::from_secs(8),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_name_no_other_scheme_than_the_one_that_is_used() {
    let certificates = Certificates::new();
    let mut cluster = Cluster::scheduler(1, &[], certificates.setting());
    cluster.add_executor("");
    let ctx = cluster.session().await;
    run(&ctx, "SELECT 1").await;
    cluster.scheduler.kill();
    let message = error(&ctx, "SELECT 2").await;
    assert!(message.contains(&cluster.url()), "{message}");
    assert!(!message.contains("http://"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn executors_of_others_do_not_come_in() {
    let (ours, others) = (Certificates::new(), Certificates::new());
    let cluster = Cluster::scheduler(1, &[], ours.setting());
    let mixed = format!(
        "--tls-ca {} --tls-cert {} --tls-key {}",
        ours.files("executor").ca.display(),
        others.files("executor").cert.display(),
        others.files("executor").key.display()
    );
    for (flags, reason) in [
        (others.flags("executor"), "of another authority"),
        // Who would be refused is told by itself.
        (mixed, "is no certificate for a scheduler or an executor"),
        (
            ours.flags("client"),
            "is no certificate for a scheduler or an executor",
        ),
        (String::new(), "expects --tls-ca"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_featurize"));
        let arguments = format!(
            "executor --scheduler-host 127.0.0.1 --scheduler-port {} --bind-port 0 --bind-grpc-port 0 \
             --scheduler-connect-timeout-seconds 3 {flags}",
            cluster.port
        );
        let output = command.args(arguments.split_whitespace()).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{flags}: {error}");
        assert!(error.contains(reason), "{flags}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_requests_to_the_ports_are_refused() {
    let (ours, others) = (Certificates::new(), Certificates::new());
    let mut cluster = Cluster::scheduler(1, &[], ours.setting());
    let port = port(&cluster.add_executor(""));
    let foreign = others.files("executor");
    let bare = TlsFiles {
        cert: "none".into(),
        ..ours.files("client")
    };
    let mixed = TlsFiles {
        ca: ours.files("client").ca,
        ..foreign.clone()
    };
    for files in [None, Some(&foreign), Some(&bare), Some(&mixed)] {
        for status in [data(port, files).await, task(port, files).await] {
            assert!(
                !matches!(status, Some(Code::NotFound | Code::Ok)),
                "{status:?}"
            );
        }
    }
    for files in [None, Some(&foreign), Some(&bare), Some(&mixed)] {
        // Whoever is let in learns that there is no such service.
        let status = data(cluster.port, files).await;
        assert!(
            !matches!(status, Some(Code::Unimplemented | Code::Ok)),
            "{status:?}"
        );
    }
    // A client fetches results, and may not do what machines do.
    let client = ours.files("client");
    let status = data(port, Some(&client)).await;
    assert!(
        !matches!(status, None | Some(Code::PermissionDenied)),
        "{status:?}"
    );
    assert_eq!(
        task(port, Some(&client)).await,
        Some(Code::PermissionDenied)
    );
    let mut scheduler =
        SchedulerGrpcClient::new(channel(cluster.port, Some(&client)).await.unwrap());
    let status = scheduler
        .register_executor(RegisterExecutorParams::default())
        .await;
    assert_eq!(code(status), Code::PermissionDenied);
    let status = scheduler
        .executor_stopped(ExecutorStoppedParams::default())
        .await;
    assert_eq!(code(status), Code::PermissionDenied);
    // Nor is a machine a client.
    for files in [&client, &ours.files("executor")] {
        let channel = channel(cluster.port, Some(files)).await.unwrap();
        let mut scheduler = SchedulerGrpcClient::new(channel);
        let status = scheduler.execute_query(ExecuteQueryParams::default()).await;
        assert_eq!(code(status), Code::Unauthenticated);
        let status = scheduler
            .execute_query_push(ExecuteQueryParams::default())
            .await;
        assert_eq!(code(status), Code::Unauthenticated);
    }
    wait_for(|| cluster.executors[0].log().contains("refused 127.0.0.1:"));
}

fn code<T>(answer: Result<T, Status>) -> Code {
    answer.map_or_else(|status| status.code(), |_| Code::Ok)
}

/// None if there is no connection.
async fn data(port: u16, files: Option<&TlsFiles>) -> Option<Code> {
    let channel = channel(port, files).await.ok()?;
    let ticket = Ticket::new("nonsense");
    Some(code(FlightServiceClient::new(channel).do_get(ticket).await))
}

async fn task(port: u16, files: Option<&TlsFiles>) -> Option<Code> {
    let channel = channel(port, files).await.ok()?;
    let tasks = LaunchMultiTaskParams::default();
    Some(code(
        ExecutorGrpcClient::new(channel)
            .launch_multi_task(tasks)
            .await,
    ))
}

/// Whoever listens between any two processes.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_to_be_read_on_the_way() {
    for is_secure in [false, true] {
        let certificates = Certificates::new();
        let mut setting = match is_secure {
            true => certificates.setting(),
            false => Setting::default(),
        };
        setting.scheduler += &format!(" --external-host {ELSEWHERE}");
        setting.host = Some(ELSEWHERE.to_owned());
        let mut cluster = Cluster::scheduler(2, &[], setting);
        // Each at the port of whom it listens to.
        let mut recorders = vec![Recorder::start(cluster.port)];
        for _ in 0..2 {
            let (data, tasks) = (Recorder::start(0), Recorder::start(0));
            cluster.add_executor(&format!(
                "--external-host {ELSEWHERE} --bind-port {} --bind-grpc-port {}",
                data.port, tasks.port
            ));
            recorders.extend([data, tasks]);
        }
        let ctx = cluster.session().await;
        create_images(&ctx).await;
        let sql = "SELECT hash, min(path), count('hush-hush') AS n, max('hush-hush')
                   FROM (SELECT path, sha256(content) AS hash FROM images) GROUP BY hash";
        assert!(run(&ctx, sql).await.num_rows() > 1);
        let heard = |text: &str| recorders.iter().any(|recorder| recorder.has_heard(text));
        for text in [
            "hush-hush",
            "examples/fruits",
            "sha256",
            "content",
            "0123456789abcdef",
        ] {
            let is_token = text.starts_with('0');
            assert_eq!(
                heard(text),
                !is_secure && !is_token,
                "{text}, TLS: {is_secure}"
            );
        }
        let used = recorders.iter().filter(|recorder| recorder.bytes() > 1000);
        // With TLS, tasks come in where the data is.
        assert!(used.count() >= 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_and_tokens_are_read_again_when_they_change() {
    let (certificates, next) = (Certificates::new(), Certificates::new());
    let before = Certificates::new();
    let cluster = Cluster::scheduler(1, &[], certificates.setting());
    let copy = |from: &Certificates, to: &Certificates| {
        for entry in std::fs::read_dir(from.0.path()).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), to.0.path().join(entry.file_name())).unwrap();
        }
    };
    copy(&certificates, &before);
    let url = cluster.url();
    connect(&url, &before.client()).await.unwrap();
    connect(&url, &next.client()).await.err().unwrap();
    std::fs::write(next.0.path().join("token"), "another-token-than-before").unwrap();
    copy(&next, &certificates);
    connect(&url, &next.client()).await.unwrap();
    let error = connect(&url, &before.client()).await.err().unwrap();
    assert!(error.contains("of another authority"), "{error}");
    std::fs::write(next.0.path().join("token"), "and-once-more-another").unwrap();
    let error = connect(&url, &next.client()).await.err().unwrap();
    assert!(error.contains("the token"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_image_comes_once_over_tls_although_an_executor_is_killed() {
    let certificates = Certificates::new();
    kill_an_executor(secure_cluster(&certificates, &[])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_is_dropped_is_cancelled_over_tls() {
    let certificates = Certificates::new();
    drop_a_query(&secure_cluster(&certificates, &CANCELLING)).await;
}

/// Half of the files, or a token that anybody on the way would read.
#[test]
fn what_is_missing_is_named() {
    for (arguments, missing) in [
        (
            &["scheduler", "--tls-ca", "x"][..],
            "without --tls-cert and --tls-key",
        ),
        (
            &["executor", "--tls-cert", "x", "--tls-key", "y"],
            "without --tls-ca",
        ),
        (
            &[
                "--remote",
                "df://localhost:9",
                "--token-file",
                "x",
                "-c",
                "SELECT 1",
            ],
            "--token-file without --tls-ca",
        ),
        (
            &["--tls-ca", "x", "--tls-key", "y", "-c", "SELECT 1"],
            "--tls-ca and --tls-key without --tls-cert",
        ),
        (
            &["--token-file", "x", "-c", "SELECT 1"],
            "--token-file without --tls-ca",
        ),
        (&["certs", "/none/certs", "*"], "'*' is neither the name"),
        (
            &[
                "scheduler",
                "--tls-ca",
                "/none",
                "--tls-cert",
                "/none",
                "--tls-key",
                "/none",
            ],
            "'/none' holds no certificate",
        ),
    ] {
        let output = program(&[], arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{arguments:?}");
        assert!(error.contains(missing), "{arguments:?}: {error}");
    }
}
