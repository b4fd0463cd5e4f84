//! How many images each label has.

use std::collections::HashMap;

use arrow::array::{Int64Array, StringViewArray};
use datafusion::common::Result;
use datafusion::prelude::SessionContext;

use super::table::{self, Columns, Table};

/// What stands for a label that is NULL or empty.
pub(super) const NO_LABEL: &str = "(no label)";

/// A label and its number of rows.
#[derive(Debug, PartialEq)]
pub(super) struct Label {
    pub(super) name: String,
    pub(super) rows: u64,
}

/// Every label, by descending number of rows, then by name.
#[derive(Debug)]
pub(super) struct Labels {
    pub(super) labels: Vec<Label>,
    /// Whether labels are the folders of the paths, for want of a column.
    pub(super) are_folders: bool,
    index: HashMap<String, usize>,
}

impl Labels {
    pub(super) async fn count(
        ctx: &SessionContext,
        features: &Table,
        columns: &Columns,
    ) -> Result<Self> {
        let sql = format!(
            "SELECT {} AS label, count(*) AS n FROM {} GROUP BY 1",
            columns.label, features.name
        );
        let mut labels = vec![];
        for batch in table::rows(ctx, &sql).await? {
            let names: &StringViewArray = table::column(&batch, 0)?;
            let counts: &Int64Array = table::column(&batch, 1)?;
            labels.extend(names.iter().zip(counts).map(|(name, rows)| Label {
                name: name.unwrap_or(NO_LABEL).to_owned(),
                rows: rows.unwrap_or_default().unsigned_abs(),
            }));
        }
        Ok(Self::new(labels, columns.label_is_folder))
    }

    pub(super) fn new(mut labels: Vec<Label>, are_folders: bool) -> Self {
        labels.sort_by(|a, b| b.rows.cmp(&a.rows).then_with(|| a.name.cmp(&b.name)));
        let names = labels.iter().enumerate();
        Self {
            index: names
                .map(|(index, label)| (label.name.clone(), index))
                .collect(),
            labels,
            are_folders,
        }
    }

    /// Where a label stands.
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.index.get(name).copied()
    }

    /// Rows of all labels together.
    pub(super) fn rows(&self) -> u64 {
        self.labels.iter().map(|label| label.rows).sum()
    }
}
