//! `featurize report`: the page of [`datafusion_featurize::report`], written to a file.

use std::path::PathBuf;

use datafusion::common::{Result, exec_datafusion_err};
use datafusion_featurize::report::{ReportOptions, draw};

use crate::session::Session;

/// Draws a report on a table of features: one HTML page that needs nothing else.
///
/// It shows how much of the variance the principal components explain, the images in the plane of
/// any two of them, pictures of each label, the images that could not be read, and where the features
/// come from.
#[derive(Debug, clap::Args)]
pub(crate) struct ReportArgs {
    #[command(flatten)]
    options: ReportOptions,

    /// The page that is written
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
}

/// Draws the page and writes it.
pub(crate) async fn run(session: &Session, args: &ReportArgs) -> Result<()> {
    let shown = session.progress.start_several();
    let report = draw(&session.ctx, &args.options).await;
    shown.finish(report.is_ok());
    let report = report?;
    let out = args.out.display();
    std::fs::write(&args.out, &report.html)
        .map_err(|e| exec_datafusion_err!("--out '{out}': {e}"))?;
    if !session.print_options.quiet {
        println!("{out}: {report}");
    }
    Ok(())
}
