//! Where the features come from, as far as their files say.
//!
//! The footer of a Parquet file holds its writer, its own metadata, and that of each Arrow field.
//! What `featurize` was computed with travels in the metadata of the field of the features.

use std::collections::BTreeMap;

use datafusion::common::Result;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::parquet::arrow::{ARROW_SCHEMA_META_KEY, parquet_to_arrow_schema};
use datafusion::parquet::file::metadata::ParquetMetaData;
use datafusion::prelude::SessionContext;
use futures::{StreamExt, TryStreamExt, stream};

use super::table::{Columns, Table};

/// Most files whose footers are read.
const FOOTERS: usize = 1000;
/// Footers being read at once.
const CONCURRENCY: usize = 8;

/// What files say of themselves: name and value.
pub(super) type Facts = BTreeMap<String, String>;

/// What is known of the files of the features.
#[derive(Debug)]
pub(super) struct Provenance {
    pub(super) files: usize,
    pub(super) bytes: u64,
    /// Files that were looked into, the first by name.
    pub(super) examined: usize,
    /// Distinct descriptions of the features, each with the number of files that give it. More
    /// than one means that vectors of different models or weights are mixed.
    pub(super) features: BTreeMap<Facts, usize>,
    /// Distinct descriptions of the files.
    pub(super) writers: BTreeMap<Facts, usize>,
}

impl Provenance {
    pub(super) async fn read(
        ctx: &SessionContext,
        table: &Table,
        columns: &Columns,
    ) -> Result<Self> {
        let store = ctx.runtime_env().object_store(&table.url)?;
        let footers: Vec<(Facts, Facts)> = stream::iter(table.files.iter().take(FOOTERS))
            .map(|file| {
                let store = &store;
                async move {
                    let metadata = DFParquetMetadata::new(store.as_ref(), file);
                    describe(&*metadata.fetch_metadata().await?, columns.vectors.name())
                }
            })
            .buffered(CONCURRENCY)
            .try_collect()
            .await?;
        let mut provenance = Self {
            files: table.files.len(),
            bytes: table.files.iter().map(|file| file.size).sum(),
            examined: footers.len(),
            features: BTreeMap::new(),
            writers: BTreeMap::new(),
        };
        for (features, writer) in footers {
            *provenance.features.entry(features).or_default() += 1;
            *provenance.writers.entry(writer).or_default() += 1;
        }
        Ok(provenance)
    }
}

/// Facts on the vectors, and on the file.
fn describe(metadata: &ParquetMetaData, vectors: &str) -> Result<(Facts, Facts)> {
    let file = metadata.file_metadata();
    let entries = file.key_value_metadata();
    let schema = parquet_to_arrow_schema(file.schema_descr(), entries)?;
    let field = schema.field_with_name(vectors).ok();
    let features = field.map(|field| field.metadata().clone().into_iter().collect());
    let mut writer: Facts = entries
        .into_iter()
        .flatten()
        .filter(|entry| entry.key != ARROW_SCHEMA_META_KEY)
        .map(|entry| (entry.key.clone(), entry.value.clone().unwrap_or_default()))
        .collect();
    if let Some(created_by) = file.created_by() {
        writer.insert("written by".to_owned(), created_by.to_owned());
    }
    Ok((features.unwrap_or_default(), writer))
}
