//! `featurize report`: one HTML page about a table of features.
//!
//! Data flows one way: tables (Parquet, read by SQL in the program's session) → a model, a sample
//! of points, thumbnails, a ledger, provenance → [`Report`] → `page`. The page refers to nothing
//! outside of itself, and the same input gives the same bytes.
//!
//! Everything is bounded: points by `--points`, thumbnails by their number and their bytes, lists
//! by the limits of their modules. Feature vectors are only ever seen by `pca_fit` and
//! `pca_transform`, in batches of [`BATCH_ROWS`].

mod labels;
mod ledger;
mod model;
mod page;
mod points;
mod provenance;
mod sample;
mod table;
mod thumbnails;

use std::path::PathBuf;

use datafusion::common::{Result, exec_datafusion_err};

use self::labels::Labels;
use self::ledger::Ledger;
use self::model::Scree;
use self::page::counted;
use self::points::Scatter;
use self::provenance::Provenance;
use self::table::{Columns, Table};
use crate::session::Session;

/// Rows in a batch: 256 vectors of 25,088 floats are 26 MB.
const BATCH_ROWS: usize = 256;

/// Draws a report on a table of features: one HTML page that needs nothing else.
///
/// It shows how much of the variance the principal components explain, the images in the plane of
/// the first two, the number of images of each label, the images that could not be read, and where
/// the features come from.
#[derive(Debug, clap::Args)]
pub(crate) struct ReportArgs {
    /// The features: a Parquet file, or a folder of them, local or s3://
    #[arg(long, value_name = "PARQUET")]
    pub(crate) features: String,

    /// The value of pca_fit; without it, a model is fitted to the features
    #[arg(long, value_name = "PARQUET")]
    pub(crate) model: Option<String>,

    /// The images that could not be read, with columns path and reason (or error), in Parquet or CSV
    #[arg(long, value_name = "FILES")]
    pub(crate) ledger: Option<String>,

    /// The page that is written
    #[arg(short, long, value_name = "FILE")]
    pub(crate) out: PathBuf,

    /// The page's heading
    #[arg(long, value_name = "TEXT")]
    pub(crate) title: Option<String>,

    /// Most points in the scatter plot; of more images, a sample is drawn
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(crate) points: u16,

    /// Most thumbnails; 0 reads no image
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u16).range(..=10_000))]
    pub(crate) thumbnails: u16,

    /// The column of paths [default: path]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) path_column: Option<String>,

    /// The column of labels [default: label, else the folder of the path]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) label_column: Option<String>,

    /// The column of vectors [default: features, else features_pca]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) features_column: Option<String>,

    /// The column of --model that holds the model [default: pca, else the only binary one]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) model_column: Option<String>,
}

/// What the page shows.
#[derive(Debug)]
struct Report {
    title: Option<String>,
    /// Where the features were read from.
    source: String,
    labels: Labels,
    scree: Scree,
    scatter: Scatter,
    ledger: Option<Ledger>,
    provenance: Provenance,
}

/// Reads the tables and writes the page.
pub(crate) async fn run(session: &Session, args: &ReportArgs) -> Result<()> {
    let report = Box::pin(read(session, args)).await?;
    let page = page::render(&report)?;
    std::fs::write(&args.out, &page)
        .map_err(|e| exec_datafusion_err!("--out '{}': {e}", args.out.display()))?;
    if !session.print_options.quiet {
        let (points, thumbnails) = (report.scatter.points.len(), report.scatter.thumbnails());
        println!(
            "{}: {}, {}, {}, {} kB",
            args.out.display(),
            counted(report.labels.rows(), "image"),
            counted(points as u64, "point"),
            counted(thumbnails as u64, "thumbnail"),
            page.len().div_ceil(1000),
        );
    }
    Ok(())
}

async fn read(session: &Session, args: &ReportArgs) -> Result<Report> {
    let ctx = &session.ctx;
    if ctx.copied_config().batch_size() > BATCH_ROWS {
        ctx.sql(&format!(
            "SET datafusion.execution.batch_size = {BATCH_ROWS}"
        ))
        .await?;
    }
    let features = Table::open(ctx, "report_features", "--features", &args.features, false).await?;
    let columns = Columns::find(&features, args)?;
    let labels = Labels::count(ctx, &features, &columns).await?;
    if labels.rows() == 0 {
        return features.refuse("holds no row; expected one for each image");
    }
    let scree = Scree::read(ctx, &features, &columns, args).await?;
    let limit = args.points.into();
    let mut scatter = Scatter::read(ctx, &features, &columns, &labels, &scree, limit).await?;
    thumbnails::add(ctx, &mut scatter.points, args.thumbnails.into()).await?;
    let ledger = Ledger::read(ctx, &features, &columns, args).await?;
    let provenance = Provenance::read(ctx, &features, &columns).await?;
    Ok(Report {
        title: args.title.clone(),
        source: features.location(),
        labels,
        scree,
        scatter,
        ledger,
        provenance,
    })
}
