//! Targets and formats as plain data, for the codecs of the cluster.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::datasource::file_format::FileFormat;
use datafusion::execution::object_store::ObjectStoreUrl;
use object_store::path::Path;

use super::format::WriteFormat;
use super::options::{MANIFEST, NUM_FILES, SUCCESS_FILE, VECTORS, WRITE_MODE, WriteOptions};
use super::target::Target;
use crate::object_stores::StoreOptions;

/// What makes a [`Target`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TargetParts {
    pub(crate) store: String,
    pub(crate) path: String,
    pub(crate) is_file: bool,
    pub(crate) extension: String,
}

impl Target {
    pub(crate) fn to_parts(&self) -> TargetParts {
        TargetParts {
            store: self.store.as_str().to_owned(),
            path: self.path.as_ref().to_owned(),
            is_file: self.is_file,
            extension: self.extension.clone(),
        }
    }

    /// # Errors
    /// When the parts are not those of a target.
    pub(crate) fn from_parts(parts: TargetParts) -> Result<Self> {
        Ok(Self {
            store: ObjectStoreUrl::parse(parts.store)?,
            path: Path::parse(parts.path).map_err(object_store::Error::from)?,
            is_file: parts.is_file,
            extension: parts.extension,
        })
    }
}

impl WriteOptions {
    /// The options as a statement says them, without those that are absent.
    pub(crate) fn to_map(self) -> BTreeMap<String, String> {
        let Self {
            write_mode,
            num_files,
            success_file,
            manifest,
            vectors,
        } = self;
        [
            (WRITE_MODE, write_mode.map(|mode| mode.to_string())),
            (NUM_FILES, num_files.map(|number| number.to_string())),
            (SUCCESS_FILE, success_file.map(|yes| yes.to_string())),
            (MANIFEST, manifest.map(|yes| yes.to_string())),
            (VECTORS, vectors.map(|form| form.to_string())),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
    }
}

impl WriteFormat {
    /// The same format on another machine, where the stores are found in another way.
    pub(crate) fn with_options(inner: Arc<dyn FileFormat>, options: WriteOptions) -> Self {
        Self {
            inner,
            options,
            is_copy: false,
            has_reordered_columns: false,
            store_options: StoreOptions::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::{Vectors, WriteMode};

    #[test]
    fn targets_survive() {
        for (store, path, is_file) in [
            ("s3://bucket", "a b/50% off/ü", false),
            ("file://", "tmp/x.csv", true),
            ("s3://bucket", "", false),
        ] {
            let target = Target {
                store: ObjectStoreUrl::parse(store).unwrap(),
                path: Path::parse(path).unwrap(),
                is_file,
                extension: "csv".to_owned(),
            };
            assert_eq!(Target::from_parts(target.to_parts()).unwrap(), target);
        }
    }

    #[test]
    fn options_survive() {
        let options = WriteOptions {
            write_mode: Some(WriteMode::ErrorIfExists),
            num_files: Some(7),
            success_file: Some(false),
            manifest: Some(true),
            vectors: Some(Vectors::FixedSizeList),
        };
        for options in [options, WriteOptions::default()] {
            let map = options.to_map().into_iter().collect();
            assert_eq!(WriteOptions::try_from_map(&map).unwrap(), options);
        }
    }
}
