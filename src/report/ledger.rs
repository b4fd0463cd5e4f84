//! The images that could not be read, and why.

use datafusion::common::Result;
use datafusion::prelude::SessionContext;
use serde::Deserialize;

use super::tables::{self, Source, TEXT, Table, quoted, text};

/// Most rows that are shown.
const SHOWN: usize = 200;

/// Images that have no features.
#[derive(Debug)]
pub(super) struct Ledger {
    /// Where it was read from.
    pub(super) source: String,
    /// All of them.
    pub(super) total: u64,
    /// The first by path.
    pub(super) entries: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Entry {
    pub(super) path: String,
    pub(super) reason: String,
}

impl Ledger {
    /// From the ledger, else from a column of reasons beside the features, else none.
    pub(super) async fn read(source: &Source<'_>) -> Result<Option<Self>> {
        let (ctx, features) = (source.ctx, &source.features);
        let Some(location) = &source.options.ledger else {
            return match reason(features) {
                Some(reason) => query(ctx, features, &source.path, reason).await.map(Some),
                None => Ok(None),
            };
        };
        let table = Table::open(ctx, source.options, "ledger", location).await?;
        match reason(&table).filter(|_| table.of(TEXT).contains(&"path")) {
            Some(reason) => query(ctx, &table, "path", reason).await.map(Some),
            None => table.refuse(&format!(
                "has no columns 'path' and 'reason' (or 'error'), both text; it has {}; write \
                 SELECT path, image_info(content)['error'] AS reason",
                table.columns()
            )),
        }
    }
}

/// The column of reasons.
fn reason(table: &Table) -> Option<&'static str> {
    let texts = table.of(TEXT);
    let mut names = ["reason", "error"].into_iter();
    names.find(|name| texts.contains(name))
}

async fn query(
    ctx: &SessionContext,
    table: &Table<'_>,
    path: &str,
    reason: &str,
) -> Result<Ledger> {
    let from = format!("{} WHERE {} IS NOT NULL", table.name, quoted(reason));
    let (path, reason) = (text(path), text(&quoted(reason)));
    let what = format!("coalesce({path}, '') AS path, {reason} AS reason");
    let sql = format!("SELECT {what} FROM {from} ORDER BY 1, 2 LIMIT {SHOWN}");
    Ok(Ledger {
        source: table.location.clone(),
        total: tables::count(ctx, "count(*)", &from).await?,
        entries: tables::rows(ctx, &sql).await?,
    })
}
