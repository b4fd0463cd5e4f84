//! Tables and scans as plain data, for the codecs of the cluster.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{FieldRef, SchemaRef};
use chrono::SecondsFormat;
use datafusion::common::Result;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::physical_plan::ExecutionPlan;

use super::fetch::{FetchExec, ListingSummary};
use super::location::Location;
use super::options::{BinaryFileOptions, Oversize};
use super::schema::table_schema;
use super::table::BinaryFileTable;

/// What makes a [`BinaryFileTable`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TableParts {
    pub(crate) locations: Vec<String>,
    pub(crate) options: BTreeMap<String, String>,
    pub(crate) partition_columns: Vec<FieldRef>,
}

/// What makes a [`FetchExec`], besides its input.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FetchParts {
    pub(crate) schema: SchemaRef,
    pub(crate) options: BTreeMap<String, String>,
    pub(crate) listing: ListingSummary,
}

impl BinaryFileTable {
    pub(crate) fn to_parts(&self) -> TableParts {
        TableParts {
            locations: self.locations.iter().map(Location::to_text).collect(),
            options: self.options.to_map(),
            partition_columns: self.partition_columns.clone(),
        }
    }

    /// The same table on another machine: nothing is listed before it is scanned.
    pub(crate) fn from_parts(parts: TableParts) -> Result<Self> {
        let locations = parts.locations.iter().map(|text| Location::parse(text));
        Ok(Self {
            locations: locations.collect::<Result<_>>()?,
            options: BinaryFileOptions::from_map(parts.options)?,
            schema: table_schema(&parts.partition_columns),
            partition_columns: parts.partition_columns,
            told_empty: Arc::default(),
        })
    }

    /// The stores that hold the objects.
    pub(crate) fn stores(&self) -> impl Iterator<Item = &ObjectStoreUrl> {
        self.locations.iter().map(Location::store)
    }
}

impl FetchExec {
    pub(crate) fn to_parts(&self) -> FetchParts {
        FetchParts {
            schema: self.schema(),
            options: self.options.to_map(),
            listing: self.listing.clone(),
        }
    }

    pub(crate) fn from_parts(parts: FetchParts, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        let options = BinaryFileOptions::from_map(parts.options)?;
        let fetch = Self::try_new(input, parts.schema, options)?;
        Ok(fetch.with_listing(parts.listing))
    }
}

impl BinaryFileOptions {
    /// The options as `CREATE EXTERNAL TABLE` takes them, without those that are absent.
    fn to_map(&self) -> BTreeMap<String, String> {
        let Self {
            path_glob_filter,
            recursive_file_lookup,
            modified_before,
            modified_after,
            ignore_missing_files,
            max_length,
            oversize,
        } = self;
        let oversize = match oversize {
            Oversize::Error => None,
            Oversize::Skip => Some("skip"),
            Oversize::Null => Some("null"),
        };
        let time = |time: &chrono::DateTime<chrono::Utc>| {
            time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
        };
        [
            (
                "pathGlobFilter",
                path_glob_filter.as_ref().map(|glob| glob.glob().to_owned()),
            ),
            (
                "recursiveFileLookup",
                recursive_file_lookup.then(|| "true".to_owned()),
            ),
            ("modifiedBefore", modified_before.as_ref().map(time)),
            ("modifiedAfter", modified_after.as_ref().map(time)),
            (
                "ignoreMissingFiles",
                ignore_missing_files.then(|| "true".to_owned()),
            ),
            ("maxLength", max_length.map(|bytes| bytes.to_string())),
            ("oversize", oversize.map(ToOwned::to_owned)),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
    }

    fn from_map(options: BTreeMap<String, String>) -> Result<Self> {
        Self::try_from_map(&options.into_iter().collect(), None)
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[test]
    fn options_survive() {
        let time = |text: &str| DateTime::parse_from_rfc3339(text).unwrap().to_utc();
        let options = BinaryFileOptions::default()
            .with_path_glob_filter("*.{jpg,png}")
            .unwrap()
            .with_recursive_file_lookup(true)
            .with_modified_before(time("2024-12-31T23:59:59.123456789Z"))
            .with_modified_after(time("2023-01-01T00:00:00Z"))
            .with_ignore_missing_files(true)
            .with_max_length(7, Oversize::Null);
        assert_eq!(
            BinaryFileOptions::from_map(options.to_map()).unwrap(),
            options
        );
        assert_eq!(options.to_map().len(), 7);
        let none = BinaryFileOptions::default();
        assert_eq!(none.to_map(), BTreeMap::new());
        assert_eq!(BinaryFileOptions::from_map(none.to_map()).unwrap(), none);
    }

    #[test]
    fn locations_survive() {
        for text in [
            "/data/a b/",
            "/data/100%25/x",
            "/data/T*/Apple*/*.jpg",
            "s3://bucket",
            "s3://bucket/folder/",
            "s3://bucket/50%25 off#1/*.jpg",
            "s3://bucket/photos %5B2024%5D/x%3f/",
            "s3://bucket/photos %5B2024%5D/*.jpg",
            "file:///data/x%20y",
        ] {
            let location = Location::parse(text).unwrap();
            let again = Location::parse(&location.to_text()).unwrap();
            assert_eq!(again.to_text(), location.to_text(), "{text}");
            assert_eq!(again.to_string(), location.to_string(), "{text}");
            assert_eq!(again.store(), location.store(), "{text}");
            assert_eq!(again.is_folder(), location.is_folder(), "{text}");
            assert_eq!(
                again.pattern().is_some(),
                location.pattern().is_some(),
                "{text}"
            );
        }
    }
}
