//! The `featurize` program: SQL in a REPL, from `-c`, from `-f` or from a pipe.

mod args;
#[cfg(feature = "cluster")]
mod cluster;
mod complete;
mod docs;
mod download;
mod echo;
mod errors;
mod help;
mod history;
mod interrupt;
mod logger;
mod markdown;
mod names;
mod pager;
mod progress;
mod prompt;
mod repl;
mod report;
mod secrets;
#[cfg(feature = "cluster")]
mod security;
mod session;
mod statements;
mod topics;
mod weights;

use std::io::{IsTerminal, Read};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::CommandFactory;
use datafusion::common::{Result, exec_datafusion_err};
use datafusion_featurize::sink::settled;
use datafusion_featurize::sql::{nearest, script};

use crate::args::{Args, Subcommand};
use crate::errors::is_broken_pipe;
use crate::interrupt::{Signals, interruptible, signal};
use crate::session::Session;

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long what has been told to stop may take to do so before the program goes on without it.
const PATIENCE: Duration = Duration::from_secs(1);

/// The exit status of a program whose reader has gone, as shells have it.
const BROKEN_PIPE: u8 = 141;

fn main() -> ExitCode {
    let args = Args::of_the_command_line();
    logger::start(args.quiet);
    match start(args) {
        Ok(status) => status,
        // Whoever reads the results, such as `head`, has seen enough.
        Err(e) if is_broken_pipe(&e) => ExitCode::from(BROKEN_PIPE),
        Err(e) => {
            errors::tell(&e);
            ExitCode::FAILURE
        }
    }
}

fn start(args: Args) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| exec_datafusion_err!("could not start the runtime's threads: {e}"))?;
    let mut temporary = vec![];
    let result = runtime.block_on(Box::pin(run(args, &mut temporary)));
    runtime.shutdown_timeout(PATIENCE);
    for folder in temporary {
        // It is there only if something has not stopped in time, and then nothing else removes it.
        let _ = std::fs::remove_dir_all(folder);
    }
    result
}

/// Leaves the folders of temporary files of what was interrupted in `temporary`.
async fn run(args: Args, temporary: &mut Vec<PathBuf>) -> Result<ExitCode> {
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
            return interrupted(&session, temporary, report::run(&session, report)).await;
        }
        Some(Subcommand::Weights(command)) => {
            return weights::run(&session, command).map(|()| ExitCode::SUCCESS);
        }
        None => {}
    }
    if args.has_work() {
        return interrupted(&session, temporary, batch(&session, &args)).await;
    }
    let mut stdin = std::io::stdin();
    if stdin.is_terminal() {
        return repl::run(&mut session).await.map(|()| ExitCode::SUCCESS);
    }
    let mut sql = vec![];
    stdin
        .read_to_end(&mut sql)
        .map_err(|e| exec_datafusion_err!("could not read the standard input: {e}"))?;
    let sql = script::decode(sql, "standard input")?;
    let work = statements::run(&session, &sql, Some("standard input"));
    interrupted(&session, temporary, work).await
}

/// Runs the files and statements of the command line.
async fn batch(session: &Session, args: &Args) -> Result<()> {
    for file in &args.file {
        let sql = script::read(file)?;
        let name = file.display().to_string();
        statements::run(session, &sql, Some(&name)).await?;
    }
    for file in &args.script {
        let sql = script::read(file).map_err(|e| match file.exists() {
            true => e,
            false => exec_datafusion_err!("{}", no_such_work(&file.to_string_lossy())),
        })?;
        let name = file.display().to_string();
        statements::run(session, &sql, Some(&name)).await?;
    }
    for sql in &args.command {
        statements::run(session, sql, None).await?;
    }
    Ok(())
}

/// What to say of a word that is neither a file nor a command.
fn no_such_work(word: &str) -> String {
    let program = Args::command();
    let commands = program.get_subcommands().map(clap::Command::get_name);
    let meant = match nearest(word, commands) {
        Some(command) => format!("did you mean featurize {command}?"),
        None => format!(
            "featurize FILE runs a file of SQL, featurize -c '{word}' runs SQL, featurize --help lists the \
             commands"
        ),
    };
    format!("'{word}' is neither a file nor a command: {meant}")
}

/// Does the work unless a signal ends it.
async fn interrupted(
    session: &Session,
    temporary: &mut Vec<PathBuf>,
    work: impl Future<Output = Result<()>>,
) -> Result<ExitCode> {
    match interruptible(signal(Signals::InterruptAndTerminate), work).await {
        Ok(result) => result.map(|()| ExitCode::SUCCESS),
        Err(status) => {
            eprintln!("Interrupted");
            *temporary = session.ctx.runtime_env().disk_manager.temp_dir_paths();
            // The work has been dropped by now. What it was writing is cleared away.
            let _ = tokio::time::timeout(PATIENCE, settled()).await;
            #[cfg(feature = "cluster")]
            datafusion_featurize::cluster::cancellations().await;
            Ok(ExitCode::from(status))
        }
    }
}
