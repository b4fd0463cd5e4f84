//! The fitted model: given, or fitted here.

use datafusion::common::Result;
use datafusion::prelude::SessionContext;
use serde::Deserialize;

use super::options::ReportOptions;
use super::tables::{self, Source, Table};
use super::text::counted;

/// The table that holds the model, in a column `pca`.
pub(super) const MODEL: &str = "report_pca";
/// The variance that pictures of this kind mark.
pub(super) const MARK: f64 = 0.9;
/// Variance that a model fitted here keeps, a little beyond the mark.
const RATIO: &str = "0.95";
/// Of scores, every component is kept.
const ALL: &str = "0.999999999, false";

/// Where a model comes from.
#[derive(Debug, Default, PartialEq)]
pub(super) enum Origin {
    /// Read from this location.
    Given(String),
    /// Fitted to the features for this report.
    #[default]
    Fitted,
    /// The features are scores already; the total variance before the projection is not known.
    Scores,
}

/// What the components of a model explain.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Scree {
    #[serde(skip)]
    pub(super) origin: Origin,
    /// Variance along each component, in descending order.
    pub(super) eigenvalues: Vec<f64>,
    /// Share of each in the total variance.
    pub(super) ratios: Vec<f64>,
    /// Rows that the model was fitted to.
    pub(super) samples: u64,
    /// Length of the vectors.
    pub(super) dimension: u64,
}

impl Scree {
    /// Puts the model into [`MODEL`] and reads what it explains.
    pub(super) async fn read(source: &Source<'_>) -> Result<Self> {
        let (ctx, options) = (source.ctx, source.options);
        let origin = match &options.model {
            Some(location) => given(ctx, location, options).await?,
            None => fit(source).await?,
        };
        let sql = format!(
            "SELECT pca_explained_variance(pca) AS eigenvalues, pca_n_samples(pca) AS samples, \
             pca_explained_variance_ratio(pca) AS ratios, array_length(pca_mean(pca)) AS dimension \
             FROM {MODEL}"
        );
        let scree = tables::rows::<Self>(ctx, &sql).await?.pop();
        let scree = Self {
            origin,
            ..scree.unwrap_or_default()
        };
        if source.are_scores && options.model.is_some() {
            let longest = format!("max(array_length({}))", source.vectors);
            let (scores, components) = (source.count(&longest).await?, scree.ratios.len());
            if scores != components as u64 {
                return source.features.refuse(&format!(
                    "has {scores} scores in a row, but the model of {} has {components} components; \
                     give the model that they were made with",
                    options.name_of("model")
                ));
            }
        }
        Ok(scree)
    }

    /// Cumulative shares.
    pub(super) fn cumulative(&self) -> Vec<f64> {
        let sums = self.ratios.iter().scan(0.0, |sum, ratio| {
            *sum += ratio;
            Some(*sum)
        });
        sums.collect()
    }

    /// Fewest components whose shares add up to `share`.
    pub(super) fn reaching(&self, share: f64) -> Option<usize> {
        // What a model fitted to this very share falls short of by rounding is no component more.
        const ROUNDING: f64 = 1e-12;
        let mut sums = self.cumulative().into_iter().zip(1..);
        sums.find(|(sum, _)| *sum >= share - ROUNDING)
            .map(|(_, components)| components)
    }
}

/// Reads the model at `location`.
async fn given(ctx: &SessionContext, location: &str, options: &ReportOptions) -> Result<Origin> {
    let table = Table::open(ctx, options, "model", location).await?;
    let names: Vec<&str> = match table.of(tables::MODEL).as_slice() {
        [only] => vec!["pca", *only],
        _ => vec!["pca"],
    };
    let given = ("model_column", &options.model_column);
    let column = table.find(tables::MODEL, given, &names)?;
    let from = format!("{} WHERE {column} IS NOT NULL", table.name);
    let models = tables::count(ctx, "count(*)", &from).await?;
    if models != 1 {
        return table.refuse(&format!(
            "holds {models} models; expected one, as CREATE TABLE model AS SELECT pca_fit(…) makes; \
             write the one to show to a file of its own"
        ));
    }
    create(ctx, &column, &from).await?;
    Ok(Origin::Given(table.location))
}

/// Fits a model to the features, or to what has been projected already.
async fn fit(source: &Source<'_>) -> Result<Origin> {
    let (ctx, vectors, features) = (source.ctx, &source.vectors, &source.features);
    let (from, option) = (&features.name, source.options.name_of("model"));
    if source.are_scores {
        create(ctx, &format!("pca_fit({vectors}, {ALL})"), from).await?;
        return Ok(Origin::Scores);
    }
    let found = source.count(&format!("count({vectors})")).await?;
    if found < 2 {
        return features.refuse(&format!(
            "holds {}, and a model is fitted to two at least: give one with {option}; why images have \
             none, image_info(content)['error'] says",
            counted(found, "vector")
        ));
    }
    let fitted = create(ctx, &format!("pca_fit({vectors}, {RATIO})"), from).await;
    let what = || {
        format!(
            "no model can be fitted to {}; {option} takes one",
            features.described
        )
    };
    fitted
        .map(|()| Origin::Fitted)
        .map_err(|e| e.context(what()))
}

async fn create(ctx: &SessionContext, model: &str, from: &str) -> Result<()> {
    let create = format!("CREATE TABLE {MODEL} AS SELECT {model} AS pca FROM {from}");
    ctx.sql(&create).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_that_reach_a_share() {
        let scree = Scree {
            ratios: vec![0.5, 0.4, 0.05],
            ..Scree::default()
        };
        let shares = [0.5, 0.9, 0.94, 0.99].map(|share| scree.reaching(share));
        assert_eq!(shares, [Some(1), Some(2), Some(3), None]);
    }
}
