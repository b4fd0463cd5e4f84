//! The formats as the session has them, but for how they are written, and what of NULL and
//! of the order of columns DataFusion would lose in any format.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{GetExt, Result, Statistics, not_impl_err, plan_err};
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::datasource::file_format::{FileFormat, FileFormatFactory, FileMeta};
use datafusion::datasource::physical_plan::{FileScanConfig, FileSinkConfig, FileSource};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::logical_expr::dml::InsertOp;
use datafusion::physical_expr::{LexOrdering, LexRequirement};
use datafusion::physical_plan::{ExecutionPlan, displayable};
use object_store::{ObjectMeta, ObjectStore};
use uuid::Uuid;

use super::encode::PartFormat;
use super::inputs::reads_target;
use super::nulls::{NotNullExec, refuse_null_partitions};
use super::options::{Vectors, WriteMode, WriteOptions};
use super::place::IS_PLACE;
use super::spec::WriteSpec;
use super::target::Target;
use super::told::ToldExec;
use super::{CommitExec, PartWriterExec};
use crate::config::FeaturizeOptions;
use crate::object_stores::address::hide_secrets;
use crate::object_stores::{StoreOptions, is_store_option, register};

/// The most characters of a plan that a manifest keeps.
const QUERY_CHARACTERS: usize = 16 * 1024;

/// A format of the session that takes the options of [`WriteOptions`] besides its own.
pub struct WriteFormatFactory {
    inner: Arc<dyn FileFormatFactory>,
}

impl WriteFormatFactory {
    /// Wraps a factory, unless it is wrapped already.
    pub fn wrap(inner: Arc<dyn FileFormatFactory>) -> Arc<dyn FileFormatFactory> {
        if inner.is::<Self>() {
            inner
        } else {
            Arc::new(Self { inner })
        }
    }

    /// The format that is wrapped.
    pub fn inner(&self) -> &Arc<dyn FileFormatFactory> {
        &self.inner
    }
}

impl FileFormatFactory for WriteFormatFactory {
    fn create(
        &self,
        state: &dyn Session,
        format_options: &HashMap<String, String>,
    ) -> Result<Arc<dyn FileFormat>> {
        let mut others = HashMap::new();
        for (key, value) in format_options {
            if !WriteOptions::is_ours(key) && !is_store_option(key) {
                others.insert(key.clone(), value.clone());
            }
        }
        if self.inner.get_ext() == "csv" {
            // Large files are read in ranges, which a quoted line break would cut into other rows.
            let newlines = others.entry("format.newlines_in_values".to_owned());
            newlines.or_insert_with(|| "true".to_owned());
        }
        let inner = self.inner.create(state, &others);
        Ok(Arc::new(WriteFormat {
            inner: inner.map_err(|e| WriteOptions::mistyped(others.keys()).unwrap_or(e))?,
            options: WriteOptions::try_from_map(format_options)?,
            is_copy: format_options.contains_key(IS_PLACE),
            has_reordered_columns: false,
            store_options: StoreOptions::of(format_options),
        }))
    }

    fn default(&self) -> Arc<dyn FileFormat> {
        Arc::new(WriteFormat {
            inner: self.inner.default(),
            options: WriteOptions::default(),
            is_copy: false,
            has_reordered_columns: false,
            store_options: StoreOptions::default(),
        })
    }
}

impl GetExt for WriteFormatFactory {
    fn get_ext(&self) -> String {
        self.inner.get_ext()
    }
}

impl fmt::Debug for WriteFormatFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// A format with the options of one statement.
pub struct WriteFormat {
    pub(super) inner: Arc<dyn FileFormat>,
    pub(super) options: WriteOptions,
    /// The statement is COPY, rather than INSERT.
    pub(super) is_copy: bool,
    /// The columns of the table are not in the order in which they were declared.
    pub(super) has_reordered_columns: bool,
    /// Used once, when the write is planned.
    pub(super) store_options: StoreOptions,
}

impl WriteFormat {
    /// The format that is wrapped.
    pub fn inner(&self) -> &Arc<dyn FileFormat> {
        &self.inner
    }

    /// The options of the statement.
    pub fn options(&self) -> &WriteOptions {
        &self.options
    }

    /// The same format of a table whose columns have, or have not, got another order than they were
    /// declared in.
    pub(crate) fn with_reordered_columns(&self, has_reordered_columns: bool) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            options: self.options,
            is_copy: self.is_copy,
            has_reordered_columns,
            store_options: self.store_options.clone(),
        }
    }

    /// Whether `INSERT` would put values into other columns than the declaration says.
    #[cfg(feature = "cluster")]
    pub(crate) fn has_reordered_columns(&self) -> bool {
        self.has_reordered_columns
    }

    /// The mode that the statement means.
    fn write_mode(&self, operation: InsertOp, target: &Target) -> Result<WriteMode> {
        match (operation, self.options.write_mode) {
            (InsertOp::Append, mode) => Ok(mode.unwrap_or(WriteMode::Append)),
            (InsertOp::Overwrite, None | Some(WriteMode::Overwrite)) => Ok(WriteMode::Overwrite),
            (InsertOp::Overwrite, Some(mode)) => plan_err!(
                "INSERT OVERWRITE of '{target}' contradicts its option 'write_mode' '{mode}'; use \
                 INSERT INTO, or create the table with 'write_mode' 'overwrite'"
            ),
            (InsertOp::Replace, _) => not_impl_err!(
                "'{target}': rows of files cannot be replaced one by one; INSERT OVERWRITE \
                 replaces all of them"
            ),
        }
    }

    /// # Errors
    /// When an option asks for more than DataFusion's own writer can do, which writes here.
    fn check_stock(&self, target: &Target, mode: WriteMode) -> Result<()> {
        if self.options == WriteOptions::default() && mode == WriteMode::Append {
            return Ok(());
        }
        let options = WriteOptions::names().join("', '");
        not_impl_err!(
            "'{target}': a table that is PARTITIONED BY columns can only be appended to, without the \
             options '{options}'; leave PARTITIONED BY or the options out"
        )
    }

    /// CSV is read by the position of its columns, whatever the names in each file.
    ///
    /// # Errors
    /// When a file that is appended to has other columns.
    async fn check_columns(
        &self,
        state: &dyn Session,
        target: &Target,
        written: &SchemaRef,
    ) -> Result<()> {
        if target.is_file() || self.options.vectors == Some(Vectors::Columns) {
            return Ok(());
        }
        let store = state.runtime_env().object_store(target.store())?;
        let Some(file) = target.any_data_file(store.as_ref()).await? else {
            return Ok(());
        };
        let found = std::slice::from_ref(&file);
        // A file that cannot be read is found out by whoever reads it.
        let Ok(there) = self.inner.infer_schema(state, &store, found).await else {
            return Ok(());
        };
        let is_same = match there.fields().first() {
            None => true,
            // Of a file without a header.
            Some(first) if first.name() == "column_1" => {
                there.fields().len() == written.fields().len()
            }
            Some(_) => names(&there) == names(written),
        };
        if is_same {
            return Ok(());
        }
        plan_err!(
            "'{target}': '{}' has the columns {}, and this statement writes {}, but CSV is read by their \
             position; write the same columns in this order, or to another folder, or say OPTIONS \
             ('write_mode' 'overwrite')",
            file.location,
            names(&there),
            names(written)
        )
    }

    /// # Errors
    /// When an option does not suit the target.
    fn check(&self, target: &Target, mode: WriteMode, input: &dyn ExecutionPlan) -> Result<()> {
        if target.is_file() {
            if let Some(number) = self.options.num_files.filter(|number| *number != 1) {
                return plan_err!(
                    "'{target}' is one file, but 'num_files' is {number}; name a folder \
                     ('{target}/'), or leave the option out"
                );
            }
            let beside = [
                ("success_file", self.options.success_file),
                ("manifest", self.options.manifest),
            ];
            if let Some((option, _)) = beside.iter().find(|(_, value)| *value == Some(true)) {
                return plan_err!(
                    "'{target}' is one file, and '{option}' is written to a folder; name a folder \
                     ('{target}/'), or leave the option out"
                );
            }
        }
        if mode != WriteMode::Overwrite {
            return Ok(());
        }
        if target.is_root() {
            return plan_err!(
                "'write_mode' 'overwrite' would replace everything in '{target}', the root of the \
                 store; name a folder in it"
            );
        }
        if let Some(read) = reads_target(input, target)? {
            return plan_err!(
                "'write_mode' 'overwrite' would replace '{target}', which the query reads \
                 ('{read}'); write to another folder, or use 'write_mode' 'append'"
            );
        }
        Ok(())
    }
}

impl fmt::Debug for WriteFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteFormat")
            .field("inner", &self.inner)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl FileFormat for WriteFormat {
    fn get_ext(&self) -> String {
        self.inner.get_ext()
    }

    fn get_ext_with_compression(&self, compression: &FileCompressionType) -> Result<String> {
        self.inner.get_ext_with_compression(compression)
    }

    fn compression_type(&self) -> Option<FileCompressionType> {
        self.inner.compression_type()
    }

    async fn infer_schema(
        &self,
        state: &dyn Session,
        store: &Arc<dyn ObjectStore>,
        objects: &[ObjectMeta],
    ) -> Result<SchemaRef> {
        self.inner.infer_schema(state, store, objects).await
    }

    async fn infer_stats(
        &self,
        state: &dyn Session,
        store: &Arc<dyn ObjectStore>,
        table_schema: SchemaRef,
        object: &ObjectMeta,
    ) -> Result<Statistics> {
        self.inner
            .infer_stats(state, store, table_schema, object)
            .await
    }

    async fn infer_ordering(
        &self,
        state: &dyn Session,
        store: &Arc<dyn ObjectStore>,
        table_schema: SchemaRef,
        object: &ObjectMeta,
    ) -> Result<Option<LexOrdering>> {
        self.inner
            .infer_ordering(state, store, table_schema, object)
            .await
    }

    async fn infer_stats_and_ordering(
        &self,
        state: &dyn Session,
        store: &Arc<dyn ObjectStore>,
        table_schema: SchemaRef,
        object: &ObjectMeta,
    ) -> Result<FileMeta> {
        self.inner
            .infer_stats_and_ordering(state, store, table_schema, object)
            .await
    }

    async fn create_physical_plan(
        &self,
        state: &dyn Session,
        conf: FileScanConfig,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        refuse_null_partitions(&conf)?;
        self.inner.create_physical_plan(state, conf).await
    }

    async fn create_writer_physical_plan(
        &self,
        input: Arc<dyn ExecutionPlan>,
        state: &dyn Session,
        conf: FileSinkConfig,
        order_requirements: Option<LexRequirement>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let target = Target::try_new(&conf, &self.inner.get_ext())?;
        if self.has_reordered_columns {
            return plan_err!(
                "INSERT INTO '{target}' would put values into the wrong columns: they are taken in \
                 the order {}, which is not that of CREATE EXTERNAL TABLE, because DataFusion moves \
                 PARTITIONED BY columns to the end. Create the table anew with these columns last",
                names(conf.output_schema())
            );
        }
        let stores = &state.runtime_env().object_store_registry;
        register(stores, &conf.original_url, &self.store_options).await?;
        let write_mode = self.write_mode(conf.insert_op, &target)?;
        let partitions = conf.table_partition_cols.iter();
        let partitions: Vec<_> = partitions.map(|(name, _)| name.clone()).collect();
        let is_partitioned = !partitions.is_empty();
        let input = NotNullExec::wrap(input, partitions)?;
        // Columns that become several move those that the order names.
        let is_moved = self.options.vectors == Some(Vectors::Columns);
        let order = order_requirements.as_ref().filter(|_| !is_moved);
        let format = PartFormat::try_new(self.inner.as_ref(), conf.output_schema(), order)?;
        let Some(format) = format.filter(|_| !is_partitioned) else {
            self.check_stock(&target, write_mode)?;
            let told = || -> Arc<dyn ExecutionPlan> {
                Arc::new(ToldExec::new(Arc::clone(&input), target.clone()))
            };
            // INSERT says by its name what it does.
            let input = if self.is_copy { told() } else { input };
            return self
                .inner
                .create_writer_physical_plan(input, state, conf, order_requirements)
                .await;
        };
        self.check(&target, write_mode, input.as_ref())?;
        if let Some(vectors @ (Vectors::List | Vectors::FixedSizeList)) = self.options.vectors
            && matches!(format, PartFormat::Csv(_))
        {
            return plan_err!(
                "'{target}': CSV cannot hold lists, so 'vectors' '{vectors}' is for Parquet; use \
                 'text' or 'columns'"
            );
        }
        if matches!(format, PartFormat::Csv(_)) && write_mode == WriteMode::Append {
            self.check_columns(state, &target, conf.output_schema())
                .await?;
        }
        let extension = match self.compression_type() {
            Some(compression) => self
                .get_ext_with_compression(&compression)
                .unwrap_or_else(|_| self.get_ext()),
            None => self.get_ext(),
        };
        let settings = FeaturizeOptions::from_config(state.config_options());
        let spec = Arc::new(WriteSpec {
            run: Uuid::now_v7(),
            target,
            write_mode,
            mode_is_explicit: self.options.write_mode.is_some() || !self.is_copy,
            num_files: self.options.num_files,
            success_file: self.options.success_file,
            manifest: self.options.manifest,
            vectors: self.options.vectors,
            checkpoint_rows: settings.checkpoint_rows,
            format: format.with_defaults_of(state.config_options()),
            extension,
            schema: Arc::clone(conf.output_schema()),
            query: query(input.as_ref()),
        });
        let writer = PartWriterExec::new(input, Arc::clone(&spec), order_requirements);
        Ok(Arc::new(CommitExec::new(Arc::new(writer), spec)))
    }

    fn file_source(&self, table_schema: TableSchema) -> Arc<dyn FileSource> {
        self.inner.file_source(table_schema)
    }
}

fn names(schema: &SchemaRef) -> String {
    let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    names.join(", ")
}

/// The plan of the query as text. Operators show no secrets, but addresses in arguments may hold some.
fn query(input: &dyn ExecutionPlan) -> String {
    let mut text = hide_secrets(&displayable(input).indent(false).to_string());
    if let Some((end, _)) = text.char_indices().nth(QUERY_CHARACTERS) {
        text.truncate(end);
    }
    text
}
