//! Processes that are killed when a test ends, however it ends.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_featurize::cluster::{Security, secure_remote_session};
use datafusion_featurize::enable_featurize;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tempfile::TempDir;

/// For whatever should take seconds but has a machine full of other work to compete with.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// After how many seconds without a heartbeat the scheduler gives an executor up, and how often it looks.
const TIMEOUT_SECONDS: u64 = 5;
const LOOK_SECONDS: u64 = 1;

/// How long the scheduler takes, at most, to know that an executor is gone.
pub(crate) const DETECTION: Duration = Duration::from_secs(TIMEOUT_SECONDS + LOOK_SECONDS);

pub(crate) struct Cluster {
    pub(crate) port: u16,
    environment: Vec<(String, String)>,
    setting: Setting,
    pub(crate) folder: TempDir,
    pub(crate) scheduler: Process,
    pub(crate) executors: Vec<Process>,
}

/// What a cluster is told besides, for example about its certificates.
#[derive(Default)]
pub(crate) struct Setting {
    /// Arguments of the scheduler.
    pub(crate) scheduler: String,
    /// Arguments of the executors.
    pub(crate) executor: String,
    /// How clients show who they are.
    pub(crate) client: Security,
    /// The address at which clients and executors find the scheduler.
    pub(crate) host: Option<String>,
}

pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    /// Starts `featurize` and waits for the first line that it prints.
    pub(crate) fn start(
        log: PathBuf,
        environment: &[(String, String)],
        command: &str,
    ) -> (Self, String) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_featurize"))
            .args(command.split_whitespace())
            .envs(environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let process = Self { child, log };
        assert!(!line.is_empty(), "{command}: {}", process.log());
        (process, line)
    }

    /// What it wrote to its standard error.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// As `kill`, and until it has ended.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        let told = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        assert!(told.success());
        self.child.wait().unwrap()
    }

    /// The answer at the port that `--metrics-port 0` has made.
    pub(crate) fn status(&self, path: &str) -> String {
        let log = self.log();
        let address = log
            .lines()
            .find_map(|line| line.strip_prefix("status: http://"));
        get(address.unwrap(), path)
    }

    /// As `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Cluster {
    /// A scheduler and two executors.
    pub(crate) fn start() -> Self {
        Self::start_with(2, &[])
    }

    pub(crate) fn start_with(executors: usize, environment: &[(&str, &str)]) -> Self {
        let mut cluster = Self::scheduler(executors, environment, Setting::default());
        for _ in 0..executors {
            cluster.add_executor("");
        }
        wait_for(|| cluster.http("/readyz").starts_with("HTTP/1.1 200"));
        cluster
    }

    /// A scheduler that waits for `executors`.
    pub(crate) fn scheduler(
        executors: usize,
        environment: &[(&str, &str)],
        setting: Setting,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let environment: Vec<_> = environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let (scheduler, line) = Process::start(
            folder.path().join("scheduler.log"),
            &environment,
            &format!(
                "scheduler --bind-port 0 --min-ready-executors {executors} \
                 --executor-timeout-seconds {TIMEOUT_SECONDS} \
                 --expire-dead-executor-interval-seconds {LOOK_SECONDS} {}",
                setting.scheduler
            ),
        );
        let port = line.trim().rsplit(':').next().unwrap().parse().unwrap();
        Self {
            port,
            environment,
            setting,
            executors: vec![],
            scheduler,
            folder,
        }
    }

    /// Starts one more executor, with more arguments, and gives what it says of its ports.
    pub(crate) fn add_executor(&mut self, arguments: &str) -> String {
        let number = self.executors.len();
        let ports = match arguments.contains("--bind-port") {
            true => "",
            false => "--bind-port 0 --bind-grpc-port 0",
        };
        let command = format!(
            "executor --id executor{number} --scheduler-host {} --scheduler-port {} {ports} \
             --concurrent-tasks 2 --executor-heartbeat-interval-seconds 1 --work-dir {} {} {arguments}",
            self.host(),
            self.port,
            self.work(number).display(),
            self.setting.executor
        );
        let log = self.folder.path().join(format!("executor{number}.log"));
        let (executor, line) = Process::start(log, &self.environment, &command);
        self.executors.push(executor);
        line
    }

    /// One that makes its own folder.
    pub(crate) fn add_bare_executor(&mut self) {
        let number = self.executors.len();
        let command = format!(
            "executor --scheduler-port {} --bind-port 0 --bind-grpc-port 0",
            self.port
        );
        let log = self.folder.path().join(format!("executor{number}.log"));
        let (executor, _) = Process::start(log, &self.environment, &command);
        self.executors.push(executor);
    }

    fn host(&self) -> &str {
        self.setting.host.as_deref().unwrap_or("127.0.0.1")
    }

    pub(crate) fn url(&self) -> String {
        format!("df://{}:{}", self.host(), self.port)
    }

    /// The folder of intermediate results of an executor.
    pub(crate) fn work(&self, executor: usize) -> PathBuf {
        self.folder.path().join(format!("work{executor}"))
    }

    /// A session whose queries run on the cluster, in eight partitions.
    pub(crate) async fn session(&self) -> SessionContext {
        let config = SessionConfig::new()
            .with_target_partitions(8)
            .with_information_schema(true);
        let runtime = Arc::new(RuntimeEnv::default());
        let security = &self.setting.client;
        secure_remote_session(&self.url(), security, config, runtime)
            .await
            .unwrap()
    }

    /// `featurize --remote` with more arguments, in the environment of the cluster.
    pub(crate) fn program(&self, arguments: &[&str]) -> Output {
        let url = self.url();
        let arguments = [&["--remote", &url], arguments].concat();
        let environment = self.environment.iter();
        let environment: Vec<_> = environment.map(|(k, v)| (k.as_str(), v.as_str())).collect();
        program(&environment, &arguments)
    }

    /// The whole answer to a GET on the scheduler's port.
    pub(crate) fn http(&self, path: &str) -> String {
        get(&format!("127.0.0.1:{}", self.port), path)
    }
}

/// Version, status and text of the answer to a GET, from tests that are asynchronous and others.
fn get(address: &str, path: &str) -> String {
    let (address, path) = (address.to_owned(), path.to_owned());
    let got = async move {
        let stream = tokio::net::TcpStream::connect(&address).await.unwrap();
        let (mut client, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        let request = Request::get(path).header("host", address);
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        // The connection ends when nobody asks any more.
        let answer = async move {
            let answer = client.send_request(request).await.unwrap();
            let (version, status) = (answer.version(), answer.status());
            let text = answer.into_body().collect().await.unwrap().to_bytes();
            format!("{version:?} {status}\n{}", String::from_utf8_lossy(&text))
        };
        tokio::join!(answer, connection).0
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let got = move || runtime.unwrap().block_on(got);
    std::thread::spawn(got).join().unwrap()
}

/// Runs `featurize` to its end.
pub(crate) fn program(environment: &[(&str, &str)], arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_featurize"))
        .args(arguments)
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Looks at something again and again.
pub(crate) fn wait_for(condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < PATIENCE, "waited for {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether there is a file below `folder`.
pub(crate) fn has_files(folder: &Path) -> bool {
    files(folder).next().is_some()
}

/// The length of every file below `folder`.
pub(crate) fn files(folder: &Path) -> impl Iterator<Item = u64> + use<> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.flat_map(|entry| -> Box<dyn Iterator<Item = u64>> {
        let path = entry.path();
        if path.is_dir() {
            Box::new(files(&path))
        } else {
            Box::new(std::fs::metadata(path).into_iter().map(|file| file.len()))
        }
    })
}

/// A session of this process.
pub(crate) fn local() -> SessionContext {
    let ctx = SessionContext::new();
    enable_featurize(&ctx).unwrap();
    ctx
}

/// The folder of sample images, as every process sees it.
pub(crate) fn fruits() -> String {
    format!("{}/examples/fruits/", env!("CARGO_MANIFEST_DIR"))
}

pub(crate) async fn run(ctx: &SessionContext, sql: &str) -> RecordBatch {
    let result = async {
        let frame = ctx.sql(sql).await?;
        let schema = Arc::new(frame.schema().as_arrow().clone());
        let batches = frame.collect().await?;
        Ok::<_, datafusion::error::DataFusionError>(concat_batches(&schema, &batches)?)
    };
    let result = tokio::time::timeout(PATIENCE, result).await;
    result
        .unwrap_or_else(|_| panic!("no answer within {PATIENCE:?}: {sql}"))
        .unwrap_or_else(|e| panic!("{sql}: {e}"))
}

/// The message of a query that has to fail.
pub(crate) async fn error(ctx: &SessionContext, sql: &str) -> String {
    let result = async { ctx.sql(sql).await?.collect().await };
    match tokio::time::timeout(PATIENCE, result).await {
        Ok(Err(e)) => e.to_string(),
        Ok(Ok(_)) => panic!("no error: {sql}"),
        Err(_) => panic!("no answer within {PATIENCE:?}: {sql}"),
    }
}

/// Creates the table `images` over the sample images.
pub(crate) async fn create_images(ctx: &SessionContext) {
    let sql = format!(
        "CREATE EXTERNAL TABLE images STORED AS BINARYFILE LOCATION '{}'
         OPTIONS ('pathGlobFilter' '*.jpg', 'recursiveFileLookup' 'true')",
        fruits()
    );
    run(ctx, &sql).await;
}
