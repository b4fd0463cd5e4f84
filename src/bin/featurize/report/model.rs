//! The fitted model: given, or fitted here.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::prelude::SessionContext;

use super::ReportArgs;
use super::page::counted;
use super::table::{self, Columns, Table, Vectors, quoted};

/// The table that holds the model, in a column `pca`.
pub(super) const MODEL: &str = "report_model";
/// Variance that a model fitted here keeps, a little beyond the mark at 90 %.
const RATIO: &str = "0.95";
/// Of scores, every component is kept.
const ALL: &str = "0.999999999";

const BINARY: &str = "a binary value, as pca_fit returns";

/// Where a model comes from.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Origin {
    /// Read from this location.
    Given(String),
    /// Fitted to the features for this report.
    Fitted,
    /// The features are scores already; the total variance before the projection is not known.
    Scores,
}

/// What the components of a model explain.
#[derive(Debug)]
pub(super) struct Scree {
    pub(super) origin: Origin,
    /// Variance along each component, in descending order.
    pub(super) eigenvalues: Vec<f64>,
    /// Share of each in the total variance.
    pub(super) ratios: Vec<f64>,
    /// Rows that the model was fitted to.
    pub(super) samples: u64,
    /// Length of the vectors.
    pub(super) dimension: usize,
}

impl Scree {
    /// Puts the model into [`MODEL`] and reads what it explains.
    pub(super) async fn read(
        ctx: &SessionContext,
        features: &Table,
        columns: &Columns,
        args: &ReportArgs,
    ) -> Result<Self> {
        let vectors = quoted(columns.vectors.name());
        let origin = match (&args.model, &columns.vectors) {
            (Some(location), _) => {
                let table =
                    Table::open(ctx, "report_model_file", "--model", location, false).await?;
                let column = model_column(&table, args.model_column.as_deref())?;
                let count = format!("SELECT count({column}) FROM {}", table.name);
                let count = table::value(&table::rows(ctx, &count).await?, 0)?;
                if count != ScalarValue::Int64(Some(1)) {
                    return table.refuse(&format!(
                        "holds {count} models; expected one, as CREATE TABLE model AS SELECT \
                         pca_fit(…) makes; write the one to show to a file of its own"
                    ));
                }
                create(
                    ctx,
                    &format!(
                        "SELECT {column} AS pca FROM {} WHERE {column} IS NOT NULL",
                        table.name
                    ),
                )
                .await?;
                Origin::Given(table.location())
            }
            (None, Vectors::Features(_)) => {
                let sql = format!("SELECT count({vectors}) FROM {}", features.name);
                let found = count(&table::value(&table::rows(ctx, &sql).await?, 0)?)?;
                if found < 2 {
                    return features.refuse(&format!(
                        "holds {}, and a model is fitted to two at least: give one with --model; why \
                         images have none, image_info(content)['error'] says",
                        counted(found, "vector")
                    ));
                }
                let sql = format!(
                    "SELECT pca_fit({vectors}, {RATIO}) AS pca FROM {}",
                    features.name
                );
                create(ctx, &sql).await.map_err(|e| {
                    e.context(format!(
                        "no model can be fitted to --features '{}'; --model takes one",
                        features.location()
                    ))
                })?;
                Origin::Fitted
            }
            (None, Vectors::Scores(_)) => {
                create(
                    ctx,
                    &format!(
                        "SELECT pca_fit({vectors}, {ALL}, false) AS pca FROM {}",
                        features.name
                    ),
                )
                .await?;
                Origin::Scores
            }
        };
        let sql = format!(
            "SELECT pca_explained_variance(pca), pca_explained_variance_ratio(pca), \
             pca_n_samples(pca), array_length(pca_mean(pca)) FROM {MODEL}"
        );
        let described = table::rows(ctx, &sql).await?;
        let ratios = floats(&table::value(&described, 1)?)?;
        if let (Origin::Given(_), Vectors::Scores(_)) = (&origin, &columns.vectors) {
            let sql = format!("SELECT max(array_length({vectors})) FROM {}", features.name);
            let scores = table::value(&table::rows(ctx, &sql).await?, 0)?;
            let scores = scores.cast_to(&DataType::UInt64)?;
            if scores != ScalarValue::UInt64(Some(ratios.len() as u64)) {
                return features.refuse(&format!(
                    "has {scores} scores in a row, but the model of --model has {} components; \
                     give the model that they were made with",
                    ratios.len()
                ));
            }
        }
        Ok(Self {
            origin,
            eigenvalues: floats(&table::value(&described, 0)?)?,
            ratios,
            samples: count(&table::value(&described, 2)?)?,
            dimension: usize::try_from(count(&table::value(&described, 3)?)?).unwrap_or(usize::MAX),
        })
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
        let cumulative = self.cumulative();
        let index = cumulative.iter().position(|sum| *sum >= share - ROUNDING);
        index.map(|index| index + 1)
    }
}

async fn create(ctx: &SessionContext, select: &str) -> Result<()> {
    let create = format!("CREATE TABLE {MODEL} AS {select}");
    ctx.sql(&create).await?.collect().await?;
    Ok(())
}

fn model_column(table: &Table, given: Option<&str>) -> Result<String> {
    let flag = "--model-column";
    let found = table.find((flag, given), &["pca"], BINARY, table::is_binary)?;
    match (found, table.columns(table::is_binary).as_slice()) {
        (Some(name), _) => Ok(quoted(&name)),
        (None, [only]) => Ok(quoted(only)),
        (None, _) => table.missing("pca", BINARY, flag),
    }
}

fn floats(value: &ScalarValue) -> Result<Vec<f64>> {
    use arrow::array::AsArray;
    use arrow::datatypes::Float64Type;

    let ScalarValue::List(list) = value else {
        return exec_err!(
            "expected a list of a model's numbers, got {}",
            value.data_type()
        );
    };
    let numbers = list.values().as_primitive_opt::<Float64Type>();
    Ok(numbers.map_or_else(Vec::new, |numbers| numbers.values().to_vec()))
}

fn count(value: &ScalarValue) -> Result<u64> {
    match value {
        ScalarValue::Int64(Some(count)) => Ok(count.unsigned_abs()),
        ScalarValue::UInt64(Some(count)) => Ok(*count),
        value => exec_err!("expected a number of a model, got {value}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_that_reach_a_share() {
        let scree = Scree {
            origin: Origin::Fitted,
            eigenvalues: vec![5.0, 4.0, 0.5],
            ratios: vec![0.5, 0.4, 0.05],
            samples: 10,
            dimension: 4,
        };
        assert_eq!(scree.reaching(0.5), Some(1));
        assert_eq!(scree.reaching(0.9), Some(2));
        assert_eq!(scree.reaching(0.94), Some(3));
        assert_eq!(scree.reaching(0.99), None);
    }
}
