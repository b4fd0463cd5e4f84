//! `featurize weights`: the folder of downloaded weights.

use std::sync::{Arc, Mutex, PoisonError};

use clap::Subcommand;
use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray, UInt64Array};
use datafusion::common::instant::Instant;
use datafusion::common::{Result, config_datafusion_err, exec_err};
use datafusion::config::FormatOptions;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion_featurize::image::models::Architecture;
use datafusion_featurize::image::weights::{
    FileState, FileStatus, OnProgress, Stage, Verdict, WeightsAccess, WeightsFolder, WeightsSpec,
};
use datafusion_featurize::weights::SessionStores;
use indicatif::{HumanBytes, ProgressBar};

use crate::progress::{BARS, ProgressDisplay, style};
use crate::session::Session;

/// Downloaded weights: FEATURIZE_WEIGHTS_DIR, else the platform's cache folder
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum WeightsCommand {
    /// List the files of 'imagenet' and what else is there
    List,
    /// Download weights unless they are there and intact
    ///
    /// A file at a URL is downloaded again if it has changed.
    Fetch {
        /// vgg16, mobilenet_v2, or the URL of a .h5, .keras or .safetensors file
        #[arg(value_name = "MODEL", required = true)]
        models: Vec<String>,
    },
    /// Hash every file again and compare it with its record; fails if one differs
    Verify,
}

/// How weights are reached by the program: with a progress bar where there are bars.
pub(crate) fn access(runtime: &RuntimeEnv, progress: &ProgressDisplay) -> WeightsAccess {
    let access = WeightsAccess::new(Arc::new(SessionStores::new(runtime)));
    if progress.draws_bars() {
        access.with_progress(progress_bar())
    } else {
        access
    }
}

pub(crate) fn run(session: &Session, command: &WeightsCommand) -> Result<()> {
    let folder = WeightsFolder::locate(None).map_err(failed)?;
    match command {
        WeightsCommand::List => list(session, &folder),
        WeightsCommand::Fetch { models } => fetch(session, &folder, models),
        WeightsCommand::Verify => verify(session, &folder),
    }
}

fn list(session: &Session, folder: &WeightsFolder) -> Result<()> {
    let files = folder.files().map_err(failed)?;
    if session.shortens() {
        print!("{}", listing(folder, &files));
        return Ok(());
    }
    let texts = |values: Vec<Option<String>>| -> ArrayRef { Arc::new(StringArray::from(values)) };
    let models = files
        .iter()
        .map(|file| Some(file.architecture?.to_string()));
    let states = files.iter().map(|file| state(file));
    let lengths = files.iter().map(|file| file.length);
    let paths = files.iter().map(|file| folder.path().join(&file.name));
    print(
        session,
        vec![
            ("model", texts(models.collect())),
            (
                "state",
                texts(states.map(|state| Some(state.to_owned())).collect()),
            ),
            ("bytes", Arc::new(lengths.collect::<UInt64Array>())),
            (
                "sha256",
                texts(files.iter().map(|file| file.sha256.clone()).collect()),
            ),
            (
                "path",
                texts(paths.map(|path| Some(path.display().to_string())).collect()),
            ),
        ],
    )
}

/// The files as a person reads them: names and hashes are too long for the columns of a table.
fn listing(folder: &WeightsFolder, files: &[FileStatus]) -> String {
    let mut text = format!("In {}:\n", folder.path().display());
    for file in files {
        let model = match file.architecture {
            Some(architecture) => architecture.to_string(),
            None => "(from a URL)".to_owned(),
        };
        text += &format!("\n{model}: {}", state(file));
        if file.length > 0 {
            text += &format!(", {}", HumanBytes(file.length));
        }
        text += &format!("\n  {}\n", file.name);
        if let Some(sha256) = &file.sha256 {
            text += &format!("  sha256 {sha256}\n");
        }
    }
    text
}

fn state(file: &FileStatus) -> &'static str {
    match file.state {
        FileState::Cached => "cached",
        FileState::Partial => "partial",
        _ => "absent",
    }
}

fn fetch(session: &Session, folder: &WeightsFolder, models: &[String]) -> Result<()> {
    let access = access(&session.ctx.runtime_env(), &session.progress);
    for model in models {
        let (weights, architecture) = if model.contains("://") {
            // The network matters for the file of 'imagenet' only.
            let weights = WeightsSpec::parse(model).map_err(failed)?;
            (weights, Architecture::Vgg16)
        } else {
            let architecture = Architecture::parse(model).map_err(failed)?;
            (WeightsSpec::ImageNet, architecture)
        };
        let cached = folder
            .fetch(&weights, architecture, &access)
            .map_err(failed)?;
        // As sha256sum prints it.
        println!("{}  {}", cached.sha256(), cached.path().display());
    }
    Ok(())
}

fn verify(session: &Session, folder: &WeightsFolder) -> Result<()> {
    let verdicts = folder.verify().map_err(failed)?;
    let damaged: Vec<&str> = verdicts
        .iter()
        .filter(|(_, _, verdict)| matches!(verdict, Verdict::Damaged(_)))
        .map(|(name, ..)| name.as_str())
        .collect();
    let text = |value: &dyn Fn(&(String, String, Verdict)) -> String| -> ArrayRef {
        Arc::new(
            verdicts
                .iter()
                .map(|each| Some(value(each)))
                .collect::<StringArray>(),
        )
    };
    print(
        session,
        vec![
            ("file", text(&|(name, ..)| name.clone())),
            ("sha256", text(&|(_, sha256, _)| sha256.clone())),
            (
                "verdict",
                text(&|(_, _, verdict)| match verdict {
                    Verdict::Intact => "intact".to_owned(),
                    Verdict::Damaged(why) => format!("damaged: {why}"),
                    _ => "nothing to compare it with".to_owned(),
                }),
            ),
        ],
    )?;
    if damaged.is_empty() {
        return Ok(());
    }
    exec_err!(
        "{} of {} files in {} are damaged: {}; featurize weights fetch downloads them again",
        damaged.len(),
        verdicts.len(),
        folder.path().display(),
        damaged.join(", ")
    )
}

/// Prints columns as the results of queries are.
fn print(session: &Session, columns: Vec<(&str, ArrayRef)>) -> Result<()> {
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns
            .into_iter()
            .map(|(name, column)| (name, column, true)),
    )?;
    let (schema, rows) = (batch.schema(), batch.num_rows());
    let options = FormatOptions {
        null: String::new(),
        ..session.ctx.copied_config().options().format.clone()
    };
    session
        .print_options
        .print_batches(schema, &[batch], Instant::now(), rows, &options)
}

/// Draws a bar on stderr while a file is downloaded.
fn progress_bar() -> OnProgress {
    let bar: Mutex<Option<ProgressBar>> = Mutex::default();
    Arc::new(move |progress| {
        let mut bar = bar.lock().unwrap_or_else(PoisonError::into_inner);
        if progress.stage == Stage::Ended {
            if let Some(bar) = bar.take() {
                bar.finish_and_clear();
            }
            return;
        }
        let bar = bar.get_or_insert_with(|| {
            // The name of the file alone takes most of a line.
            let template =
                "{msg}\n{bytes} of {total_bytes} · {bytes_per_sec} · {eta} left {wide_bar}";
            BARS.add(ProgressBar::new(0).with_style(style(template)))
        });
        match progress.stage {
            Stage::Waiting => {
                bar.set_message(format!("{}: another process downloads it", progress.file));
            }
            Stage::Receiving => {
                bar.set_message(progress.file.to_owned());
                bar.set_length(progress.size);
                bar.set_position(progress.received);
            }
            _ => bar.set_message(format!("{}: verifying", progress.file)),
        }
    })
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err hands it over")]
fn failed(error: datafusion_featurize::image::error::Error) -> datafusion::error::DataFusionError {
    config_datafusion_err!("{error}")
}
