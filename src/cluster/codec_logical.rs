//! Logical plans on their way from the client to the scheduler.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use ballista_core::serde::BallistaLogicalExtensionCodec;
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::common::{Result, TableReference, exec_datafusion_err, exec_err};
use datafusion::datasource::file_format::FileFormatFactory;
use datafusion::datasource::listing::{
    ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl,
};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{
    AggregateUDF, Extension, HigherOrderUDF, LogicalPlan, ScalarUDF, TableScanBuilder, WindowUDF,
};
use datafusion_proto::logical_plan::{AsLogicalPlan, LogicalExtensionCodec};
use datafusion_proto::protobuf;
use prost::Message;

use super::codec_functions;
use super::messages::{
    BinaryFileTableMessage, FilesMessage, Logical, MemoryTableMessage, StoredTableMessage,
    WriteOptionsMessage,
};
use super::stored::StoredTable;
use super::stores::Stores;
use super::workarounds::CopyFormat;
use crate::binary_file::{BinaryFileTable, TableParts};
use crate::sink::{WriteFormat, WriteOptions};

/// Encodes the tables and formats of this crate, and in-memory tables; Ballista's codec does the
/// rest.
///
/// Functions travel by their names.
#[derive(Debug, Default)]
pub struct FeaturizeLogicalCodec {
    inner: BallistaLogicalExtensionCodec,
}

impl LogicalExtensionCodec for FeaturizeLogicalCodec {
    fn try_decode(
        &self,
        buf: &[u8],
        inputs: &[LogicalPlan],
        ctx: &TaskContext,
    ) -> Result<Extension> {
        match Logical::read(buf)? {
            Logical::Opaque(bytes) => self.inner.try_decode(&bytes, inputs, ctx),
            _ => unexpected("an operator"),
        }
    }

    fn try_encode(&self, node: &Extension, buf: &mut Vec<u8>) -> Result<()> {
        let mut bytes = vec![];
        self.inner.try_encode(node, &mut bytes)?;
        Logical::Opaque(bytes).write(buf)
    }

    fn try_decode_table_provider(
        &self,
        buf: &[u8],
        table_ref: &TableReference,
        schema: SchemaRef,
        ctx: &TaskContext,
    ) -> Result<Arc<dyn TableProvider>> {
        Ok(match Logical::read(buf)? {
            Logical::BinaryFileTable(message) => {
                Arc::new(StoredTable::new(Arc::new(decode_binary_file(message)?)))
            }
            Logical::MemoryTable(message) => {
                Arc::new(StoredTable::new(Arc::new(decode_memory(&message)?)))
            }
            Logical::StoredTable(message) => Arc::new(self.decode_stored(message, ctx)?),
            Logical::Opaque(bytes) => self
                .inner
                .try_decode_table_provider(&bytes, table_ref, schema, ctx)?,
            Logical::FileFormat(_) => return unexpected("a table"),
        })
    }

    fn try_encode_table_provider(
        &self,
        table_ref: &TableReference,
        node: Arc<dyn TableProvider>,
        buf: &mut Vec<u8>,
    ) -> Result<()> {
        let message = if let Some(table) = node.downcast_ref::<BinaryFileTable>() {
            Logical::BinaryFileTable(encode_binary_file(table)?)
        } else if let Some(table) = node.downcast_ref::<MemTable>() {
            Logical::MemoryTable(encode_memory(table)?)
        } else if let Some(table) = node.downcast_ref::<StoredTable>() {
            Logical::StoredTable(self.encode_stored(table_ref, table)?)
        } else {
            let mut bytes = vec![];
            self.inner
                .try_encode_table_provider(table_ref, node, &mut bytes)
                .map_err(|e| e.context(format!("sending the table '{table_ref}' to a cluster")))?;
            Logical::Opaque(bytes)
        };
        message.write(buf)
    }

    fn try_decode_file_format(
        &self,
        buf: &[u8],
        ctx: &TaskContext,
    ) -> Result<Arc<dyn FileFormatFactory>> {
        match Logical::read(buf)? {
            Logical::FileFormat(message) => Ok(Arc::new(CopyFormat::from_message(message)?)),
            Logical::Opaque(bytes) => self.inner.try_decode_file_format(&bytes, ctx),
            _ => unexpected("a format"),
        }
    }

    fn try_encode_file_format(
        &self,
        buf: &mut Vec<u8>,
        node: Arc<dyn FileFormatFactory>,
    ) -> Result<()> {
        if let Some(format) = node.downcast_ref::<CopyFormat>() {
            return Logical::FileFormat(format.to_message()).write(buf);
        }
        let mut bytes = vec![];
        self.inner.try_encode_file_format(&mut bytes, node)?;
        Logical::Opaque(bytes).write(buf)
    }

    fn try_decode_udf(&self, name: &str, buf: &[u8]) -> Result<Arc<ScalarUDF>> {
        match codec_functions::decode(name, buf)? {
            Some(function) => Ok(function),
            None => self.inner.try_decode_udf(name, buf),
        }
    }

    fn try_encode_udf(&self, node: &ScalarUDF, buf: &mut Vec<u8>) -> Result<()> {
        match codec_functions::encode(node, buf) {
            true => Ok(()),
            false => self.inner.try_encode_udf(node, buf),
        }
    }

    fn try_decode_higher_order_function(
        &self,
        name: &str,
        buf: &[u8],
    ) -> Result<Arc<HigherOrderUDF>> {
        self.inner.try_decode_higher_order_function(name, buf)
    }

    fn try_encode_higher_order_function(
        &self,
        node: &HigherOrderUDF,
        buf: &mut Vec<u8>,
    ) -> Result<()> {
        self.inner.try_encode_higher_order_function(node, buf)
    }

    fn try_decode_udaf(&self, name: &str, buf: &[u8]) -> Result<Arc<AggregateUDF>> {
        self.inner.try_decode_udaf(name, buf)
    }

    fn try_encode_udaf(&self, node: &AggregateUDF, buf: &mut Vec<u8>) -> Result<()> {
        self.inner.try_encode_udaf(node, buf)
    }

    fn try_decode_udwf(&self, name: &str, buf: &[u8]) -> Result<Arc<WindowUDF>> {
        self.inner.try_decode_udwf(name, buf)
    }

    fn try_encode_udwf(&self, node: &WindowUDF, buf: &mut Vec<u8>) -> Result<()> {
        self.inner.try_encode_udwf(node, buf)
    }
}

impl FeaturizeLogicalCodec {
    /// The table inside is encoded as DataFusion encodes the scan of it, whatever it is; what that
    /// leaves out of a table of files is put beside it.
    fn encode_stored(
        &self,
        name: &TableReference,
        table: &StoredTable,
    ) -> Result<StoredTableMessage> {
        let (inner, files) = match table.inner.downcast_ref::<ListingTable>() {
            Some(listing) => {
                let (listing, files) = encode_files(listing)?;
                (Arc::new(listing) as Arc<dyn TableProvider>, Some(files))
            }
            None => (Arc::clone(&table.inner), None),
        };
        let source = provider_as_source(inner);
        let scan = TableScanBuilder::new(name.clone(), source).build()?;
        let plan = LogicalPlan::TableScan(scan);
        let scan = protobuf::LogicalPlanNode::try_from_logical_plan(&plan, self)?;
        Ok(StoredTableMessage {
            stores: Some(table.stores.to_message()),
            scan: scan.encode_to_vec(),
            files,
        })
    }

    fn decode_stored(&self, message: StoredTableMessage, ctx: &TaskContext) -> Result<StoredTable> {
        let scan = protobuf::LogicalPlanNode::decode(message.scan.as_slice())
            .map_err(|e| exec_datafusion_err!("the scan of a table does not decode: {e}"))?;
        let LogicalPlan::TableScan(scan) = scan.try_into_logical_plan(ctx, self)? else {
            return unexpected("the scan of a table");
        };
        let mut inner = source_as_provider(&scan.source)?;
        if let Some(stored) = inner.downcast_ref::<StoredTable>() {
            inner = Arc::clone(&stored.inner);
        }
        if let Some(files) = message.files {
            let Some(listing) = inner.downcast_ref::<ListingTable>() else {
                return unexpected("a table of files");
            };
            inner = Arc::new(decode_files(listing, files, ctx)?);
        }
        Ok(StoredTable {
            inner,
            stores: Stores::from_message(message.stores.unwrap_or_default()),
        })
    }
}

/// A table that DataFusion can encode, and what its encoding will leave out.
fn encode_files(table: &ListingTable) -> Result<(ListingTable, FilesMessage)> {
    let pattern = |path: &ListingTableUrl| {
        let pattern = path.get_glob().as_ref();
        pattern.map_or_else(String::new, |pattern| pattern.as_str().to_owned())
    };
    let paths = table.table_paths();
    let mut files = FilesMessage {
        patterns: paths.iter().map(pattern).collect(),
        write: None,
    };
    let mut options = table.options().clone();
    if let Some(format) = options.format.downcast_ref::<WriteFormat>() {
        files.write = Some(WriteOptionsMessage {
            options: format.options().to_map(),
            has_reordered_columns: format.has_reordered_columns(),
        });
        options.format = Arc::clone(format.inner());
    }
    Ok((rebuilt(table, paths.clone(), options)?, files))
}

fn decode_files(
    table: &ListingTable,
    files: FilesMessage,
    ctx: &TaskContext,
) -> Result<ListingTable> {
    let mut paths = table.table_paths().clone();
    for (path, pattern) in paths.iter_mut().zip(&files.patterns) {
        if !pattern.is_empty() {
            *path = path.clone().with_glob(pattern)?;
        }
    }
    let mut options = table.options().clone();
    if let Some(write) = files.write {
        let is_reordered = write.has_reordered_columns;
        let write = WriteOptions::try_from_map(&write.options.into_iter().collect())?;
        let format = WriteFormat::with_options(options.format, write);
        options.format = Arc::new(format.with_reordered_columns(is_reordered));
    }
    let cache = ctx.runtime_env().cache_manager.get_file_statistic_cache();
    Ok(rebuilt(table, paths, options)?.with_cache(cache))
}

/// `table` with other paths and options.
fn rebuilt(
    table: &ListingTable,
    paths: Vec<ListingTableUrl>,
    options: ListingOptions,
) -> Result<ListingTable> {
    // The partition columns come last, and are added again.
    let schema = table.schema();
    let partitions = options.table_partition_cols.len();
    let columns: Vec<usize> = (0..schema.fields().len().saturating_sub(partitions)).collect();
    let config = ListingTableConfig::new_with_multi_paths(paths)
        .with_listing_options(options)
        .with_schema(Arc::new(schema.project(&columns)?));
    ListingTable::try_new(config)
}

fn encode_binary_file(table: &BinaryFileTable) -> Result<BinaryFileTableMessage> {
    let parts = table.to_parts();
    Ok(BinaryFileTableMessage {
        locations: parts.locations,
        options: parts.options,
        partition_columns: Some((&Schema::new(parts.partition_columns)).try_into()?),
    })
}

fn decode_binary_file(message: BinaryFileTableMessage) -> Result<BinaryFileTable> {
    let columns: Schema = (&message.partition_columns.unwrap_or_default()).try_into()?;
    BinaryFileTable::from_parts(TableParts {
        locations: message.locations,
        options: message.options,
        partition_columns: columns.fields().iter().cloned().collect(),
    })
}

fn encode_memory(table: &MemTable) -> Result<MemoryTableMessage> {
    let schema = table.schema();
    let mut partitions = vec![];
    for partition in &table.batches {
        let Ok(batches) = partition.try_read() else {
            return exec_err!("an in-memory table is being written to; run the query again");
        };
        let mut stream = StreamWriter::try_new(vec![], &schema)?;
        for batch in batches.iter() {
            stream.write(batch)?;
        }
        partitions.push(stream.into_inner()?);
    }
    Ok(MemoryTableMessage {
        schema: Some(schema.as_ref().try_into()?),
        partitions,
    })
}

fn decode_memory(message: &MemoryTableMessage) -> Result<MemTable> {
    let schema = message.schema.clone().unwrap_or_default();
    let schema: Schema = (&schema).try_into()?;
    let read = |stream: &Vec<u8>| -> Result<Vec<RecordBatch>> {
        let stream = StreamReader::try_new(stream.as_slice(), None)?;
        Ok(stream.collect::<std::result::Result<_, _>>()?)
    };
    let partitions = message.partitions.iter().map(read);
    MemTable::try_new(Arc::new(schema), partitions.collect::<Result<_>>()?)
}

fn unexpected<T>(expected: &str) -> Result<T> {
    exec_err!("a part of a logical plan is not {expected}, as its place in the plan says")
}
