//! The prompt: reads lines, and runs them as statements or backslash commands.

use datafusion::common::{DataFusionError, Result, exec_datafusion_err, exec_err};
use datafusion::sql::sqlparser::dialect::Dialect;
use datafusion_cli::command::{Command, OutputFormat};
use datafusion_featurize::sink::settled;
use datafusion_featurize::sql::script;
use rustyline::completion::unescape;
use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;

use crate::errors::tell;
use crate::history::HistoryFile;
use crate::interrupt::{Signals, interruptible, signal};
use crate::prompt::{self, Prompt, PromptHelper, command};
use crate::secrets::lacks_secrets;
use crate::session::Session;
use crate::{PATIENCE, help, pager, statements};

/// Reads and runs lines until the end of the input or `\q`.
pub(crate) async fn run(session: &mut Session) -> Result<()> {
    if !session.print_options.quiet {
        println!(
            "featurize {} on DataFusion {}: \\? shows commands, \\h functions, \\q quits.",
            env!("CARGO_PKG_VERSION"),
            datafusion::DATAFUSION_VERSION
        );
    }
    let config = prompt::config().map_err(|e| failed(&e))?;
    let history = DefaultHistory::with_config(&config);
    let mut prompt = new_prompt(session, history)?;
    let mut file = HistoryFile::load(&mut prompt, &config);
    loop {
        // What is pressed from the end of the line on is noticed, also before the statement runs.
        let interrupt = signal(Signals::Interrupt);
        match prompt.readline("> ") {
            Ok(line) => {
                file.add(&mut prompt, &line, prompt::dialect(&session.ctx).as_ref());
                match execute(session, &mut prompt, &line, interrupt).await {
                    Done::Quit => break,
                    Done::Next => {}
                    // Nor is run what has been typed behind it, which the editor holds.
                    Done::Interrupted => {
                        let history = std::mem::take(prompt.history_mut());
                        prompt = new_prompt(session, history)?;
                    }
                }
            }
            Err(ReadlineError::Interrupted) => println!("^C"),
            Err(ReadlineError::Eof) => break,
            Err(e) => return Err(failed(&e)),
        }
        if let Some(helper) = prompt.helper() {
            helper.reset_hint();
        }
    }
    Ok(())
}

fn new_prompt(session: &Session, history: DefaultHistory) -> Result<Prompt> {
    let helper = PromptHelper::new(&session.ctx, session.print_options.color);
    prompt::config()
        .and_then(|config| prompt::new(config, history, helper))
        .map_err(|e| failed(&e))
}

/// How a line has ended.
enum Done {
    Next,
    Interrupted,
    Quit,
}

/// Runs one line, until it ends or is interrupted.
async fn execute(
    session: &mut Session,
    prompt: &mut Prompt,
    line: &str,
    interrupt: impl Future<Output = u8> + Send + 'static,
) -> Done {
    let work = async {
        let Some(command) = command(line) else {
            // One that fails holds the others up no more than if it were in a line of its own.
            let dialect = prompt::dialect(&session.ctx);
            let line = script::clean(line, dialect.as_ref());
            for statement in script::split(&line, dialect.as_ref()) {
                let result = run_statement(session, statement.sql, dialect.as_ref()).await;
                result.unwrap_or_else(|e| tell(&e));
            }
            return Ok(Done::Next);
        };
        let words: Vec<_> = command.split_whitespace().collect();
        match words.join(" ").parse() {
            Ok(Command::Quit) => Ok(Done::Quit),
            Ok(command) => {
                let work = execute_command(session, prompt, command);
                work.await.map(|()| Done::Next)
            }
            Err(()) => exec_err!("there is no command '\\{command}'; \\? lists the commands"),
        }
    };
    let result = match interruptible(interrupt, work).await {
        Ok(result) => result,
        Err(_) => {
            println!("^C");
            let _ = tokio::time::timeout(PATIENCE, settled()).await;
            Ok(Done::Interrupted)
        }
    };
    result.unwrap_or_else(|e| {
        tell(&e);
        Done::Next
    })
}

async fn run_statement(session: &Session, sql: &str, dialect: &dyn Dialect) -> Result<()> {
    if lacks_secrets(sql, dialect) {
        return exec_err!(
            "'***' stands for a secret, which the history does not keep: type it in its place"
        );
    }
    statements::run(session, sql, None).await
}

async fn execute_command(
    session: &mut Session,
    prompt: &mut Prompt,
    command: Command,
) -> Result<()> {
    let mut print = |text: &str| {
        let rows = prompt.dimensions().map(|(_, rows)| rows);
        pager::print(text, rows).map_err(Into::into)
    };
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
            // As Tab completes it.
            let escape = (!cfg!(windows)).then_some('\\');
            let file = match file.strip_prefix('\'') {
                Some(quoted) => quoted.trim_end_matches('\'').into(),
                None => unescape(&file, escape),
            };
            let sql = script::read(script::in_home(&file).as_ref().as_ref())?;
            statements::run(session, &sql, Some(&file)).await
        }
        Command::Help => print(help::COMMANDS),
        Command::ListFunctions => print(&help::list_functions()?),
        // Without the views of information_schema, and in 80 columns.
        Command::ListTables => statements::run(session, help::LIST_TABLES, None).await,
        Command::DescribeTableStmt(name) => {
            statements::run(session, &format!("DESCRIBE {name}"), None).await
        }
        Command::SearchFunctions(name) => print(&help::describe_name(&session.ctx, &name)?),
        command => {
            command
                .execute(&session.ctx, &mut session.print_options)
                .await
        }
    }
}

fn failed(error: &ReadlineError) -> DataFusionError {
    exec_datafusion_err!("the terminal cannot be read: {error}")
}
