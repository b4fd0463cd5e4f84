//! External tables whose folders may hold `_SUCCESS` and `_MANIFEST.json`.

use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider, TableProviderFactory};
use datafusion::common::{Result, ToDFSchema, plan_datafusion_err};
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::listing::{
    ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl,
};
use datafusion::execution::SessionState;
use datafusion::logical_expr::CreateExternalTable;

use super::format::WriteFormat;
use super::options::{Vectors, WriteOptions};
use super::place::{Place, VISIBLE};
use crate::object_stores::address::shown;
use crate::object_stores::register_object_store;
use crate::object_stores::requests::Requests;

/// The same for a pattern that somebody has typed, which is how it is told from [`VISIBLE`].
const VISIBLE_AS_TYPED: &str = "[!._]*";

/// Creates the tables of a factory that lists folders, makes them skip hidden files, reads their
/// `LOCATION` as a place, and registers the object store that the options describe.
///
/// DataFusion's own factory reads every file of a folder whose columns are given, and every file of
/// a folder in an object store; a manifest would be taken for data.
#[derive(Debug)]
pub struct WriteTableFactory {
    inner: Arc<dyn TableProviderFactory>,
}

impl WriteTableFactory {
    /// Wraps a factory, unless it is wrapped already. Its tables are used as they are if they are no
    /// listing tables.
    pub fn wrap(inner: Arc<dyn TableProviderFactory>) -> Arc<dyn TableProviderFactory> {
        Arc::new(Self { inner })
    }
}

#[async_trait]
impl TableProviderFactory for WriteTableFactory {
    async fn create(
        &self,
        state: &dyn Session,
        cmd: &CreateExternalTable,
    ) -> Result<Arc<dyn TableProvider>> {
        let vectors = WriteOptions::try_from_map(&cmd.options)?.vectors;
        if let Some(vectors @ (Vectors::Text | Vectors::Columns)) = vectors {
            return datafusion::common::plan_err!(
                "'vectors' '{vectors}' is an option of COPY: INSERT INTO '{}' would write other \
                 columns than the table has; leave it out",
                cmd.name
            );
        }
        for location in &cmd.locations {
            register_object_store(state.runtime_env(), location, &cmd.options).await?;
        }
        let mut placed = cmd.clone();
        for location in &mut placed.locations {
            if let Some(place) = Place::of_location(location)? {
                *location = place.into_url();
            }
        }
        let is_encoded = extension(cmd) != extension(&placed);
        let create = async {
            let mut pattern = VISIBLE.to_owned();
            if let Some(inferred) = infer(state, &placed, is_encoded).await? {
                (placed, pattern) = inferred;
            }
            let partitions = take_partitions(state, &mut placed, &pattern).await?;
            let table = self.inner.create(state, &placed).await?;
            match table.downcast_ref::<ListingTable>() {
                Some(listing) => visible(listing, state, cmd, &placed, &pattern, partitions),
                None => Ok(table),
            }
        };
        // The folder is listed several times, and what cannot be read told once.
        let requests = Arc::<Requests>::default();
        let created = requests.of(create).await;
        for location in &cmd.locations {
            requests.warn_of_left_out(&shown(location));
        }
        created
    }
}

/// The ending that DataFusion takes from `LOCATION`, and asks of the names of files.
fn extension(cmd: &CreateExternalTable) -> String {
    let location = cmd.locations.first().map(Path::new);
    let extension = location.and_then(|location| location.extension()?.to_str());
    extension.map_or_else(String::new, |extension| format!(".{extension}"))
}

/// The statement with its columns, and the pattern of the files that they were found in. DataFusion
/// would look into hidden files too, or into none because the ending of a file `is_encoded`. In a
/// folder of the local disk only files with the format's ending are read, as DataFusion has it.
async fn infer(
    state: &dyn Session,
    cmd: &CreateExternalTable,
    is_encoded: bool,
) -> Result<Option<(CreateExternalTable, String)>> {
    if !cmd.schema.fields().is_empty() {
        return Ok(None);
    }
    let [location] = cmd.locations.as_slice() else {
        return Ok(None);
    };
    let url = ListingTableUrl::parse(location)?;
    let is_file = !url.is_collection();
    if is_file != is_encoded || url.get_glob().is_some() {
        return Ok(None);
    }
    let Some(format) = format(state, cmd)? else {
        return Ok(None);
    };
    let pattern = match url.is_folder() {
        true => format!("{VISIBLE}.{}", ending(format.as_ref(), &cmd.file_type)),
        false => VISIBLE.to_owned(),
    };
    let options = ListingOptions::new(format).with_file_extension("");
    let url = match is_file {
        true => url,
        false => url.with_glob(&pattern)?,
    };
    let columns = options.infer_schema(state, &url).await?;
    let mut partitions = cmd.table_partition_cols.clone();
    if partitions.is_empty()
        && state
            .config_options()
            .execution
            .listing_table_factory_infer_partitions
    {
        partitions = options.infer_partitions(state, &url).await?;
    }
    let fields = columns.fields().iter().cloned();
    let partition_type = DataType::Dictionary(Box::new(DataType::UInt16), Box::new(DataType::Utf8));
    let partition_fields = partitions
        .iter()
        .filter(|name| columns.field_with_name(name).is_err())
        .map(|name| Arc::new(Field::new(name, partition_type.clone(), true)));
    let schema = Schema::new_with_metadata(
        fields.chain(partition_fields).collect::<Vec<_>>(),
        columns.metadata().clone(),
    );
    let mut cmd = cmd.clone();
    cmd.schema = schema.to_dfschema_ref()?;
    cmd.table_partition_cols = partitions;
    Ok(Some((cmd, pattern)))
}

fn format(state: &dyn Session, cmd: &CreateExternalTable) -> Result<Option<Arc<dyn FileFormat>>> {
    let session = state.as_any().downcast_ref::<SessionState>();
    let factory = session.and_then(|session| session.get_file_format_factory(&cmd.file_type));
    factory
        .map(|factory| factory.create(state, &cmd.options))
        .transpose()
}

/// Takes the partition columns out of a statement that names all columns, after a look at the folders.
/// DataFusion would look at all files, so that a `_SUCCESS` beside the folders, where Spark writes
/// it, would be an error.
async fn take_partitions(
    state: &dyn Session,
    cmd: &mut CreateExternalTable,
    pattern: &str,
) -> Result<Vec<(String, DataType)>> {
    let schema = Arc::clone(cmd.schema.inner());
    let mut partitions = vec![];
    for name in &cmd.table_partition_cols {
        if let Ok(field) = schema.field_with_name(name) {
            partitions.push((name.clone(), field.data_type().clone()));
        }
    }
    let is_partition = |name| cmd.table_partition_cols.contains(name);
    let columns = schema.fields().iter().filter(|f| !is_partition(f.name()));
    let columns: Vec<_> = columns.cloned().collect();
    let is_complete = partitions.len() == cmd.table_partition_cols.len();
    let Some(format) = format(state, cmd)?.filter(|_| is_complete && !columns.is_empty()) else {
        return Ok(vec![]);
    };
    let options = ListingOptions::new(format)
        .with_file_extension("")
        .with_table_partition_cols(partitions.clone());
    for location in &cmd.locations {
        let mut url = ListingTableUrl::parse(location)?;
        if url.is_collection() && url.get_glob().is_none() {
            url = url.with_glob(pattern)?;
        }
        options.validate_partitions(state, &url).await?;
    }
    let schema = Schema::new_with_metadata(columns, schema.metadata().clone());
    cmd.schema = schema.to_dfschema_ref()?;
    cmd.table_partition_cols.clear();
    Ok(partitions)
}

/// What the names of a format's files end with, as DataFusion has it.
fn ending(format: &dyn FileFormat, file_type: &str) -> String {
    let compression = format.compression_type();
    let ending = compression.and_then(|c| format.get_ext_with_compression(&c).ok());
    ending.unwrap_or_else(|| file_type.to_lowercase())
}

/// The same table without the hidden files of its folders. `placed` is `cmd` as it was created, with
/// places for locations and without `partitions`, and `pattern` is that of the files of a folder.
fn visible(
    table: &ListingTable,
    state: &dyn Session,
    cmd: &CreateExternalTable,
    placed: &CreateExternalTable,
    of_folder: &str,
    partitions: Vec<(String, DataType)>,
) -> Result<Arc<dyn TableProvider>> {
    let mut paths = table.table_paths().clone();
    for (path, location) in paths.iter_mut().zip(&placed.locations) {
        let pattern = path.get_glob().as_ref().map(|glob| glob.as_str());
        let is_typed = ListingTableUrl::parse(location)?.get_glob().is_some();
        let pattern = match pattern {
            Some(pattern) if is_typed => match pattern.strip_prefix(VISIBLE) {
                Some(rest) => format!("{VISIBLE_AS_TYPED}{rest}"),
                None => continue,
            },
            // DataFusion's own, of the files that the format can read.
            Some(pattern) => format!("{VISIBLE}{}", pattern.trim_start_matches('*')),
            None if path.is_collection() => of_folder.to_owned(),
            None => continue,
        };
        *path = path.clone().with_glob(&pattern)?;
    }
    // The partition columns come last.
    let schema = table.schema();
    let columns = schema
        .fields()
        .len()
        .checked_sub(table.options().table_partition_cols.len())
        .ok_or_else(|| plan_datafusion_err!("table '{}' has too few columns", cmd.name))?;
    let columns: Vec<usize> = (0..columns).collect();
    let columns = Arc::new(schema.project(&columns)?);
    let mut options = table.options().clone();
    options.table_partition_cols.extend(partitions);
    if !options.file_extension.is_empty() {
        options.file_extension = extension(cmd);
    }
    if let Some(format) = options.format.downcast_ref::<WriteFormat>()
        && !cmd.schema.fields().is_empty()
    {
        let declared = cmd.schema.fields().iter().map(|field| field.name());
        let names = columns.fields().iter().map(|field| field.name());
        let partitions = options.table_partition_cols.iter().map(|(name, _)| name);
        let is_reordered = declared.ne(names.chain(partitions));
        options.format = Arc::new(format.with_reordered_columns(is_reordered));
    }
    let config = ListingTableConfig::new_with_multi_paths(paths)
        .with_listing_options(options)
        .with_schema(columns);
    let cache = state.runtime_env().cache_manager.get_file_statistic_cache();
    Ok(Arc::new(
        ListingTable::try_new(config)?
            .with_cache(cache)
            .with_definition(cmd.definition.clone())
            .with_constraints(cmd.constraints.clone())
            .with_column_defaults(cmd.column_defaults.clone()),
    ))
}
