//! Rows to bytes: one part in Parquet, CSV, JSON or Arrow, by the writers that DataFusion's own sinks use.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::csv::WriterBuilder;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::ipc::writer::{FileWriter, IpcWriteOptions};
use arrow::ipc::{CompressionType, MetadataVersion};
use arrow::json::LineDelimitedWriter;
use datafusion::common::config::{
    ConfigOptions, CsvOptions, JsonOptions, MaxRowGroupBytes, TableParquetOptions,
};
use datafusion::common::file_options::csv_writer::CsvWriterOptions;
use datafusion::common::parsers::CompressionTypeVariant;
use datafusion::common::{DataFusionError, Result, not_impl_err};
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::arrow::ArrowFormat;
use datafusion::datasource::file_format::csv::CsvFormat;
use datafusion::datasource::file_format::json::JsonFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::file_format::write::ObjectWriterBuilder;
use datafusion::parquet::arrow::AsyncArrowWriter;
use datafusion::parquet::arrow::arrow_writer::ArrowWriterOptions;
use datafusion::parquet::file::metadata::SortingColumn;
use datafusion::parquet::file::properties::WriterPropertiesBuilder;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexRequirement, PhysicalSortRequirement};
use object_store::ObjectStore;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::text::{lists_to_text, text_schema};

/// Bytes of a Parquet row group while it is being built, unless the format's own options say: the
/// default of a million rows would be 100 GB of VGG16's vectors.
const ROW_GROUP_BYTES: usize = 32 * 1024 * 1024;
/// What the row groups of parts that are open at once share.
const ALL_ROW_GROUPS_BYTES: usize = 256 * 1024 * 1024;
const MIN_ROW_GROUP_BYTES: usize = 1024 * 1024;
/// The smallest piece of an upload in pieces that S3 takes.
const MIN_UPLOAD_BYTES: usize = 5 * 1024 * 1024;
/// How many open parts may have the buffer that the session's settings give to an upload.
const FULL_BUFFERS: usize = 8;

/// The format of the parts with its options: plain data.
#[derive(Clone)]
pub enum PartFormat {
    /// Apache Parquet.
    Parquet {
        /// The format's own options.
        options: Box<TableParquetOptions>,
        /// The order of the rows, to be noted in the files.
        sorting: Option<Vec<SortingColumn>>,
    },
    /// Comma-separated values; lists are written as text.
    Csv(Box<CsvOptions>),
    /// A JSON object a line.
    Json(Box<JsonOptions>),
    /// Arrow's IPC files.
    Arrow,
}

impl PartFormat {
    /// The format that `format` writes, or `None` if that is none of these.
    ///
    /// # Errors
    /// When an option asks for what cannot be done.
    pub fn try_new(
        format: &dyn FileFormat,
        schema: &Schema,
        order: Option<&LexRequirement>,
    ) -> Result<Option<Self>> {
        if let Some(parquet) = format.downcast_ref::<ParquetFormat>() {
            let options = parquet.options();
            if options.crypto.file_encryption.is_some() || options.crypto.factory_id.is_some() {
                return not_impl_err!("encrypted Parquet files cannot be written");
            }
            return Ok(Some(Self::Parquet {
                options: Box::new(options.clone()),
                sorting: order.and_then(|order| sorting_columns(order, schema)),
            }));
        }
        if let Some(csv) = format.downcast_ref::<CsvFormat>() {
            return Ok(Some(Self::Csv(Box::new(csv.options().clone()))));
        }
        if let Some(json) = format.downcast_ref::<JsonFormat>() {
            return Ok(Some(Self::Json(Box::new(json.options().clone()))));
        }
        Ok(format.is::<ArrowFormat>().then_some(Self::Arrow))
    }

    /// With the session's settings where the options of the format do not say.
    pub(super) fn with_defaults_of(self, settings: &ConfigOptions) -> Self {
        match self {
            Self::Csv(mut options) => {
                options
                    .has_header
                    .get_or_insert(settings.catalog.has_header);
                Self::Csv(options)
            }
            other => other,
        }
    }

    /// Its name, as in `STORED AS`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Parquet { .. } => "parquet",
            Self::Csv(_) => "csv",
            Self::Json(_) => "json",
            Self::Arrow => "arrow",
        }
    }
}

/// Without the options: those of Parquet may hold keys.
impl fmt::Debug for PartFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The order in Parquet's terms, as far as it is one of plain columns of one value each.
fn sorting_columns(order: &LexRequirement, schema: &Schema) -> Option<Vec<SortingColumn>> {
    let column = |requirement: &PhysicalSortRequirement| {
        let column = requirement.expr.downcast_ref::<Column>()?;
        let fields = schema.fields();
        let field = fields.get(column.index())?;
        if field.data_type().is_nested() {
            return None;
        }
        let before = fields.iter().take(column.index());
        let index = before.map(|field| leaves(field.data_type())).sum::<usize>();
        let options = requirement.options.unwrap_or_default();
        Some(SortingColumn {
            column_idx: i32::try_from(index).ok()?,
            descending: options.descending,
            nulls_first: options.nulls_first,
        })
    };
    order.iter().map(column).collect()
}

/// Columns that a value of the type takes in Parquet.
fn leaves(data_type: &DataType) -> usize {
    match data_type {
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::Map(item, _) => leaves(item.data_type()),
        DataType::Struct(fields) => fields.iter().map(|f| leaves(f.data_type())).sum(),
        DataType::Dictionary(_, values) => leaves(values),
        _ => 1,
    }
}

/// How a part is uploaded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Buffers {
    /// Bytes held before they are sent.
    upload: usize,
    row_group: usize,
}

impl Buffers {
    /// For `parts` that are open at once; `upload` is the session's setting.
    pub(super) fn new(parts: usize, upload: usize) -> Self {
        let upload = if parts > FULL_BUFFERS {
            upload.min(MIN_UPLOAD_BYTES)
        } else {
            upload
        };
        let share = ALL_ROW_GROUPS_BYTES.checked_div(parts).unwrap_or_default();
        Self {
            upload,
            row_group: share.clamp(MIN_ROW_GROUP_BYTES, ROW_GROUP_BYTES),
        }
    }
}

/// One part being written. Nothing is visible in the store before [`Self::finish`].
pub(super) enum PartEncoder {
    Parquet(Box<AsyncArrowWriter<BufWriter>>, SchemaRef),
    Bytes(Box<BytesEncoder>),
}

impl PartEncoder {
    pub(super) fn try_new(
        format: &PartFormat,
        schema: &SchemaRef,
        store: &Arc<dyn ObjectStore>,
        path: &Path,
        buffers: Buffers,
    ) -> Result<Self> {
        match format {
            PartFormat::Parquet { options, sorting } => {
                let mut options = options.as_ref().clone();
                if options.global.max_row_group_bytes.is_none() {
                    let bytes = MaxRowGroupBytes::try_new(buffers.row_group)?;
                    options.global.max_row_group_bytes = Some(bytes);
                }
                let skip_schema = options.global.skip_arrow_metadata;
                if !skip_schema {
                    options.arrow_schema(schema);
                }
                let properties = WriterPropertiesBuilder::try_from(&options)?
                    .set_sorting_columns(sorting.clone())
                    .build();
                let writer = AsyncArrowWriter::try_new_with_options(
                    BufWriter::with_capacity(Arc::clone(store), path.clone(), buffers.upload),
                    Arc::clone(schema),
                    ArrowWriterOptions::new()
                        .with_properties(properties)
                        .with_skip_arrow_metadata(skip_schema),
                )?;
                Ok(Self::Parquet(Box::new(writer), Arc::clone(schema)))
            }
            PartFormat::Csv(options) => {
                let writer_options = CsvWriterOptions::try_from(options.as_ref())?;
                let level = writer_options.compression_level;
                let serializer = Serializer::Csv {
                    header: writer_options.writer_options.header(),
                    builder: writer_options.writer_options,
                    text_schema: text_schema(schema),
                };
                let place = (store, path, buffers.upload);
                BytesEncoder::try_new(serializer, schema, place, (options.compression, level))
            }
            PartFormat::Json(options) => {
                let compression = (options.compression, options.compression_level);
                let place = (store, path, buffers.upload);
                BytesEncoder::try_new(Serializer::Json, schema, place, compression)
            }
            PartFormat::Arrow => {
                // DataFusion 55.2 writes with 64, and then finds no schema in what it reads from a bucket: it looks
                // for it 8 bytes behind the beginning (`infer_stream_schema`).
                let options = IpcWriteOptions::try_new(8, false, MetadataVersion::V5)?
                    .try_with_compression(Some(CompressionType::LZ4_FRAME))?;
                let writer = FileWriter::try_new_with_options(vec![], schema, options)?;
                let place = (store, path, buffers.upload);
                let compression = (CompressionTypeVariant::UNCOMPRESSED, None);
                BytesEncoder::try_new(
                    Serializer::Arrow(Box::new(writer)),
                    schema,
                    place,
                    compression,
                )
            }
        }
    }

    /// Encodes the rows and sends what is complete. `batch` has the columns of the part's schema.
    pub(super) async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        match self {
            Self::Parquet(writer, schema) => Ok(writer.write(&conform(batch, schema)?).await?),
            Self::Bytes(encoder) => encoder.write(batch).await,
        }
    }

    /// Bytes held in memory.
    pub(super) fn memory_size(&self) -> usize {
        match self {
            Self::Parquet(writer, _) => writer.memory_size(),
            Self::Bytes(encoder) => encoder.upload,
        }
    }

    /// Bytes sent so far, about.
    pub(super) fn bytes_written(&self) -> usize {
        match self {
            Self::Parquet(writer, _) => writer.bytes_written(),
            Self::Bytes(_) => 0,
        }
    }

    /// Completes the object: from now on the store shows it, all at once.
    pub(super) async fn finish(self) -> Result<()> {
        match self {
            Self::Parquet(writer, _) => {
                writer.close().await?;
            }
            Self::Bytes(encoder) => encoder.finish().await?,
        }
        Ok(())
    }

    /// Gives the upload up, so that the store need not keep its pieces.
    pub(super) async fn abort(self) {
        let aborted = match self {
            Self::Parquet(writer, _) => writer.into_inner().abort().await,
            Self::Bytes(encoder) => match encoder.output {
                Output::Plain(mut writer) => writer.abort().await,
                Output::Compressed(_) => Ok(()),
            },
        };
        if let Err(e) = aborted {
            log::warn!("could not abort an upload: {e}");
        }
    }
}

/// The rows under the names and types of the target.
pub(super) fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    if batch.schema_ref() == schema {
        return Ok(batch.clone());
    }
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns
        .map(|(column, field)| {
            if column.data_type() == field.data_type() {
                Ok(Arc::clone(column))
            } else {
                arrow::compute::cast(column, field.data_type())
            }
        })
        .collect::<std::result::Result<_, _>>()?;
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

/// Writes formats of which a batch of rows is some bytes.
pub(super) struct BytesEncoder {
    output: Output,
    serializer: Serializer,
    schema: SchemaRef,
    upload: usize,
}

enum Serializer {
    Csv {
        builder: WriterBuilder,
        /// The next rows are preceded by a header.
        header: bool,
        text_schema: SchemaRef,
    },
    Json,
    Arrow(Box<FileWriter<Vec<u8>>>),
}

impl BytesEncoder {
    fn try_new(
        serializer: Serializer,
        schema: &SchemaRef,
        (store, path, upload): (&Arc<dyn ObjectStore>, &Path, usize),
        (compression, level): (CompressionTypeVariant, Option<u32>),
    ) -> Result<PartEncoder> {
        let output = match compression {
            CompressionTypeVariant::UNCOMPRESSED => {
                let writer = BufWriter::with_capacity(Arc::clone(store), path.clone(), upload);
                Output::Plain(Box::new(writer))
            }
            compression => {
                let builder = ObjectWriterBuilder::new(compression.into(), path, Arc::clone(store))
                    .with_buffer_size(Some(upload))
                    .with_compression_level(level);
                Output::Compressed(builder.build()?)
            }
        };
        Ok(PartEncoder::Bytes(Box::new(Self {
            output,
            serializer,
            schema: Arc::clone(schema),
            upload,
        })))
    }

    async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let bytes = self.serializer.rows(&conform(batch, &self.schema)?)?;
        Ok(self.output.write_all(&bytes).await?)
    }

    async fn finish(mut self) -> Result<()> {
        let bytes = self.serializer.end(&self.schema)?;
        self.output.write_all(&bytes).await?;
        self.output.shutdown().await
    }
}

impl Serializer {
    fn rows(&mut self, batch: &RecordBatch) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        match self {
            Self::Csv {
                builder,
                header,
                text_schema,
            } => {
                let batch = lists_to_text(batch, text_schema)?;
                let builder = builder.clone().with_header(*header);
                builder.build(&mut bytes).write(&batch)?;
                *header = false;
            }
            Self::Json => LineDelimitedWriter::new(&mut bytes).write(batch)?,
            Self::Arrow(writer) => {
                writer.write(batch)?;
                bytes = std::mem::take(writer.get_mut());
            }
        }
        Ok(bytes)
    }

    /// What follows the last rows.
    fn end(&mut self, schema: &SchemaRef) -> Result<Vec<u8>> {
        match self {
            // Nothing but a header, so that even an empty part has its columns.
            Self::Csv { header: true, .. } => {
                self.rows(&RecordBatch::new_empty(Arc::clone(schema)))
            }
            Self::Csv { .. } | Self::Json => Ok(vec![]),
            Self::Arrow(writer) => {
                writer.finish()?;
                Ok(std::mem::take(writer.get_mut()))
            }
        }
    }
}

enum Output {
    Plain(Box<BufWriter>),
    Compressed(Box<dyn AsyncWrite + Send + Unpin>),
}

impl Output {
    async fn write_all(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Plain(writer) => writer.write_all(bytes).await,
            Self::Compressed(writer) => writer.write_all(bytes).await,
        }
    }

    async fn shutdown(&mut self) -> Result<()> {
        match self {
            Self::Plain(writer) => writer.shutdown().await,
            Self::Compressed(writer) => writer.shutdown().await,
        }
        .map_err(DataFusionError::from)
    }
}
