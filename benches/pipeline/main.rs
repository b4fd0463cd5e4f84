//! The whole job, from a bucket of images to their principal components, stage by stage:
//! `cargo bench --bench pipeline`; `-- --help` lists its arguments.
//!
//! Images laid out like Fruits-360 are drawn and served by an S3 server in a process of its own, which
//! waits 30 ms before it answers a request. For each network a fresh process runs the statements of
//! `job.rs`, which are those that a user would write: list, featurize into Parquet, fit the PCA, transform
//! into Parquet and CSV. Weights are seeded: nothing is downloaded.
//!
//! Times of statements are elapsed; what happens at the same time within one is told by the metrics
//! of its operators. The whole is the process from its start to its end.

mod arguments;
mod compare;
mod figures;
mod fruits;
mod job;
mod machine;
mod serve;
mod table;

#[path = "../../tests/support/s3_server/mod.rs"]
#[expect(
    dead_code,
    clippy::unwrap_used,
    reason = "the tests use the rest of it, and fail by panicking"
)]
mod s3_server;

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use self::arguments::{Arguments, USAGE};
use self::figures::{Job, Report, Stage};
use self::job::Order;
use self::machine::Machine;
use self::serve::{Place, Server};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// As in the `featurize` program.
#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match start(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("Error: {e}");
            ExitCode::FAILURE
        }
    }
}

fn start(words: &[String]) -> Outcome<()> {
    match words {
        // The two processes that the measurement starts.
        [mode, setup] if mode == "--serve" => serve::serve(&serde_json::from_str(setup)?),
        [mode, order] if mode == "--job" => run(&serde_json::from_str(order)?),
        words => measure(&Arguments::parse(words)?),
    }
}

/// Runs the job in this process, and prints its figures as JSON.
fn run(order: &Order) -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let job = runtime.block_on(Box::pin(job::run(order)))?;
    println!("{}", serde_json::to_string(&job)?);
    Ok(())
}

fn measure(arguments: &Arguments) -> Outcome<()> {
    if arguments.help {
        println!("{USAGE}");
        return Ok(());
    }
    // Before anything takes long.
    let before = arguments.compare.as_deref().map(read).transpose()?;
    if let Some(path) = &arguments.json {
        let file = fs::OpenOptions::new().append(true).create(true).open(path);
        file.map_err(|e| cannot_write(path, &e))?;
    }
    let server = Server::start(&arguments.setup)?;
    let mut jobs = vec![];
    for (number, model) in arguments.models.iter().enumerate() {
        let order = |round| Order {
            images: server.place.images.clone(),
            images_options: server.place.images_options.clone(),
            results: Place::results(number * arguments.rounds + round),
            results_options: server.place.results_options.clone(),
            model: model.clone(),
            components: arguments.setup.components.clone(),
        };
        let rounds = (0..arguments.rounds).map(|round| in_a_process(&order(round)));
        jobs.extend(Job::median(rounds.collect::<Outcome<_>>()?));
    }
    let report = Report {
        date: chrono::Utc::now().format("%Y-%m-%d").to_string(),
        machine: Machine::current(),
        setup: arguments.setup.clone(),
        folders: server.place.folders,
        jobs,
    };
    drop(server);
    let text = table::markdown(&report);
    println!("{text}");
    if let Some(path) = &arguments.json {
        fs::write(path, serde_json::to_string_pretty(&report.json())?)
            .map_err(|e| cannot_write(path, &e))?;
    }
    if let Some(before) = before {
        println!("{}", compare::markdown(&before, &report)?);
    }
    if arguments.update_guide {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/guide/performance.md");
        let guide = table::into_guide(&fs::read_to_string(&path)?, &text)?;
        fs::write(path, guide)?;
    }
    Ok(())
}

fn cannot_write(path: &Path, error: &std::io::Error) -> String {
    format!("--json: could not write '{}': {error}", path.display())
}

fn read(path: &Path) -> Outcome<Report> {
    let wrong = |e: &dyn Error| format!("--compare: could not read '{}': {e}", path.display());
    let text = fs::read_to_string(path).map_err(|e| wrong(&e))?;
    Ok(Report::parse(&text).map_err(|e| wrong(&e))?)
}

/// One run of the job, from the start of a process to its end.
fn in_a_process(order: &Order) -> Outcome<Job> {
    let begun = Instant::now();
    let output = Command::new(std::env::current_exe()?)
        .args(["--job", &serde_json::to_string(order)?])
        .stderr(Stdio::inherit())
        .output()?;
    let seconds = begun.elapsed().as_secs_f64();
    if !output.status.success() {
        return Err(format!("the job with {} has failed", order.model).into());
    }
    let mut job: Job = serde_json::from_slice(&output.stdout)?;
    let stages = job.stages.iter().filter(|stage| !stage.is_part);
    let known: f64 = stages.map(|stage| stage.seconds).sum();
    let rest = Stage::new("start and end of the process", seconds - known).fixed();
    job.stages.push(rest);
    job.seconds = seconds;
    Ok(job)
}
