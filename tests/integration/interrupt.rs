//! A program that is told to end leaves nothing behind.

#![cfg(unix)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use datafusion::common::runtime::SpawnedTask;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_featurize::enable_featurize;
use futures::StreamExt;

/// For whatever takes seconds on a machine that has nothing else to do.
const PATIENCE: Duration = Duration::from_secs(120);

fn files(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    entries
        .map(|entry| match entry.path().is_dir() {
            true => files(&entry.path()),
            false => 1,
        })
        .sum()
}

/// Rows of a fit go to disk for as long as it takes until a signal comes.
#[test]
fn a_signal_ends_a_script_and_its_temporary_files() {
    let endless = "SET featurize.pca_memory_limit = '40M';
        SELECT pca_fit(array_resize([value::FLOAT], 3000, (value % 7)::FLOAT), 1)
        FROM generate_series(1, 1000000000)";
    for (signal, status) in [("INT", 130), ("TERM", 143)] {
        let temporary = tempfile::tempdir().unwrap();
        let mut program = Command::new(env!("CARGO_BIN_EXE_featurize"))
            .args(["-q", "-c", endless])
            .env("TMPDIR", temporary.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while files(temporary.path()) == 0 {
            assert!(begun.elapsed() < PATIENCE, "no rows on disk");
            let ended = program.try_wait().unwrap();
            assert!(ended.is_none(), "{:?}", program.wait_with_output());
            std::thread::sleep(Duration::from_millis(10));
        }
        tell(&program, signal);
        let output = program.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "Interrupted\n");
        assert_eq!(files(temporary.path()), 0);
    }
}

fn tell(program: &Child, signal: &str) {
    let told = Command::new("kill")
        .args([&format!("-{signal}"), &program.id().to_string()])
        .status();
    assert!(told.unwrap().success());
}

/// The address of weights of which the server sends the beginning and then nothing more; the connections
/// come out of the channel.
fn stalling_server() -> (String, Receiver<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/w.h5", listener.local_addr().unwrap());
    let (sender, connections) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let head = "HTTP/1.1 200 OK\r\nETag: \"a\"\r\nContent-Length: 1000000\r\n\r\nabc";
            stream.write_all(head.as_bytes()).unwrap();
            let _ = sender.send(stream);
        }
    });
    (url, connections)
}

/// Waits until the other side has gone, and less long than a download waits for bytes.
fn is_closed(mut connection: TcpStream) -> bool {
    let patience = Some(Duration::from_secs(40));
    connection.set_read_timeout(patience).unwrap();
    match connection.read(&mut [0; 16]) {
        Ok(length) => length == 0,
        Err(e) => e.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

/// Also where the download keeps the thread that plans.
#[test]
fn a_signal_ends_a_download() {
    for sql in [
        "SELECT featurize_model_info('mobilenet_v2', '{}')",
        "CREATE EXTERNAL TABLE t STORED AS BINARYFILE LOCATION 'examples/fruits/Lemon/';
         SELECT featurize(content, 'mobilenet_v2', '{}') FROM t",
        "SELECT featurize(X'00', 'mobilenet_v2', '{}')",
    ] {
        let (url, connections) = stalling_server();
        let weights = tempfile::tempdir().unwrap();
        let mut program = Command::new(env!("CARGO_BIN_EXE_featurize"))
            .args(["-q", "-c", &sql.replace("{}", &url)])
            .env("FEATURIZE_WEIGHTS_DIR", weights.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        connections.recv_timeout(PATIENCE).unwrap();
        tell(&program, "INT");
        let begun = Instant::now();
        while program.try_wait().unwrap().is_none() {
            if begun.elapsed() > PATIENCE {
                program.kill().unwrap();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let output = program.wait_with_output().unwrap();
        assert_eq!(
            String::from_utf8_lossy(&output.stderr),
            "Interrupted\n",
            "{sql}"
        );
        assert_eq!(output.status.code(), Some(130), "{sql}");
    }
}

/// Nothing goes on behind a query that nobody reads any more: its connection is closed, and no partition
/// begins with a download of its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_query_ends_its_download() {
    let (url, connections) = stalling_server();
    let weights = tempfile::tempdir().unwrap();
    let config = SessionConfig::new().with_target_partitions(2);
    let ctx = SessionContext::new_with_config(config);
    enable_featurize(&ctx).unwrap();
    for sql in [
        &format!("SET featurize.weights_dir = '{}'", weights.path().display()),
        "CREATE EXTERNAL TABLE t STORED AS BINARYFILE LOCATION 'examples/fruits/Lemon/'",
    ] {
        ctx.sql(sql).await.unwrap();
    }
    let sql = format!("SELECT featurize(content, 'mobilenet_v2', '{url}') FROM t");
    let mut stream = ctx.sql(&sql).await.unwrap().execute_stream().await.unwrap();
    let asked = SpawnedTask::spawn_blocking(move || {
        let connection = connections.recv_timeout(PATIENCE).unwrap();
        (connection, connections)
    });
    let (connection, connections) = tokio::select! {
        batch = stream.next() => panic!("{:?}", batch.map(|batch| batch.map_err(|e| e.to_string()))),
        asked = asked => asked.unwrap(),
    };
    drop(stream);
    let closed = SpawnedTask::spawn_blocking(move || is_closed(connection));
    assert!(closed.await.unwrap(), "the download goes on");
    assert!(
        connections.try_recv().is_err(),
        "another download has begun"
    );
}
