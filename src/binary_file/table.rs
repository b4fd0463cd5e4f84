//! The table: what a query needs of the listing, and of the content.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::datatypes::{FieldRef, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DFSchema, Result, plan_err};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use object_store::ObjectMeta;

use super::fetch::{FetchExec, ListingSummary};
use super::listing;
use super::location::Location;
use super::objects;
use super::options::BinaryFileOptions;
use super::partitions;
use super::schema::{CONTENT, CONTENT_INDEX, FIXED, LENGTH, PATH, listing_schema, table_schema};
use super::selection::Tally;
use super::work_list;
use crate::NOTICE;
use crate::object_stores::requests::Requests;

/// A table with one row an object: `path`, `modificationTime`, `length`, `content`, and the hive
/// partition columns of its folders.
///
/// The objects are listed anew by every scan. Predicates on all columns but `content` are applied
/// to the list, and `content` is read only if a query projects it.
///
/// ```
/// # use std::sync::Arc;
/// # use datafusion::prelude::SessionContext;
/// use datafusion_featurize::{BinaryFileOptions, BinaryFileTable};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> datafusion::error::Result<()> {
/// let ctx = SessionContext::new();
/// let options = BinaryFileOptions::default().with_recursive_file_lookup(true);
/// let images = BinaryFileTable::try_new(&ctx.state(), "examples/fruits/*/*.jpg", options).await?;
/// ctx.register_table("images", Arc::new(images))?;
/// let rows = ctx.sql("SELECT path, length FROM images").await?.count().await?;
/// assert_eq!(rows, 48);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct BinaryFileTable {
    pub(super) locations: Vec<Location>,
    pub(super) options: BinaryFileOptions,
    pub(super) partition_columns: Vec<FieldRef>,
    pub(super) schema: SchemaRef,
    /// That there are no rows has been told: once is enough.
    pub(super) told_empty: Arc<AtomicBool>,
}

impl BinaryFileTable {
    /// The objects of `location`: a folder, one object or a glob, as a URL or a path of the local
    /// disk. Partition columns are learnt from the folders, unless the lookup is recursive.
    ///
    /// # Errors
    /// When the location does not parse or does not exist, or its store is not registered with
    /// the session.
    pub async fn try_new(
        session: &dyn Session,
        location: &str,
        options: BinaryFileOptions,
    ) -> Result<Self> {
        Self::try_new_with_locations(session, &[location.to_owned()], options, None).await
    }

    /// As [`Self::try_new`] for several locations that are read as one table, with partition
    /// columns that are declared (all of them, in the order of the folders).
    ///
    /// # Errors
    /// As [`Self::try_new`], and when declared columns are not those of the folders.
    pub async fn try_new_with_locations(
        session: &dyn Session,
        locations: &[String],
        options: BinaryFileOptions,
        declared: Option<Vec<FieldRef>>,
    ) -> Result<Self> {
        let texts = locations;
        let mut locations = vec![];
        let mut found: Option<Vec<FieldRef>> = None;
        let mut skipped = Tally::default();
        for text in texts {
            let (location, sample) = locate(session, text, &options).await?;
            match sample {
                Ok(object) if found.is_none() => {
                    let folders = listing::folders(&location, &object.location);
                    found = Some(partitions::infer(&folders));
                }
                Ok(_) => {}
                Err(of_location) => skipped.merge(of_location),
            }
            locations.push(location);
        }
        let is_empty = found.is_none();
        if is_empty {
            tell_empty(&locations, &skipped, &options);
        }
        let partition_columns = if options.recursive_file_lookup {
            if declared.is_some() {
                return plan_err!(
                    "a table with 'recursiveFileLookup' has no partition columns; leave out \
                     PARTITIONED BY or the option"
                );
            }
            vec![]
        } else {
            reconcile(declared, found)?
        };
        let schema = table_schema(&partition_columns);
        for (index, column) in partition_columns.iter().enumerate() {
            let mut before = schema.fields().iter().take(FIXED + index);
            if before.any(|field| field.name() == column.name()) {
                return plan_err!(
                    "the folders spell a partition column '{0}', but the table has a column '{0}' \
                     already; set 'recursiveFileLookup' to 'true' to read without partition columns",
                    column.name()
                );
            }
        }
        Ok(Self {
            locations,
            options,
            partition_columns,
            schema,
            told_empty: Arc::new(is_empty.into()),
        })
    }

    fn discovers_partitions(&self) -> Option<&[FieldRef]> {
        (!self.options.recursive_file_lookup).then_some(&self.partition_columns)
    }
}

/// The location that `text` means, and one object of it: as it is typed, or where there is nothing
/// under that name, percent-decoded. What has exactly this name goes before what it matches as a glob.
async fn locate(
    session: &dyn Session,
    text: &str,
    options: &BinaryFileOptions,
) -> Result<(Location, Result<ObjectMeta, Tally>)> {
    let sample = async |location: &Location| {
        let sample = objects::sample(session.runtime_env(), location, options);
        // What it leaves out is told by the queries.
        Arc::<Requests>::default().of(sample).await
    };
    for name in Location::names(text) {
        let store = session.runtime_env().object_store(name.store())?;
        let there = listing::is_there(&store, &name);
        if Arc::<Requests>::default().of(there).await? {
            let object = sample(&name).await?;
            return Ok((name, object));
        }
    }
    let decoded = Location::parse(text);
    let Some(typed) = Location::as_typed(text) else {
        let location = decoded?;
        let object = sample(&location).await?;
        return Ok((location, object));
    };
    let as_typed = sample(&typed).await;
    if !matches!(&as_typed, Ok(Ok(_)))
        && let Ok(decoded) = decoded
        && let Ok(object) = sample(&decoded).await
        && (object.is_ok() || as_typed.is_err())
    {
        return Ok((decoded, object));
    }
    Ok((typed, as_typed?))
}

/// Tells that a table has no rows, which is seldom what was meant, and why.
fn tell_empty(locations: &[Location], skipped: &Tally, options: &BinaryFileOptions) {
    let locations: Vec<String> = locations.iter().map(|l| format!("'{l}'")).collect();
    log::warn!(
        target: NOTICE,
        "{}: no rows: {}",
        locations.join(", "),
        skipped.told(options)
    );
}

/// Declared partition columns have to be those that the folders spell.
fn reconcile(
    declared: Option<Vec<FieldRef>>,
    found: Option<Vec<FieldRef>>,
) -> Result<Vec<FieldRef>> {
    match (declared, found) {
        (None, found) => Ok(found.unwrap_or_default()),
        (Some(declared), None) => Ok(declared),
        (Some(declared), Some(found)) => {
            let names = |columns: &[FieldRef]| {
                let names: Vec<_> = columns.iter().map(|c| c.name().clone()).collect();
                names.join(", ")
            };
            if names(&declared) == names(&found) {
                Ok(declared)
            } else {
                plan_err!(
                    "PARTITIONED BY ({}) does not agree with the folders of the location, which \
                     spell ({})",
                    names(&declared),
                    names(&found)
                )
            }
        }
    }
}

#[async_trait]
impl TableProvider for BinaryFileTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(filters
            .iter()
            .map(|filter| {
                let on_metadata = filter.column_refs().iter().all(|c| c.name() != CONTENT);
                if on_metadata && !filter.is_volatile() {
                    TableProviderFilterPushDown::Exact
                } else {
                    TableProviderFilterPushDown::Unsupported
                }
            })
            .collect())
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let list_schema = listing_schema(&self.partition_columns);
        let predicate = conjunction(filters.iter().cloned())
            .map(|filter| {
                let schema = DFSchema::try_from(Arc::clone(&list_schema))?;
                session.create_physical_expr(filter, &schema)
            })
            .transpose()?;

        let mut rows = vec![];
        let mut summary = ListingSummary {
            filters: filters.iter().map(ToString::to_string).collect(),
            ..Default::default()
        };
        let mut failed = 0;
        let mut listed_rows = 0;
        let mut skipped = Tally::default();
        for location in &self.locations {
            let listing = objects::list(session.runtime_env(), location, &self.options);
            let requests = Arc::<Requests>::default();
            let listed = requests.of(listing).await?;
            requests.warn_of_left_out(location);
            failed += requests.failed();
            summary.listed += listed.seen;
            listed_rows += listed.objects.len();
            skipped.merge(listed.skipped);
            let listed = work_list::to_batches(
                location,
                &listed.objects,
                &list_schema,
                self.discovers_partitions(),
            )?;
            rows.extend(work_list::filter(listed, predicate.as_ref())?);
        }
        summary.retries = failed;
        if listed_rows == 0 && !self.told_empty.swap(true, Ordering::Relaxed) {
            tell_empty(&self.locations, &skipped, &self.options);
        }

        let all: Vec<usize> = (0..self.schema.fields().len()).collect();
        let output = projection.unwrap_or(&all);
        let reads_content = output.contains(&CONTENT_INDEX);
        // Objects that vanish after the listing may leave fewer rows than were asked for.
        let may_lose_rows = reads_content && self.options.ignore_missing_files;
        if let Some(limit) = limit
            && !may_lose_rows
        {
            rows = work_list::truncate(rows, limit);
        }
        (summary.files, summary.bytes) = work_list::totals(&rows)?;
        let is_sorted = work_list::is_sorted(&rows)?;
        let partitions = work_list::balance(rows, session.config().target_partitions())?;

        if !reads_content {
            let columns = output.iter().map(|&column| listed_column(column)).collect();
            return work_list::to_plan(&partitions, list_schema, columns, is_sorted);
        }
        // Fetching needs the path and the expected length, whether a query shows them or not.
        let mut columns: Vec<usize> = output
            .iter()
            .filter(|&&column| column != CONTENT_INDEX)
            .map(|&column| listed_column(column))
            .collect();
        for needed in [PATH, LENGTH] {
            let needed = list_schema.index_of(needed)?;
            if !columns.contains(&needed) {
                columns.push(needed);
            }
        }
        let list = work_list::to_plan(&partitions, list_schema, columns, is_sorted)?;
        let schema = Arc::new(self.schema.project(output)?);
        let fetch = FetchExec::try_new(list, schema, self.options.clone())?;
        Ok(Arc::new(fetch.with_listing(summary)))
    }
}

/// Position in the listing schema of a column of the table that is not `content`.
fn listed_column(column: usize) -> usize {
    if column > CONTENT_INDEX {
        column - 1
    } else {
        column
    }
}
