//! One HTML page about a table of features.
//!
//! It shows how much of the variance the principal components explain, the images in the plane of any
//! two of them, pictures of each label, the images that could not be read, and where the features come
//! from. It needs nothing outside of itself, and the same input gives the same bytes.
//!
//! ```no_run
//! use datafusion::prelude::SessionContext;
//! use datafusion_featurize::enable_featurize;
//! use datafusion_featurize::report::{ReportOptions, draw};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> datafusion::error::Result<()> {
//! let ctx = SessionContext::new();
//! enable_featurize(&ctx)?;
//! let report = draw(&ctx, &ReportOptions::new("s3://fruits/Features/")).await?;
//! std::fs::write("report.html", &report.html)?;
//! # Ok(())
//! # }
//! ```
//!
//! Data flows one way: tables (read by SQL) → images, model, thumbnails, ledger, provenance →
//! content → page. Everything is bounded: points and thumbnails by their options,
//! thumbnails by their bytes too, lists by the limits of their modules. Feature vectors are only ever
//! seen by `pca_fit` and `pca_transform`, a few at a time.

mod content;
mod images;
mod ledger;
mod model;
mod options;
mod page;
mod provenance;
mod sample;
mod tables;
mod text;
mod thumbnails;

use std::fmt;

use datafusion::common::Result;
use datafusion::prelude::SessionContext;

use self::content::Content;
use self::images::Thumbnail;
pub use self::options::{ReportOptions, StoreOption};
use self::text::counted;

/// A report that has been drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The page.
    pub html: String,
    /// Rows of the features.
    pub images: u64,
    /// Points of the scatter plot.
    pub points: u64,
    /// Images of which the page has a small picture.
    pub thumbnails: u64,
}

/// Draws a report. The session lends its functions, settings and stores; it gains no table.
///
/// # Errors
/// When a table cannot be read, lacks a column, or has no row; when no model can be fitted.
pub async fn draw(ctx: &SessionContext, options: &ReportOptions) -> Result<Report> {
    let content = Box::pin(Content::read(ctx, options)).await?;
    let has_thumbnail = |thumbnail: &Thumbnail| matches!(thumbnail, Thumbnail::Jpeg(_));
    Ok(Report {
        html: page::render(&content),
        images: content.images,
        points: content.scatter.points.len() as u64,
        thumbnails: content.scatter.count(has_thumbnail),
    })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let images = counted(self.images, "image");
        let points = counted(self.points, "point");
        let thumbnails = counted(self.thumbnails, "thumbnail");
        let size = self.html.len().div_ceil(1000);
        write!(f, "{images}, {points}, {thumbnails}, {size} kB")
    }
}
