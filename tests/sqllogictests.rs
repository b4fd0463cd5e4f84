//! Runs `tests/slt/*.slt`, each file as one test in a session of its own.
//!
//! `cargo test --test sqllogictests -- pca` runs the files whose name contains `pca`;
//! `COMPLETE=1 cargo test --test sqllogictests -- pca` writes what they print into them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::execution::SessionStateBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_featurize::SessionStateBuilderFeaturize;
use datafusion_sqllogictest::{DataFusion, df_value_validator, value_normalizer};
use indicatif::ProgressBar;
use libtest_mimic::{Arguments, Failed, Trial};
use sqllogictest::{Runner, strict_column_validator};

const FOLDER: &str = "tests/slt";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(FOLDER)?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "slt"));
    files.sort();
    let trials = files
        .into_iter()
        .map(|file| Trial::test(file.display().to_string(), move || run(&file)))
        .collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit()
}

fn run(file: &Path) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(run_file(file));
    result.map_err(|e| Failed::from(format!("{e}")))
}

async fn run_file(file: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let scratch = tempfile::tempdir()?;
    let ctx = session();
    let mut runner = Runner::new(|| async {
        Ok(DataFusion::new(
            ctx.clone(),
            file.to_path_buf(),
            ProgressBar::hidden(),
        ))
    });
    if cfg!(feature = "onnx") {
        runner.add_label("onnx");
    }
    runner.with_column_validator(strict_column_validator);
    runner.with_normalizer(value_normalizer);
    runner.with_validator(df_value_validator);
    runner.set_var("SCRATCH".to_owned(), scratch.path().display().to_string());
    if std::env::var_os("COMPLETE").is_some() {
        let (normalizer, columns) = (value_normalizer, strict_column_validator);
        runner
            .update_test_file(file, " ", df_value_validator, normalizer, columns)
            .await?;
    } else {
        runner.run_file_async(file).await?;
    }
    Ok(())
}

/// Four partitions whatever the machine, so that plans print alike.
fn session() -> SessionContext {
    let config = SessionConfig::new()
        .with_target_partitions(4)
        .with_information_schema(true);
    let state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(Arc::default())
        .with_default_features()
        .with_featurize()
        .build();
    SessionContext::new_with_state(state)
}
