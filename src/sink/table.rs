//! External tables whose folders may hold `_SUCCESS` and `_MANIFEST.json`.

use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider, TableProviderFactory};
use datafusion::common::{Result, ToDFSchema, plan_datafusion_err};
use datafusion::datasource::listing::{
    ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl,
};
use datafusion::execution::SessionState;
use datafusion::logical_expr::CreateExternalTable;

use super::format::WriteFormat;
use super::place::Place;
use crate::object_stores::register_object_store;

/// Names that a reader of a folder should see: as Spark and PyArrow do, not those that begin with
/// `_` or `.`.
const VISIBLE: &str = "[!_.]*";
/// The same for a pattern that somebody has typed, which is how it is told from [`VISIBLE`].
const VISIBLE_AS_TYPED: &str = "[!._]*";

/// Whether a table with this pattern reads all of its folder, but for hidden files and perhaps other
/// formats: then the folder is what `LOCATION` names.
pub(super) fn is_everything(pattern: &str) -> bool {
    pattern.starts_with(VISIBLE)
}

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
        if let Some(inferred) = infer(state, &placed, is_encoded).await? {
            placed = inferred;
        }
        let table = self.inner.create(state, &placed).await?;
        match table.downcast_ref::<ListingTable>() {
            Some(listing) => visible(listing, state, cmd, &placed),
            None => Ok(table),
        }
    }
}

/// The ending that DataFusion takes from `LOCATION`, and asks of the names of files.
fn extension(cmd: &CreateExternalTable) -> String {
    let location = cmd.locations.first().map(Path::new);
    let extension = location.and_then(|location| location.extension()?.to_str());
    extension.map_or_else(String::new, |extension| format!(".{extension}"))
}

/// The statement with its columns, where DataFusion would read all files of a remote folder to find
/// out, or none because the ending of a file `is_encoded`. In a folder of the local disk it reads
/// those with the format's ending only, and so is done here.
async fn infer(
    state: &dyn Session,
    cmd: &CreateExternalTable,
    is_encoded: bool,
) -> Result<Option<CreateExternalTable>> {
    if !cmd.schema.fields().is_empty() {
        return Ok(None);
    }
    let [location] = cmd.locations.as_slice() else {
        return Ok(None);
    };
    let url = ListingTableUrl::parse(location)?;
    let is_file = !url.is_collection();
    if is_file != is_encoded || url.is_folder() || url.get_glob().is_some() {
        return Ok(None);
    }
    let Some(session) = state.as_any().downcast_ref::<SessionState>() else {
        return Ok(None);
    };
    let Some(factory) = session.get_file_format_factory(&cmd.file_type) else {
        return Ok(None);
    };
    let format = factory.create(state, &cmd.options)?;
    let options = ListingOptions::new(format).with_file_extension("");
    let url = match is_file {
        true => url,
        false => url.with_glob(VISIBLE)?,
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
    Ok(Some(cmd))
}

/// The same table without the hidden files of its folders. `placed` is `cmd` as it was created, with
/// places for locations.
fn visible(
    table: &ListingTable,
    state: &dyn Session,
    cmd: &CreateExternalTable,
    placed: &CreateExternalTable,
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
            None if path.is_collection() => VISIBLE.to_owned(),
            None => continue,
        };
        *path = path.clone().with_glob(&pattern)?;
    }
    let mut options = table.options().clone();
    if !options.file_extension.is_empty() {
        options.file_extension = extension(cmd);
    }
    if let Some(format) = options.format.downcast_ref::<WriteFormat>()
        && !cmd.schema.fields().is_empty()
    {
        let declared = cmd.schema.fields().iter().map(|field| field.name());
        let schema = table.schema();
        let is_reordered = declared.ne(schema.fields().iter().map(|field| field.name()));
        options.format = Arc::new(format.with_reordered_columns(is_reordered));
    }
    // The partition columns come last.
    let schema = table.schema();
    let columns = schema
        .fields()
        .len()
        .checked_sub(table.options().table_partition_cols.len())
        .ok_or_else(|| plan_datafusion_err!("table '{}' has too few columns", cmd.name))?;
    let columns: Vec<usize> = (0..columns).collect();
    let config = ListingTableConfig::new_with_multi_paths(paths)
        .with_listing_options(options)
        .with_schema(Arc::new(schema.project(&columns)?));
    let cache = state.runtime_env().cache_manager.get_file_statistic_cache();
    Ok(Arc::new(
        ListingTable::try_new(config)?
            .with_cache(cache)
            .with_definition(cmd.definition.clone())
            .with_constraints(cmd.constraints.clone())
            .with_column_defaults(cmd.column_defaults.clone()),
    ))
}
