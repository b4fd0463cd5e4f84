//! The `featurize` program: SQL in a REPL, from `-c`, from `-f` or from a pipe.

mod args;
#[cfg(feature = "cluster")]
mod cluster;
mod help;
mod progress;
mod repl;
mod report;
mod session;
mod shorten;
mod statements;
mod weights;

use std::io::{IsTerminal, Read};
use std::process::ExitCode;

use clap::Parser;
use datafusion::common::{Result, exec_datafusion_err};
use log::LevelFilter;

use crate::args::{Args, Subcommand};
use crate::session::Session;

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    env_logger::Builder::from_default_env()
        // Below this level it logs statements, and with them the keys in their OPTIONS.
        .filter_module("sqlparser", LevelFilter::Info)
        .init();
    match start(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("Error: {}", e.strip_backtrace());
            ExitCode::FAILURE
        }
    }
}

fn start(args: Args) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| exec_datafusion_err!("could not start the runtime's threads: {e}"))?;
    runtime.block_on(Box::pin(run(args)))
}

async fn run(args: Args) -> Result<()> {
    args.change_folder()?;
    #[cfg(feature = "cluster")]
    if let Some(Subcommand::Cluster(command)) = args.subcommand {
        return command.run().await;
    }
    let mut session = Session::try_new(&args).await?;
    match &args.subcommand {
        #[cfg(feature = "cluster")]
        Some(Subcommand::Cluster(_)) => {}
        Some(Subcommand::Report(report)) => return report::run(&session, report).await,
        Some(Subcommand::Weights(command)) => return weights::run(&session, command),
        None => {}
    }
    for file in &args.file {
        let sql = std::fs::read_to_string(file)
            .map_err(|e| exec_datafusion_err!("could not read '{}': {e}", file.display()))?;
        let name = file.display().to_string();
        statements::run(&session, &sql, Some(&name)).await?;
    }
    for sql in &args.command {
        statements::run(&session, sql, None).await?;
    }
    if !args.file.is_empty() || !args.command.is_empty() {
        return Ok(());
    }
    let mut stdin = std::io::stdin();
    if stdin.is_terminal() {
        return repl::run(&mut session).await;
    }
    let mut sql = String::new();
    stdin
        .read_to_string(&mut sql)
        .map_err(|e| exec_datafusion_err!("could not read the standard input: {e}"))?;
    statements::run(&session, &sql, Some("standard input")).await
}
