//! What a statement writes, on its way to the executors.

use datafusion::common::config::TableParquetOptions;
use datafusion::common::{Result, exec_datafusion_err, exec_err, not_impl_err};
use datafusion::parquet::file::metadata::SortingColumn;
use datafusion_proto::protobuf::{CsvFormat, ParquetFormat};
use uuid::Uuid;

use super::messages::{
    NoteMessage, PartFormatMessage, SortingColumnMessage, SortingMessage, TargetMessage,
    WriteSpecMessage,
};
use crate::sink::{PartFormat, Target, TargetParts, WriteSpec};

pub(super) fn encode_write_spec(spec: &WriteSpec) -> Result<WriteSpecMessage> {
    let WriteSpec {
        run,
        target,
        write_mode,
        mode_is_explicit,
        num_files,
        success_file,
        manifest,
        vectors,
        checkpoint_rows,
        format,
        extension,
        schema,
        query,
    } = spec;
    let target = target.to_parts();
    let (format, sorting, notes) = encode_format(format)?;
    Ok(WriteSpecMessage {
        run: run.as_bytes().to_vec(),
        target: Some(TargetMessage {
            store: target.store,
            path: target.path,
            is_file: target.is_file,
            extension: target.extension,
        }),
        write_mode: write_mode.to_string(),
        mode_is_explicit: *mode_is_explicit,
        num_files: num_files.map(|number| number as u64),
        success_file: *success_file,
        manifest: *manifest,
        vectors: vectors.map(|vectors| vectors.to_string()),
        checkpoint_rows: *checkpoint_rows as u64,
        extension: extension.clone(),
        schema: Some(schema.as_ref().try_into()?),
        query: query.clone(),
        format: Some(format),
        sorting,
        notes,
    })
}

pub(super) fn decode_write_spec(message: WriteSpecMessage) -> Result<WriteSpec> {
    let target = message.target.unwrap_or_default();
    let run = Uuid::from_slice(&message.run)
        .map_err(|e| exec_datafusion_err!("the run of a write does not decode: {e}"))?;
    let schema: arrow::datatypes::Schema = (&message.schema.unwrap_or_default()).try_into()?;
    let write_mode = message.write_mode.parse();
    let vectors = message.vectors.map(|text| text.parse()).transpose();
    Ok(WriteSpec {
        run,
        target: Target::from_parts(TargetParts {
            store: target.store,
            path: target.path,
            is_file: target.is_file,
            extension: target.extension,
        })?,
        write_mode: write_mode.map_err(|e: String| exec_datafusion_err!("{e}"))?,
        mode_is_explicit: message.mode_is_explicit,
        num_files: message.num_files.map(number).transpose()?,
        success_file: message.success_file,
        manifest: message.manifest,
        vectors: vectors.map_err(|e: String| exec_datafusion_err!("{e}"))?,
        checkpoint_rows: number(message.checkpoint_rows)?,
        format: decode_format(message.format, message.sorting, message.notes)?,
        extension: message.extension,
        schema: schema.into(),
        query: message.query,
    })
}

type FormatMessages = (PartFormatMessage, Option<SortingMessage>, Vec<NoteMessage>);

fn encode_format(format: &PartFormat) -> Result<FormatMessages> {
    Ok(match format {
        PartFormat::Parquet { options, sorting } => {
            let format = ParquetFormat {
                options: Some(options.as_ref().try_into()?),
            };
            let sorting = sorting.as_ref().map(|columns| SortingMessage {
                columns: columns.iter().map(encode_sorting).collect(),
            });
            let notes = options.key_value_metadata.iter().map(|(key, value)| {
                let (key, value) = (key.clone(), value.clone());
                NoteMessage { key, value }
            });
            let notes = notes.collect();
            (PartFormatMessage::Parquet(format), sorting, notes)
        }
        PartFormat::Csv(options) => {
            let format = CsvFormat {
                options: Some(options.as_ref().try_into()?),
            };
            (PartFormatMessage::Csv(format), None, vec![])
        }
        PartFormat::Json(_) | PartFormat::Arrow => {
            let name = format.name();
            return not_impl_err!("writing {name} on a cluster; use PARQUET or CSV");
        }
    })
}

fn decode_format(
    format: Option<PartFormatMessage>,
    sorting: Option<SortingMessage>,
    notes: Vec<NoteMessage>,
) -> Result<PartFormat> {
    Ok(match format {
        Some(PartFormatMessage::Parquet(ParquetFormat {
            options: Some(options),
        })) => {
            let mut options: TableParquetOptions = (&options).try_into()?;
            options.key_value_metadata = notes.into_iter().map(|n| (n.key, n.value)).collect();
            PartFormat::Parquet {
                options: Box::new(options),
                sorting: sorting
                    .map(|sorting| sorting.columns.iter().map(decode_sorting).collect()),
            }
        }
        Some(PartFormatMessage::Csv(CsvFormat {
            options: Some(options),
        })) => PartFormat::Csv(Box::new((&options).try_into()?)),
        _ => return exec_err!("the format of a write is missing in a plan"),
    })
}

fn encode_sorting(column: &SortingColumn) -> SortingColumnMessage {
    SortingColumnMessage {
        column: column.column_idx,
        descending: column.descending,
        nulls_first: column.nulls_first,
    }
}

fn decode_sorting(message: &SortingColumnMessage) -> SortingColumn {
    SortingColumn {
        column_idx: message.column,
        descending: message.descending,
        nulls_first: message.nulls_first,
    }
}

fn number(number: u64) -> Result<usize> {
    usize::try_from(number).map_err(|_| exec_datafusion_err!("{number} is beyond this machine"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field, Schema};
    use datafusion::common::config::CsvOptions;
    use datafusion::common::parsers::{CompressionTypeVariant, CsvQuoteStyle};

    use super::*;
    use crate::sink::{Vectors, WriteMode};

    fn spec(format: PartFormat) -> WriteSpec {
        let field = Field::new("x", DataType::new_list(DataType::Float32, true), true);
        let field = field.with_metadata([("model".to_owned(), "vgg16".to_owned())].into());
        WriteSpec {
            run: Uuid::now_v7(),
            target: Target::from_parts(TargetParts {
                store: "s3://bucket".to_owned(),
                path: "a b/c".to_owned(),
                is_file: false,
                extension: "csv".to_owned(),
            })
            .unwrap(),
            write_mode: WriteMode::ErrorIfExists,
            mode_is_explicit: true,
            num_files: Some(3),
            success_file: Some(false),
            manifest: Some(true),
            vectors: Some(Vectors::Columns),
            checkpoint_rows: 1000,
            format,
            extension: "csv.gz".to_owned(),
            schema: Arc::new(Schema::new(vec![field])),
            query: "Projection".to_owned(),
        }
    }

    #[test]
    fn everything_that_a_statement_says_survives() {
        let csv = CsvOptions {
            has_header: Some(false),
            delimiter: b';',
            quote: b'\'',
            quote_style: CsvQuoteStyle::NonNumeric,
            escape: Some(b'\\'),
            double_quote: Some(false),
            compression: CompressionTypeVariant::GZIP,
            compression_level: Some(3),
            null_value: Some("NULL".to_owned()),
            date_format: Some("%d".to_owned()),
            ..CsvOptions::default()
        };
        let mut parquet = TableParquetOptions::default();
        parquet.global.compression = Some("zstd(7)".to_owned());
        parquet.global.max_row_group_size = 77;
        parquet.global.bloom_filter_on_write = true;
        parquet
            .key_value_metadata
            .insert("author".to_owned(), Some("me".to_owned()));
        let sorting = SortingColumn {
            column_idx: 2,
            descending: true,
            nulls_first: false,
        };
        for format in [
            PartFormat::Csv(Box::new(csv)),
            PartFormat::Csv(Box::default()),
            PartFormat::Parquet {
                options: Box::new(parquet),
                sorting: Some(vec![sorting]),
            },
        ] {
            let spec = spec(format);
            let again = decode_write_spec(encode_write_spec(&spec).unwrap()).unwrap();
            // Shows all that is not compared below.
            assert_eq!(format!("{again:?}"), format!("{spec:?}"));
            assert_eq!(again.target, spec.target);
            assert_eq!(again.schema, spec.schema);
            assert_eq!(again.query, spec.query);
            assert_eq!(again.extension, spec.extension);
            assert_eq!(again.checkpoint_rows, spec.checkpoint_rows);
            assert_eq!(again.mode_is_explicit, spec.mode_is_explicit);
            match (&again.format, &spec.format) {
                (PartFormat::Csv(again), PartFormat::Csv(spec)) => assert_eq!(again, spec),
                (
                    PartFormat::Parquet { options, sorting },
                    PartFormat::Parquet {
                        options: expected,
                        sorting: order,
                    },
                ) => {
                    assert_eq!(options, expected);
                    assert_eq!(sorting, order);
                }
                _ => panic!("another format"),
            }
        }
    }
}
