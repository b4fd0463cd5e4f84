//! What a page shows.

use std::sync::Arc;

use datafusion::catalog::MemoryCatalogProviderList;
use datafusion::common::Result;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::prelude::SessionContext;

use super::images::{self, Label, Scatter};
use super::ledger::Ledger;
use super::model::Scree;
use super::options::ReportOptions;
use super::provenance::Provenance;
use super::tables::Source;
use super::thumbnails;

/// Rows in a batch: 256 vectors of 25,088 floats are 26 MB.
const BATCH_ROWS: usize = 256;

/// All of it.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) title: Option<String>,
    /// Where the features were read from.
    pub(super) source: String,
    /// Rows of the features.
    pub(super) images: u64,
    /// By descending number of rows.
    pub(super) labels: Vec<Label>,
    /// Whether labels are the folders of the paths, for want of a column.
    pub(super) labels_are_folders: bool,
    pub(super) scree: Scree,
    pub(super) scatter: Scatter,
    pub(super) ledger: Option<Ledger>,
    pub(super) provenance: Provenance,
}

impl Content {
    /// Reads the tables and the images.
    pub(super) async fn read(ctx: &SessionContext, options: &ReportOptions) -> Result<Self> {
        let ctx = &apart(ctx);
        let source = &Source::open(ctx, options).await?;
        let labels = images::labels(source).await?;
        if labels.is_empty() {
            return source
                .features
                .refuse("holds no row; expected one for each image");
        }
        let scree = Scree::read(source).await?;
        let mut scatter = Scatter::read(source, &labels, scree.ratios.len()).await?;
        thumbnails::add(ctx, options, &mut scatter.points).await?;
        Ok(Self {
            title: options.title.clone(),
            source: source.features.location.clone(),
            images: labels.iter().map(|label| label.rows).sum(),
            labels,
            labels_are_folders: source.label_is_folder,
            scree,
            scatter,
            ledger: Ledger::read(source).await?,
            provenance: Provenance::read(source).await?,
        })
    }
}

/// A session with tables of its own, small batches, and all else of `ctx`.
fn apart(ctx: &SessionContext) -> SessionContext {
    let config = ctx
        .copied_config()
        .with_create_default_catalog_and_schema(true);
    let rows = config.batch_size().min(BATCH_ROWS);
    let state = SessionStateBuilder::new_from_existing(ctx.state())
        .with_session_id(ctx.session_id())
        .with_config(config.with_batch_size(rows))
        .with_catalog_list(Arc::new(MemoryCatalogProviderList::new()));
    SessionContext::new_with_state(state.build())
}
