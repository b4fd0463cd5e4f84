//! `featurize weights`: the folder of downloaded weights.

use std::sync::Arc;

use clap::Subcommand;
use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray, UInt64Array};
use datafusion::common::instant::Instant;
use datafusion::common::{Result, config_datafusion_err, exec_err};
use datafusion::config::FormatOptions;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion_cli::print_format::PrintFormat;
use datafusion_featurize::display::{fitted, width};
use datafusion_featurize::image::models::{Architecture, ModelSpec, OnnxSpec, TransformerSpec};
use datafusion_featurize::image::weights::{
    FileState, FileStatus, Verdict, WeightsAccess, WeightsFolder, WeightsSpec,
};
use datafusion_featurize::weights::SessionStores;
use indicatif::HumanBytes;

use crate::progress::ProgressDisplay;
use crate::session::Session;

/// Downloaded weights: FEATURIZE_WEIGHTS_DIR, else the platform's cache folder
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum WeightsCommand {
    /// List the files of 'imagenet', of transformers with short names, and what else is there
    List,
    /// Download weights unless they are there and intact
    ///
    /// A file at a URL is downloaded again if it has changed.
    Fetch {
        /// A network such as vgg16 or dinov2_small, hf://owner/repo, the URL of another model's folder with a
        /// slash at the end, or that of a .h5, .keras, .safetensors or .onnx file
        #[arg(value_name = "MODEL", required = true)]
        models: Vec<String>,
    },
    /// Hash every file again and compare it with its record; fails if one differs
    Verify,
}

/// How weights are reached by the program, which shows downloads as it does statements.
pub(crate) fn access(runtime: &RuntimeEnv, progress: &ProgressDisplay) -> WeightsAccess {
    let display = progress.clone();
    WeightsAccess::new(Arc::new(SessionStores::new(runtime)))
        .with_progress(Arc::new(move |progress| display.download(progress)))
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
    if session.print_options.format == PrintFormat::Table {
        print!("{}", listing(folder, &files));
        return Ok(());
    }
    let texts = |values: Vec<Option<String>>| -> ArrayRef { Arc::new(StringArray::from(values)) };
    let models = files.iter().map(|file| file.model.map(str::to_owned));
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
        let model = file.model.unwrap_or("(from a URL)");
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
    // The last of the names is checked before the first download.
    let wanted = models.iter().map(|model| wanted(model));
    for wanted in wanted.collect::<Result<Vec<_>>>()? {
        let shown = session.progress.start();
        let cached = match wanted {
            Wanted::File(weights, architecture) => {
                let cached = folder.fetch(&weights, architecture, &access);
                cached.map(|cached| vec![cached])
            }
            Wanted::Folder(transformer) => folder.fetch_transformer(&transformer, &access),
            Wanted::Onnx(file) => folder.fetch_onnx(&file, &access),
        };
        let cached = cached.map_err(failed);
        shown.finish(cached.is_ok());
        for cached in cached? {
            // As sha256sum prints it.
            println!("{}  {}", cached.sha256(), cached.path().display());
        }
    }
    Ok(())
}

/// What is downloaded for a name.
enum Wanted {
    /// The network matters for the file of 'imagenet' only.
    File(WeightsSpec, Architecture),
    Folder(TransformerSpec),
    Onnx(OnnxSpec),
}

fn wanted(name: &str) -> Result<Wanted> {
    let is_short = !name.contains(['/', '\\', '.']);
    if is_short || is_remote(name) && OnnxSpec::is_meant(name) || is_folder(name) {
        return match ModelSpec::parse(name).map_err(failed)? {
            ModelSpec::Convolutional(architecture) => {
                Ok(Wanted::File(WeightsSpec::ImageNet, architecture))
            }
            ModelSpec::Transformer(transformer) => Ok(Wanted::Folder(transformer)),
            ModelSpec::Onnx(file) => Ok(Wanted::Onnx(file)),
            other => exec_err!("{other} has nothing that is downloaded"),
        };
    }
    match WeightsSpec::parse(name).map_err(failed)? {
        weights @ WeightsSpec::Url(_) => Ok(Wanted::File(weights, Architecture::Vgg16)),
        _ => exec_err!("'{name}' is on this machine: nothing is downloaded"),
    }
}

fn is_remote(address: &str) -> bool {
    address.contains("://") && !address.starts_with("file:")
}

/// Whether an address is that of a model's folder.
fn is_folder(address: &str) -> bool {
    let repo = address
        .strip_prefix("hf://")
        .map(|repo| repo.trim_end_matches('/'));
    is_remote(address)
        && (address.ends_with('/') || repo.is_some_and(|repo| repo.matches('/').count() == 1))
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
    let options = FormatOptions {
        null: String::new(),
        ..session.ctx.copied_config().options().format.clone()
    };
    let batch = match session.print_options.format {
        PrintFormat::Table => fitted(&batch, &(&options).try_into()?, width(), true)?,
        _ => batch,
    };
    let (schema, rows) = (batch.schema(), batch.num_rows());
    session
        .print_options
        .print_batches(schema, &[batch], Instant::now(), rows, &options)
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err hands it over")]
fn failed(error: datafusion_featurize::image::error::Error) -> datafusion::error::DataFusionError {
    config_datafusion_err!("{error}")
}
