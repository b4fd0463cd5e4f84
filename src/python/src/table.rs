//! The first rows of a result as a table of text, as the program prints it.

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use arrow::util::display::FormatOptions;
use arrow::util::pretty::pretty_format_batches_with_options;
use datafusion::common::Result;
use datafusion_featurize::display::{condensed, condensed_schema, fitted, width};

/// How values are written.
pub(crate) const OPTIONS: FormatOptions<'static> = FormatOptions::new().with_null("NULL");

/// Rows to be shown, without their vectors and images.
pub(crate) struct Table {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    /// Most of them.
    most: usize,
    rows: usize,
}

impl Table {
    pub(crate) fn new(schema: &SchemaRef, most: usize) -> Self {
        Self {
            schema: condensed_schema(schema),
            batches: vec![],
            most,
            rows: 0,
        }
    }

    /// Adds rows; beyond the most they are only counted.
    pub(crate) fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let left = self.most.saturating_sub(self.rows);
        let shown = batch.slice(0, left.min(batch.num_rows()));
        self.batches.push(condensed(&shown, &OPTIONS)?);
        self.rows += batch.num_rows();
        Ok(())
    }

    pub(crate) fn text(&self) -> Result<String> {
        let table = concat_batches(&self.schema, &self.batches)?;
        let table = fitted(&table, &OPTIONS, width(), self.rows == 1)?;
        let text = pretty_format_batches_with_options(&[table], &OPTIONS)?.to_string();
        Ok(match self.rows > self.most {
            true => format!("{text}\nthe first {} rows", self.most),
            false => text,
        })
    }
}
