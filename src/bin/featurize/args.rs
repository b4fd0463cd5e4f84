//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;
use datafusion::common::{Result, exec_datafusion_err};
use datafusion_cli::pool_type::PoolType;
use datafusion_cli::print_format::PrintFormat;
use datafusion_cli::print_options::MaxRows;
use datafusion_featurize::config::parse_bytes;

use crate::progress::ProgressMode;
use crate::report::ReportArgs;
use crate::weights::WeightsCommand;

/// Turns a bucket of images into features with SQL.
///
/// Without -c and -f it reads SQL from the terminal, or from a pipe. Options mean what they mean
/// in datafusion-cli. The exit status is not zero if a statement failed.
#[derive(Debug, Parser)]
#[command(name = "featurize", version)]
pub(crate) struct Args {
    /// Run queries on the cluster of this scheduler, such as df://host:50050
    #[cfg(feature = "cluster")]
    #[arg(long, value_name = "URL")]
    pub(crate) remote: Option<String>,

    /// Ask a scheduler on another machine without TLS, though nothing is encrypted
    #[cfg(feature = "cluster")]
    #[arg(long, requires = "remote")]
    pub(crate) insecure: bool,

    #[cfg(feature = "cluster")]
    #[command(flatten)]
    pub(crate) tls: crate::security::TlsArgs,

    #[cfg(feature = "cluster")]
    #[command(flatten)]
    pub(crate) token: crate::security::TokenArgs,

    /// Run this SQL, then exit
    #[arg(short = 'c', long, value_name = "SQL", num_args = 1..)]
    pub(crate) command: Vec<String>,

    /// Run the SQL of these files, then exit
    #[arg(short = 'f', long, value_name = "FILE", num_args = 1..)]
    pub(crate) file: Vec<PathBuf>,

    /// Files of SQL to run, then exit, as with -f
    #[arg(value_name = "FILE")]
    pub(crate) script: Vec<PathBuf>,

    /// How results are printed
    #[arg(long, value_enum, default_value_t = PrintFormat::Automatic, global = true)]
    pub(crate) format: PrintFormat,

    /// Print results only
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,

    /// How the progress of long statements is shown, on stderr
    #[arg(long, value_enum, default_value_t = ProgressMode::Auto)]
    pub(crate) progress: ProgressMode,

    /// The folder that relative paths start from
    #[arg(short = 'p', long, value_name = "FOLDER")]
    data_path: Option<PathBuf>,

    /// Rows in a batch
    #[arg(short = 'b', long, value_name = "ROWS", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) batch_size: Option<u32>,

    /// Most memory that queries may reserve, for example 8g; unlimited by default
    #[arg(short = 'm', long, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) memory_limit: Option<u64>,

    /// How operators share the memory limit: greedy or fair
    #[arg(long, default_value_t = PoolType::Greedy)]
    pub(crate) mem_pool_type: PoolType,

    /// Most disk that queries may spill to, for example 100g
    #[arg(short = 'd', long, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) disk_limit: Option<u64>,

    /// Most rows shown of a table, or inf
    #[arg(long, value_name = "ROWS", default_value = "40")]
    pub(crate) maxrows: MaxRows,

    /// Colour the SQL while it is typed
    #[arg(long)]
    pub(crate) color: bool,

    #[command(subcommand)]
    pub(crate) subcommand: Option<Subcommand>,
}

/// What else the program does than run SQL.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Subcommand {
    Report(Box<ReportArgs>),
    /// Downloaded weights: FEATURIZE_WEIGHTS_DIR, else the platform's cache folder
    #[command(subcommand)]
    Weights(WeightsCommand),
    #[cfg(feature = "cluster")]
    #[command(flatten)]
    Cluster(Box<crate::cluster::ClusterCommand>),
}

impl Args {
    pub(crate) fn of_the_command_line() -> Self {
        Self::parse_from(with_remarks(std::env::args_os()))
    }

    /// Whether there is SQL to run.
    pub(crate) fn has_work(&self) -> bool {
        !self.file.is_empty() || !self.script.is_empty() || !self.command.is_empty()
    }

    /// Makes `--data-path` the current folder.
    pub(crate) fn change_folder(&self) -> Result<()> {
        match &self.data_path {
            None => Ok(()),
            Some(folder) => std::env::set_current_dir(folder)
                .map_err(|e| exec_datafusion_err!("--data-path '{}': {e}", folder.display())),
        }
    }
}

/// SQL that begins with a remark, `-c '-- why'`, would be taken for an option: it becomes `--command=-- why`.
fn with_remarks(words: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut joined: Vec<OsString> = vec![];
    for word in words {
        let is_sql = joined
            .last()
            .is_some_and(|last| last == "-c" || last == "--command");
        match word
            .to_str()
            .filter(|word| is_sql && word.starts_with("--"))
        {
            Some(sql) if sql.contains(char::is_whitespace) => {
                joined.pop();
                joined.push(format!("--command={sql}").into());
            }
            _ => joined.push(word),
        }
    }
    joined
}

fn parse_size(text: &str) -> std::result::Result<u64, String> {
    parse_bytes(text).ok_or_else(|| "expected a size such as 500m or 8g".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_well_formed() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }
}
