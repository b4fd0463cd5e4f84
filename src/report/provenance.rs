//! Where the features come from, as far as their files say.
//!
//! The footer of a Parquet file holds its writer, its own metadata, and that of each Arrow field.
//! What `featurize` was computed with travels in the metadata of the field of the features.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::common::Result;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::parquet::arrow::{ARROW_SCHEMA_META_KEY, parquet_to_arrow_schema};
use datafusion::parquet::file::metadata::ParquetMetaData;
use futures::{StreamExt, TryStreamExt, stream};

use super::tables::{Source, quoted};

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
    pub(super) bytes: usize,
    /// Files that were looked into, the first by name.
    pub(super) examined: usize,
    /// Distinct descriptions of the features and of their file, each with the number of files that give it.
    pub(super) described: BTreeMap<(Facts, Facts), usize>,
}

impl Provenance {
    pub(super) async fn read(source: &Source<'_>) -> Result<Self> {
        let (table, runtime) = (&source.features, source.ctx.runtime_env());
        let store = &runtime.object_store(&table.url)?;
        let vectors = &source.vectors;
        // Files of its own: with borrowed ones no other thread could take over what awaits this.
        let files = table.files.iter().take(FOOTERS).cloned();
        let footers = stream::iter(files).map(|file| async move {
            let metadata = DFParquetMetadata::new(store.as_ref(), &file);
            describe(&*metadata.fetch_metadata().await?, vectors)
        });
        let mut footers = footers.buffered(CONCURRENCY);
        let mut described = BTreeMap::new();
        while let Some(facts) = footers.try_next().await? {
            *described.entry(facts).or_default() += 1;
        }
        Ok(Self {
            files: table.files.len(),
            bytes: table.files.iter().map(|file| file.size as usize).sum(),
            examined: described.values().sum(),
            described,
        })
    }

    /// What the files say of the features. More than one thing means that vectors of different models or
    /// weights are mixed.
    pub(super) fn features(&self) -> BTreeSet<&Facts> {
        self.described
            .keys()
            .map(|(features, _)| features)
            .collect()
    }
}

/// Facts on the vectors, and on the file.
fn describe(metadata: &ParquetMetaData, vectors: &str) -> Result<(Facts, Facts)> {
    let file = metadata.file_metadata();
    let entries = file.key_value_metadata();
    let schema = parquet_to_arrow_schema(file.schema_descr(), entries)?;
    let mut fields = schema.fields().iter();
    let field = fields.find(|field| quoted(field.name()) == vectors);
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
