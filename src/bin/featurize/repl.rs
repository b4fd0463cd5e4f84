//! The prompt: line editing, completion and backslash commands are datafusion-cli's.

use std::path::PathBuf;

use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion_cli::command::{Command, OutputFormat};
use datafusion_cli::functions::Function;
use rustyline::error::ReadlineError;

use crate::help;
use crate::prompt::{Prompt, PromptHelper, command};
use crate::session::Session;
use crate::statements;

/// Reads and runs lines until the end of the input or `\q`.
pub(crate) async fn run(session: &mut Session) -> Result<()> {
    if !session.print_options.quiet {
        println!(
            "featurize {} on DataFusion {}: \\? shows commands, \\h functions, \\q quits.",
            env!("CARGO_PKG_VERSION"),
            datafusion::DATAFUSION_VERSION
        );
    }
    let mut prompt = Prompt::new().map_err(|e| failed(&e))?;
    let color = session.print_options.color;
    let dialect = session.ctx.copied_config().options().sql_parser.dialect;
    prompt.set_helper(Some(PromptHelper::new(&dialect, color)));
    let history = std::env::home_dir().map(|home| home.join(".featurize_history"));
    load(&mut prompt, history.as_ref());
    loop {
        match prompt.readline("> ") {
            Ok(line) => {
                // History is a convenience: a line that cannot be kept is run all the same.
                let _ = prompt.add_history_entry(line.trim_end());
                if !execute(session, &line).await {
                    break;
                }
                let dialect = session.ctx.copied_config().options().sql_parser.dialect;
                if let Some(helper) = prompt.helper_mut() {
                    helper.set_dialect(&dialect);
                }
            }
            Err(ReadlineError::Interrupted) => {
                println!("^C");
                if let Some(helper) = prompt.helper() {
                    helper.reset_hint();
                }
            }
            Err(ReadlineError::Eof) => break,
            Err(e) => return Err(failed(&e)),
        }
    }
    if let Some(history) = history
        && let Err(e) = prompt.save_history(&history)
    {
        log::warn!("could not write {}: {e}", history.display());
    }
    Ok(())
}

/// Runs one line; false ends the session.
async fn execute(session: &mut Session, line: &str) -> bool {
    let work = async {
        let Some(command) = command(line) else {
            return statements::run(session, line, None).await.map(|()| true);
        };
        let words: Vec<_> = command.split_whitespace().collect();
        match words.join(" ").parse() {
            Ok(Command::Quit) => Ok(false),
            Ok(command) => execute_command(session, command).await.map(|()| true),
            Err(()) => exec_err!("there is no command '\\{command}'; \\? lists the commands"),
        }
    };
    let result = tokio::select! {
        result = work => result,
        _ = tokio::signal::ctrl_c() => {
            println!("^C");
            Ok(true)
        }
    };
    result.unwrap_or_else(|e| {
        eprintln!("Error: {}", e.strip_backtrace());
        true
    })
}

async fn execute_command(session: &mut Session, command: Command) -> Result<()> {
    match command {
        Command::OutputFormat(Some(format)) => {
            let format: OutputFormat = format.parse().map_err(|()| {
                exec_datafusion_err!(
                    "there is no such setting of the output; try \\pset format csv"
                )
            })?;
            format.execute(&mut session.print_options)
        }
        Command::OutputFormat(None) => {
            println!("Output format is {:?}.", session.print_options.format);
            Ok(())
        }
        Command::Include(Some(file)) => {
            let sql = std::fs::read_to_string(&file)
                .map_err(|e| exec_datafusion_err!("could not read '{file}': {e}"))?;
            statements::run(session, &sql, Some(&file)).await
        }
        Command::Help => {
            println!("{}", help::COMMANDS);
            Ok(())
        }
        Command::ListFunctions => {
            println!("{}", help::list_functions()?);
            Ok(())
        }
        // Without the views of information_schema, and in 80 columns.
        Command::ListTables => statements::run(session, help::LIST_TABLES, None).await,
        Command::DescribeTableStmt(name) => {
            statements::run(session, &format!("DESCRIBE {name}"), None).await
        }
        // Statements, such as `\h SELECT`, are explained by datafusion-cli.
        Command::SearchFunctions(name) if name.parse::<Function>().is_err() => {
            println!("{}", help::describe_function(&session.ctx, &name)?);
            Ok(())
        }
        command => {
            command
                .execute(&session.ctx, &mut session.print_options)
                .await
        }
    }
}

fn load(prompt: &mut Prompt, history: Option<&PathBuf>) {
    if let Some(history) = history
        && history.exists()
        && let Err(e) = prompt.load_history(history)
    {
        log::warn!("could not read {}: {e}", history.display());
    }
}

fn failed(error: &ReadlineError) -> datafusion::error::DataFusionError {
    exec_datafusion_err!("the terminal cannot be read: {error}")
}
