//! `_MANIFEST.json`: what the folder is made of.

use std::collections::BTreeMap;

use arrow::datatypes::Schema;
use datafusion::common::{Result, exec_datafusion_err};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::options::WriteMode;
use super::spec::WriteSpec;
use super::target::DataFile;

/// Version of the layout of the file.
const VERSION: u32 = 1;

/// The parts of a folder, and where they come from. Fields may be added; readers ignore unknown
/// ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// 1.
    pub version: u32,
    /// Whether it stays when the folder is complete. Otherwise it is there while a listing may show
    /// parts that do not belong together. (Earlier releases left every manifest.)
    #[serde(default = "yes")]
    pub on_request: bool,
    /// The run that wrote the manifest.
    pub run: String,
    /// When, in RFC 3339 and UTC.
    pub written: String,
    /// `parquet` or `csv`.
    pub format: String,
    /// How the run treated what was there.
    pub write_mode: WriteMode,
    /// Every data file of the folder, and no other.
    pub parts: Vec<Part>,
    /// Rows of all parts; `null` if the rows of one are not known.
    pub rows: Option<u64>,
    /// Bytes of all parts.
    pub bytes: u64,
    /// Columns of the last run.
    pub schema: Vec<ManifestColumn>,
    /// The plan of the last run's query.
    pub query: String,
}

/// One data file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Path relative to the folder.
    pub path: String,
    /// `null` for files that this crate did not write.
    pub rows: Option<u64>,
    /// Size of the file.
    pub bytes: u64,
}

/// A column, in Arrow's terms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestColumn {
    /// Its name.
    pub name: String,
    /// Its Arrow type.
    #[serde(rename = "type")]
    pub data_type: String,
    /// Whether it may hold NULL.
    pub nullable: bool,
    /// The field's metadata, such as the model and the hash of the weights that made the column.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

impl Manifest {
    pub(super) fn new(spec: &WriteSpec, parts: Vec<Part>, on_request: bool) -> Self {
        Self {
            version: VERSION,
            on_request,
            run: spec.run.to_string(),
            written: chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            format: spec.format.name().to_owned(),
            write_mode: spec.write_mode,
            rows: parts.iter().map(|part| part.rows).sum(),
            bytes: parts.iter().map(|part| part.bytes).sum(),
            parts,
            schema: columns(&spec.schema),
            query: spec.query.clone(),
        }
    }

    /// Whether the manifest names exactly `files`, which are in order.
    pub(super) fn names(&self, files: &[DataFile]) -> bool {
        let mut parts: Vec<(&str, u64)> = self
            .parts
            .iter()
            .map(|part| (part.path.as_str(), part.bytes))
            .collect();
        parts.sort_unstable();
        let files = files.iter().map(|file| (file.name.as_str(), file.bytes));
        parts.into_iter().eq(files)
    }

    /// Reads a manifest; `None` if there is none, or a crash has left an empty one.
    ///
    /// # Errors
    /// When what is there is not one of ours: it is not this crate's to replace.
    pub(super) async fn read(store: &dyn ObjectStore, path: &Path) -> Result<Option<Self>> {
        read_json(store, path).await
    }

    pub(super) async fn write(&self, store: &dyn ObjectStore, path: &Path) -> Result<()> {
        store.put(path, json(self)?.into()).await?;
        Ok(())
    }
}

/// Reads an object that this crate has written; `None` if there is none, or an empty one.
///
/// # Errors
/// As [`parse_json`].
pub(super) async fn read_json<T: DeserializeOwned>(
    store: &dyn ObjectStore,
    path: &Path,
) -> Result<Option<T>> {
    match store.get(path).await {
        Ok(found) => parse_json(&found.bytes().await?, path),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// What `path` holds; `None` if that is nothing, as a file may after a crash of the machine.
///
/// # Errors
/// When it is something else, which may be another program's, or another release's.
pub(super) fn parse_json<T: DeserializeOwned>(bytes: &[u8], path: &Path) -> Result<Option<T>> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let value = serde_json::from_slice(bytes).map_err(|e| {
        exec_datafusion_err!(
            "'{path}' was not written by this program, or by another release of it ({e}); choose \
             another folder, or remove it by hand"
        )
    })?;
    Ok(Some(value))
}

/// JSON for people to read, too.
pub(super) fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(value)
        .map_err(|e| exec_datafusion_err!("could not write JSON: {e}"))?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn yes() -> bool {
    true
}

fn columns(schema: &Schema) -> Vec<ManifestColumn> {
    let fields = schema.fields().iter();
    fields
        .map(|field| ManifestColumn {
            name: field.name().clone(),
            data_type: field.data_type().to_string(),
            nullable: field.is_nullable(),
            metadata: field
                .metadata()
                .iter()
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
        })
        .collect()
}

/// A run's id in JSON, as text.
pub(super) mod run_id {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};
    use uuid::Uuid;

    pub(crate) fn serialize<S: Serializer>(run: &Uuid, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(run)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Uuid, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}
