//! The `featurize` program: SQL in a REPL, from `-c`, from `-f` or from a pipe.

mod args;
#[cfg(feature = "cluster")]
mod cluster;
mod help;
mod hints;
mod logger;
mod progress;
mod prompt;
mod repl;
mod report;
mod session;
mod shorten;
mod statements;
mod weights;

use std::future::Future;
use std::io::{IsTerminal, Read};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use datafusion::common::{DataFusionError, Result, exec_datafusion_err};

use crate::args::{Args, Subcommand};
use crate::session::Session;

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long computations that have been told to stop may take to do so before the process ends without them.
const PATIENCE: Duration = Duration::from_secs(5);

/// Exit statuses of a program that a signal ended, as shells have them.
const INTERRUPTED: u8 = 130;
#[cfg(unix)]
const TERMINATED: u8 = 143;
const BROKEN_PIPE: u8 = 141;

fn main() -> ExitCode {
    logger::start();
    match start(Args::parse()) {
        Ok(status) => status,
        // Whoever reads the results, such as `head`, has seen enough.
        Err(e) if is_broken_pipe(&e) => ExitCode::from(BROKEN_PIPE),
        Err(e) => {
            eprintln!("Error: {}", e.strip_backtrace());
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &DataFusionError) -> bool {
    let mut error: Option<&dyn std::error::Error> = Some(error);
    while let Some(e) = error {
        if let Some(e) = e.downcast_ref::<std::io::Error>() {
            return e.kind() == std::io::ErrorKind::BrokenPipe;
        }
        error = e.source();
    }
    false
}

fn start(args: Args) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| exec_datafusion_err!("could not start the runtime's threads: {e}"))?;
    let result = runtime.block_on(Box::pin(run(args)));
    runtime.shutdown_timeout(PATIENCE);
    result
}

async fn run(args: Args) -> Result<ExitCode> {
    args.change_folder()?;
    #[cfg(feature = "cluster")]
    if let Some(Subcommand::Cluster(command)) = args.subcommand {
        return command.run().await.map(|()| ExitCode::SUCCESS);
    }
    let mut session = Session::try_new(&args).await?;
    match &args.subcommand {
        #[cfg(feature = "cluster")]
        Some(Subcommand::Cluster(_)) => {}
        Some(Subcommand::Report(report)) => {
            return interruptible(report::run(&session, report)).await;
        }
        Some(Subcommand::Weights(command)) => {
            return weights::run(&session, command).map(|()| ExitCode::SUCCESS);
        }
        None => {}
    }
    if !args.file.is_empty() || !args.command.is_empty() {
        return interruptible(batch(&session, &args)).await;
    }
    let mut stdin = std::io::stdin();
    if stdin.is_terminal() {
        return repl::run(&mut session).await.map(|()| ExitCode::SUCCESS);
    }
    let mut sql = String::new();
    stdin
        .read_to_string(&mut sql)
        .map_err(|e| exec_datafusion_err!("could not read the standard input: {e}"))?;
    interruptible(statements::run(&session, &sql, Some("standard input"))).await
}

/// Runs the files and statements of the command line.
async fn batch(session: &Session, args: &Args) -> Result<()> {
    for file in &args.file {
        let sql = std::fs::read_to_string(file)
            .map_err(|e| exec_datafusion_err!("could not read '{}': {e}", file.display()))?;
        let name = file.display().to_string();
        statements::run(session, &sql, Some(&name)).await?;
    }
    for sql in &args.command {
        statements::run(session, sql, None).await?;
    }
    Ok(())
}

/// Does the work unless a signal ends it: what was in hand is dropped then, and temporary files with it.
async fn interruptible(work: impl Future<Output = Result<()>>) -> Result<ExitCode> {
    tokio::select! {
        result = work => result.map(|()| ExitCode::SUCCESS),
        status = signal() => {
            eprintln!("Interrupted");
            // The work has been dropped by now.
            #[cfg(feature = "cluster")]
            datafusion_featurize::cluster::cancellations().await;
            Ok(ExitCode::from(status))
        }
    }
}

/// Waits for a signal to end, and returns the exit status that says so.
#[cfg(unix)]
async fn signal() -> u8 {
    use tokio::signal::unix::{SignalKind, signal};

    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return interrupted().await;
    };
    tokio::select! {
        status = interrupted() => status,
        _ = terminate.recv() => TERMINATED,
    }
}

#[cfg(not(unix))]
async fn signal() -> u8 {
    interrupted().await
}

async fn interrupted() -> u8 {
    match tokio::signal::ctrl_c().await {
        Ok(()) => INTERRUPTED,
        // There is no such signal to wait for.
        Err(_) => std::future::pending().await,
    }
}
