//! The images in the plane of the first two components.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Float64Array, RecordBatch, StringArray, StringViewArray};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::Result;
use datafusion::prelude::SessionContext;
use futures::TryStreamExt;

use super::labels::Labels;
use super::model::{MODEL, Origin, Scree};
use super::sample::{Drawn, Sampler, quotas};
use super::table::{self, Columns, Table, Vectors, quoted, text};

const SAMPLE: &str = "report_sample";

/// An image.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Point {
    pub(super) path: String,
    /// Its label's position.
    pub(super) label: usize,
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) thumbnail: Thumbnail,
}

/// The small picture of an image.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Thumbnail {
    /// A JPEG in base64.
    Jpeg(String),
    /// The image cannot be read, or not any more.
    Unreadable,
    /// Beyond what the page may hold.
    Omitted,
}

/// The images that are drawn.
#[derive(Debug)]
pub(super) struct Scatter {
    pub(super) points: Vec<Point>,
    /// Rows in the sample that have no vector, or one that is not finite.
    pub(super) without_vector: usize,
    /// Whether some rows are left out because there are so many.
    pub(super) sampled: bool,
    /// Rows that have no path.
    pub(super) without_path: u64,
    /// Rows whose path another row has.
    pub(super) repeated: u64,
    /// Whether there is a second component.
    pub(super) planar: bool,
}

impl Scatter {
    pub(super) async fn read(
        ctx: &SessionContext,
        features: &Table,
        columns: &Columns,
        labels: &Labels,
        scree: &Scree,
        limit: usize,
    ) -> Result<Self> {
        let Offered {
            drawn,
            rows,
            without_path,
        } = draw(ctx, features, columns, labels, limit).await?;
        let sampled = labels.rows() > limit as u64;
        let all = !sampled;
        let repeated = match sampled {
            true => 0,
            false => rows - drawn.len() as u64,
        };
        let mut scores = scores(ctx, features, columns, scree, (!all).then_some(&*drawn)).await?;
        let total = drawn.len();
        let points: Vec<Point> = drawn
            .into_iter()
            .filter_map(|row| {
                let (x, y) = scores.remove(&row.path)?;
                Some(Point {
                    x,
                    y,
                    path: row.path,
                    label: row.label,
                    thumbnail: Thumbnail::Omitted,
                })
            })
            .collect();
        Ok(Self {
            without_vector: total - points.len(),
            sampled,
            without_path,
            repeated,
            points,
            planar: scree.ratios.len() > 1,
        })
    }

    /// Number of points that have a thumbnail.
    pub(super) fn thumbnails(&self) -> usize {
        self.count(|thumbnail| matches!(thumbnail, Thumbnail::Jpeg(_)))
    }

    /// Number of points whose image could not be read.
    pub(super) fn unreadable(&self) -> usize {
        self.count(|thumbnail| *thumbnail == Thumbnail::Unreadable)
    }

    fn count(&self, which: impl Fn(&Thumbnail) -> bool) -> usize {
        let thumbnails = self.points.iter().map(|point| &point.thumbnail);
        thumbnails.filter(|thumbnail| which(thumbnail)).count()
    }
}

/// The rows that were drawn, and how many they were drawn from.
struct Offered {
    drawn: Vec<Drawn>,
    rows: u64,
    without_path: u64,
}

/// Streams paths and labels, which are short, through the sampler.
async fn draw(
    ctx: &SessionContext,
    features: &Table,
    columns: &Columns,
    labels: &Labels,
    limit: usize,
) -> Result<Offered> {
    let (mut rows, mut without_path) = (0, 0);
    let counts: Vec<u64> = labels.labels.iter().map(|label| label.rows).collect();
    let mut sampler = Sampler::new(&quotas(&counts, limit));
    let sql = format!(
        "SELECT {}, {} FROM {}",
        text(&columns.path),
        columns.label,
        features.name
    );
    let mut stream = ctx.sql(&sql).await?.execute_stream().await?;
    while let Some(batch) = stream.try_next().await? {
        let paths: &StringViewArray = table::column(&batch, 0)?;
        let names: &StringViewArray = table::column(&batch, 1)?;
        for (path, name) in paths.iter().zip(names) {
            let label = name.and_then(|name| labels.position(name));
            match (path, label) {
                (Some(path), Some(label)) => {
                    rows += 1;
                    sampler.offer(label, path);
                }
                (None, _) => without_path += 1,
                _ => {}
            }
        }
    }
    Ok(Offered {
        drawn: sampler.finish(),
        rows,
        without_path,
    })
}

/// The first two scores of the rows of `sample`, or of all rows, by path.
async fn scores(
    ctx: &SessionContext,
    features: &Table,
    columns: &Columns,
    scree: &Scree,
    sample: Option<&[Drawn]>,
) -> Result<HashMap<String, (f64, f64)>> {
    let path = quoted(&columns.path);
    let vectors = quoted(columns.vectors.name());
    let projected = match (&columns.vectors, &scree.origin) {
        (Vectors::Scores(_), _) | (_, Origin::Scores) => vectors.clone(),
        (Vectors::Features(_), _) => {
            format!("pca_transform({vectors}, (SELECT pca FROM {MODEL}))")
        }
    };
    let mut condition = format!("{vectors} IS NOT NULL");
    if let Some(sample) = sample {
        let paths = StringArray::from_iter_values(sample.iter().map(|row| &row.path));
        let schema = Schema::new(vec![Field::new("path", DataType::Utf8, false)]);
        ctx.register_batch(
            SAMPLE,
            RecordBatch::try_new(Arc::new(schema), vec![Arc::new(paths)])?,
        )?;
        condition += &format!(" AND {path} IN (SELECT path FROM {SAMPLE})");
    }
    let sql = format!(
        "SELECT path, arrow_cast(scores[1], 'Float64'), \
         coalesce(arrow_cast(scores[2], 'Float64'), 0.0) \
         FROM (SELECT {} AS path, {projected} AS scores FROM {} WHERE {condition})",
        text(&columns.path),
        features.name
    );
    let mut scores = HashMap::new();
    let mut stream = ctx.sql(&sql).await?.execute_stream().await?;
    while let Some(batch) = stream.try_next().await? {
        let paths: &StringViewArray = table::column(&batch, 0)?;
        let x: &Float64Array = table::column(&batch, 1)?;
        let y: &Float64Array = table::column(&batch, 2)?;
        for ((path, x), y) in paths.iter().zip(x).zip(y) {
            let (Some(path), Some(x), Some(y)) = (path, x, y) else {
                continue;
            };
            if x.is_finite() && y.is_finite() {
                keep(&mut scores, path, (x, y));
            }
        }
    }
    Ok(scores)
}

/// A path that occurs twice has the smaller scores, in whatever order they come.
fn keep(scores: &mut HashMap<String, (f64, f64)>, path: &str, new: (f64, f64)) {
    let order = |(x, y): (f64, f64), (u, v): (f64, f64)| x.total_cmp(&u).then(y.total_cmp(&v));
    let known = scores.entry(path.to_owned()).or_insert(new);
    if order(new, *known).is_lt() {
        *known = new;
    }
}
