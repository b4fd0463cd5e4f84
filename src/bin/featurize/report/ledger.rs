//! The images that could not be read, and why.

use arrow::array::{Int64Array, StringViewArray};
use datafusion::common::Result;
use datafusion::prelude::SessionContext;

use super::ReportArgs;
use super::table::{self, Columns, Table, is_text, quoted, text};

/// Most rows that are shown.
const SHOWN: usize = 200;

/// Images that have no features.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Where it was read from.
    pub(super) source: String,
    /// All of them.
    pub(super) total: u64,
    /// The first by path: path and reason.
    pub(super) entries: Vec<(String, String)>,
}

impl Ledger {
    /// From `--ledger`, else from a column of reasons beside the features, else none.
    pub(super) async fn read(
        ctx: &SessionContext,
        features: &Table,
        columns: &Columns,
        args: &ReportArgs,
    ) -> Result<Option<Self>> {
        const NAMES: [&str; 2] = ["reason", "error"];
        let reason = |table: &Table| {
            let texts = table.columns(is_text);
            NAMES
                .into_iter()
                .find(|name| texts.iter().any(|text| text == name))
        };
        let Some(location) = &args.ledger else {
            let Some(reason) = reason(features) else {
                return Ok(None);
            };
            return Self::query(ctx, features, &columns.path, reason)
                .await
                .map(Some);
        };
        let table = Table::open(ctx, "report_ledger", "--ledger", location, true).await?;
        let has_path = table.columns(is_text).iter().any(|name| name == "path");
        let Some(reason) = reason(&table).filter(|_| has_path) else {
            return table.refuse(&format!(
                "has no columns 'path' and 'reason' (or 'error'), both text; it has {}; write \
                 SELECT path, image_info(content)['error'] AS reason",
                table.described()
            ));
        };
        Self::query(ctx, &table, "path", reason).await.map(Some)
    }

    async fn query(ctx: &SessionContext, table: &Table, path: &str, reason: &str) -> Result<Self> {
        let from = format!("FROM {} WHERE {} IS NOT NULL", table.name, quoted(reason));
        let mut ledger = Self {
            source: table.location(),
            ..Self::default()
        };
        for batch in table::rows(ctx, &format!("SELECT count(*) {from}")).await? {
            let count: &Int64Array = table::column(&batch, 0)?;
            ledger.total = count.iter().flatten().map(i64::unsigned_abs).sum();
        }
        let sql = format!(
            "SELECT coalesce({}, '') AS path, {} AS reason {from} ORDER BY 1, 2 LIMIT {SHOWN}",
            text(path),
            text(reason)
        );
        for batch in table::rows(ctx, &sql).await? {
            let paths: &StringViewArray = table::column(&batch, 0)?;
            let reasons: &StringViewArray = table::column(&batch, 1)?;
            for (path, reason) in paths.iter().zip(reasons) {
                let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
                ledger.entries.push((text(path), text(reason)));
            }
        }
        Ok(ledger)
    }
}
