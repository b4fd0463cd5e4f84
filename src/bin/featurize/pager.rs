//! Long text: a screen at a time.

use std::io::{IsTerminal, Write};
use std::process::{Child, Command, Stdio};

/// What shows text without `PAGER`: nothing is cleared when it ends.
const PAGER: &str = "less -FRX";

/// Prints the text, through a pager if it is longer than the screen.
pub(crate) fn print(text: &str, rows: Option<u16>) -> std::io::Result<()> {
    let is_long = rows.is_some_and(|rows| text.lines().count() >= usize::from(rows));
    if is_long
        && std::io::stdout().is_terminal()
        && let Some(mut pager) = start()
    {
        if let Some(mut input) = pager.stdin.take() {
            // Who has seen enough closes the pipe.
            let _ = writeln!(input, "{text}");
        }
        // 127: there is no such program.
        if pager.wait()?.code() != Some(127) {
            return Ok(());
        }
    }
    writeln!(std::io::stdout(), "{text}")
}

/// A pager, which is a command line, as all programs take it; an empty one is none.
fn start() -> Option<Child> {
    let pager = std::env::var("PAGER").unwrap_or_else(|_| PAGER.to_owned());
    if pager.trim().is_empty() {
        return None;
    }
    let (shell, flag) = match cfg!(windows) {
        true => ("cmd", "/C"),
        false => ("sh", "-c"),
    };
    let mut command = Command::new(shell);
    command.args([flag, &pager]).stdin(Stdio::piped());
    command.stderr(Stdio::null()).spawn().ok()
}
