//! `~/.featurize_history`: what was typed, without secrets, written at each statement.

use std::path::PathBuf;

use datafusion::sql::sqlparser::dialect::{Dialect, GenericDialect};
use rustyline::Config;
use rustyline::history::{DefaultHistory, History as _};

use crate::prompt::Prompt;
use crate::secrets::hidden;

/// Where the history is kept. History is a convenience: what goes wrong is said once, and no statement
/// is held up by it.
pub(crate) struct HistoryFile(Option<PathBuf>);

impl HistoryFile {
    /// Reads the history into the prompt, and takes out of it, and of the file, the secrets that older
    /// versions have kept.
    pub(crate) fn load(prompt: &mut Prompt, config: &Config) -> Self {
        let file = std::env::home_dir().map(|home| home.join(".featurize_history"));
        let mut history = Self(file);
        history.attempt("read", |file| match file.exists() {
            true => prompt.load_history(file),
            false => Ok(()),
        });
        let Some(clean) = cleaned(prompt.history(), config) else {
            return history;
        };
        *prompt.history_mut() = clean;
        history.attempt("write", |file| prompt.save_history(file));
        history
    }

    /// Keeps a statement.
    pub(crate) fn add(&mut self, prompt: &mut Prompt, line: &str, dialect: &dyn Dialect) {
        // In memory it cannot fail.
        let _ = prompt.add_history_entry(hidden(line.trim_end(), dialect));
        self.attempt("write", |file| prompt.append_history(file));
    }

    fn attempt(&mut self, what: &str, work: impl FnOnce(&PathBuf) -> rustyline::Result<()>) {
        let Some(file) = &self.0 else {
            return;
        };
        if let Err(e) = work(file) {
            log::warn!(
                "could not {what} {}, which is left alone now: {e}",
                file.display()
            );
            self.0 = None;
        }
    }
}

/// The history without secrets, unless it has none.
fn cleaned(history: &DefaultHistory, config: &Config) -> Option<DefaultHistory> {
    let clean = |entry: &String| hidden(entry, &GenericDialect {});
    history.iter().find(|entry| clean(entry) != **entry)?;
    let mut kept = DefaultHistory::with_config(config);
    for entry in history.iter() {
        kept.add_owned(clean(entry)).ok()?;
    }
    Some(kept)
}
