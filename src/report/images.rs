//! The images: how many each label has, and those that are drawn, in the space of the first components.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, UInt64Array};
use datafusion::common::Result;
use datafusion::common::cast::as_string_view_array;
use futures::TryStreamExt;
use serde::Deserialize;

use super::model::MODEL;
use super::sample::Sample;
use super::tables::{self, Source};

/// The table of the images that are drawn.
const SAMPLE: &str = "report_sample";
/// Most components that can be chosen as axes.
const AXES: usize = 10;

/// A label and its number of rows.
#[derive(Debug, Deserialize)]
pub(super) struct Label {
    pub(super) name: String,
    pub(super) rows: u64,
}

/// Every label, by descending number of rows, then by name.
pub(super) async fn labels(source: &Source<'_>) -> Result<Vec<Label>> {
    let (label, from) = (&source.label, &source.features.name);
    let groups = format!("SELECT {label} AS name, count(*) AS rows FROM {from} GROUP BY 1");
    tables::rows(source.ctx, &format!("{groups} ORDER BY 2 DESC, 1")).await
}

/// An image that is drawn.
#[derive(Debug)]
pub(super) struct Point {
    pub(super) path: String,
    /// Its label's position.
    pub(super) label: usize,
    /// Along each component that can be chosen, two at least.
    pub(super) scores: Vec<f64>,
    pub(super) thumbnail: Thumbnail,
}

/// The small picture of an image.
#[derive(Debug, PartialEq)]
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
    /// The first of each label come first.
    pub(super) points: Vec<Point>,
    /// The folder that all paths begin with.
    pub(super) base: String,
    /// Rows in the sample that have no vector, or one that is not finite.
    pub(super) without_vector: u64,
    /// Whether some rows are left out because there are so many.
    pub(super) sampled: bool,
    /// Rows that have no path.
    pub(super) without_path: u64,
    /// Rows whose path another row has.
    pub(super) repeated: u64,
}

impl Scatter {
    pub(super) async fn read(source: &Source<'_>, labels: &[Label], axes: usize) -> Result<Self> {
        let rows: u64 = labels.iter().map(|label| label.rows).sum();
        let sampled = rows > u64::from(source.options.points);
        let (drawn, with_path) = draw(source, labels).await?;
        let count = drawn.len() as u64;
        let paths = StringArray::from_iter_values(drawn.iter().map(|(_, path)| path));
        let labels = UInt64Array::from_iter_values(drawn.iter().map(|(label, _)| *label));
        let places = UInt64Array::from_iter_values(0..count);
        let columns: [(&str, ArrayRef); 3] = [
            ("path", Arc::new(paths)),
            ("label", Arc::new(labels)),
            ("place", Arc::new(places)),
        ];
        source
            .ctx
            .register_batch(SAMPLE, RecordBatch::try_from_iter(columns)?)?;
        let points = points(source, axes.clamp(2, AXES)).await?;
        Ok(Self {
            base: base(&points).to_owned(),
            without_vector: count.saturating_sub(points.len() as u64),
            sampled,
            without_path: rows.saturating_sub(with_path),
            repeated: if sampled {
                0
            } else {
                with_path.saturating_sub(count)
            },
            points,
        })
    }

    /// The path of a point below the base.
    pub(super) fn name<'a>(&self, point: &'a Point) -> &'a str {
        let path = point.path.strip_prefix(&self.base);
        path.unwrap_or(&point.path)
    }

    /// Number of points whose thumbnail is such a one.
    pub(super) fn count(&self, is_such: impl Fn(&Thumbnail) -> bool) -> u64 {
        let points = self.points.iter();
        points.filter(|point| is_such(&point.thumbnail)).count() as u64
    }
}

/// Streams paths and labels, which are short, through a sample; and counts the rows that have a path.
async fn draw(source: &Source<'_>, labels: &[Label]) -> Result<(Vec<(u64, String)>, u64)> {
    let numbers: HashMap<&str, usize> = labels.iter().map(|label| &*label.name).zip(0..).collect();
    let counts = labels.iter().map(|label| label.rows);
    let mut sample = Sample::new(counts, source.options.points.into());
    let mut with_path = 0;
    let (path, label, from) = (&source.path, &source.label, &source.features.name);
    let sql = format!(
        "SELECT {path} AS path, arrow_cast({label}, 'Utf8View') AS label, \
         arrow_cast(md5({path}), 'Utf8View') AS hash FROM {from} WHERE {path} IS NOT NULL"
    );
    let mut stream = source.ctx.sql(&sql).await?.execute_stream().await?;
    while let Some(batch) = stream.try_next().await? {
        let texts = |index: usize| as_string_view_array(batch.column(index));
        let (paths, names, hashes) = (texts(0)?, texts(1)?, texts(2)?);
        with_path += batch.num_rows() as u64;
        for ((path, name), hash) in paths.iter().zip(names).zip(hashes) {
            let number = name.and_then(|name| numbers.get(name));
            if let (Some(path), Some(number), Some(hash)) = (path, number, hash) {
                sample.offer(*number, hash, path);
            }
        }
    }
    Ok((sample.finish(), with_path))
}

/// The images of the sample that have a vector.
async fn points(source: &Source<'_>, axes: usize) -> Result<Vec<Point>> {
    let (path, vectors, from) = (&source.path, &source.vectors, &source.features.name);
    let projected = match source.are_scores {
        true => vectors.clone(),
        false => format!("pca_transform({vectors}, (SELECT pca FROM {MODEL}))"),
    };
    // Of a path that occurs twice, the smaller scores come first.
    let sql = format!(
        "SELECT path, label, scores FROM {SAMPLE} JOIN \
         (SELECT {path} AS path, \
          array_slice(arrow_cast({projected}, 'List(Float64)'), 1, {axes}) AS scores FROM {from} \
          WHERE {vectors} IS NOT NULL AND {path} IN (SELECT path FROM {SAMPLE})) AS scored USING (path) \
         ORDER BY place, scores[1], scores[2]"
    );
    #[derive(Deserialize)]
    struct Row {
        path: String,
        label: usize,
        scores: Vec<Option<f64>>,
    }
    let points = tables::rows(source.ctx, &sql).await?.into_iter();
    let points = points.filter_map(|row: Row| {
        let mut scores = row.scores.into_iter().collect::<Option<Vec<f64>>>()?;
        // A model of one component draws a line.
        (!scores.is_empty()).then(|| scores.resize(axes, 0.0))?;
        Some(Point {
            path: row.path,
            label: row.label,
            scores,
            thumbnail: Thumbnail::Omitted,
        })
    });
    let mut points: Vec<Point> = points.collect();
    points.dedup_by(|a, b| a.path == b.path);
    Ok(points)
}

/// The folder that all paths begin with, which is written once.
fn base(points: &[Point]) -> &str {
    let mut paths = points.iter().map(|point| point.path.as_str());
    let first = paths.next().unwrap_or_default();
    let common = paths.fold(first, |common, path| {
        let mut same = common.char_indices().zip(path.chars());
        let end = same.find(|((_, a), b)| a != b).map(|((end, _), _)| end);
        let end = end.unwrap_or_else(|| common.len().min(path.len()));
        common.get(..end).unwrap_or_default()
    });
    common
        .rfind('/')
        .and_then(|slash| common.get(..=slash))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_folder_is_written_once() {
        for (paths, expected) in [
            (vec![], ""),
            (vec!["s3://b/é/1.jpg"], "s3://b/é/"),
            (vec!["s3://b/éa/1.jpg", "s3://b/éb/1.jpg"], "s3://b/"),
            (vec!["s3://b/é/1.jpg", "s3://b/è/1.jpg"], "s3://b/"),
            (vec!["x", "y"], ""),
        ] {
            let points = paths.into_iter().map(|path| Point {
                path: path.to_owned(),
                label: 0,
                scores: vec![],
                thumbnail: Thumbnail::Omitted,
            });
            assert_eq!(base(&points.collect::<Vec<_>>()), expected);
        }
    }
}
