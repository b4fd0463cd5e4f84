//! `CREATE EXTERNAL TABLE … STORED AS BINARYFILE`.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider, TableProviderFactory};
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::CreateExternalTable;

use super::options::BinaryFileOptions;
use super::table::BinaryFileTable;
use crate::object_stores::register_object_store;

/// Creates a [`BinaryFileTable`] from SQL.
///
/// ```
/// # use datafusion::prelude::SessionContext;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> datafusion::error::Result<()> {
/// let ctx = SessionContext::new();
/// datafusion_featurize::enable_featurize(&ctx)?;
/// ctx.sql(
///     "CREATE EXTERNAL TABLE images STORED AS BINARYFILE LOCATION 'examples/fruits/'
///      OPTIONS ('pathGlobFilter' '*.jpg', 'recursiveFileLookup' 'true')",
/// )
/// .await?;
/// let images = ctx.sql("SELECT length FROM images WHERE path LIKE '%/Lemon/%'").await?;
/// assert_eq!(images.count().await?, 6);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct BinaryFileTableFactory;

#[async_trait]
impl TableProviderFactory for BinaryFileTableFactory {
    async fn create(
        &self,
        session: &dyn Session,
        cmd: &CreateExternalTable,
    ) -> Result<Arc<dyn TableProvider>> {
        let time_zone = session.config_options().execution.time_zone.as_deref();
        let options = BinaryFileOptions::try_from_map(&cmd.options, time_zone)?;
        for location in &cmd.locations {
            register_object_store(session.runtime_env(), location, &cmd.options).await?;
        }
        let table = BinaryFileTable::try_new_with_locations(
            session,
            &cmd.locations,
            options,
            declared_partitions(cmd)?,
        )
        .await?;
        Ok(Arc::new(table))
    }
}

/// The partition columns of `PARTITIONED BY`, with the types of the column list if there is one.
fn declared_partitions(cmd: &CreateExternalTable) -> Result<Option<Vec<FieldRef>>> {
    for field in cmd.schema.fields() {
        if !cmd.table_partition_cols.contains(field.name()) {
            return plan_err!(
                "the columns of a BINARYFILE table are fixed; leave out '{}' (only the columns of \
                 PARTITIONED BY may be given a type)",
                field.name()
            );
        }
    }
    if cmd.table_partition_cols.is_empty() {
        return Ok(None);
    }
    let columns = cmd.table_partition_cols.iter().map(|name| {
        let declared = cmd
            .schema
            .fields()
            .iter()
            .find(|field| field.name() == name);
        let data_type = declared.map_or(DataType::Utf8, |field| field.data_type().clone());
        Arc::new(Field::new(name, data_type, true)) as FieldRef
    });
    Ok(Some(columns.collect()))
}
