//! The content of a slice of the work list: one request an object.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, BinaryViewBuilder, BooleanArray, RecordBatch};
use arrow::buffer::Buffer;
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use datafusion::common::cast::{as_int64_array, as_string_array};
use datafusion::common::{DataFusionError, Result, exec_datafusion_err, exec_err};
use datafusion::common::{internal_datafusion_err, internal_err};
use datafusion::execution::TaskContext;
use futures::future::{try_join, try_join_all};
use tokio::sync::Semaphore;

use super::location::split_uri;
use super::members::{Members, OpenArchives};
use super::options::{BinaryFileOptions, Oversize};
use super::schema::{CONTENT, LENGTH, PATH};
use crate::archives::Answer;
use crate::object_stores::address::shown;
use crate::object_stores::errors::{is_missing_object, told};
use crate::object_stores::reading::{Effort, Read, read};

/// The most bytes that an element of a view array can have.
pub(crate) const MAX_VIEW_LENGTH: u64 = i32::MAX as u64;

/// What a request came back with.
enum Content {
    Bytes(Bytes),
    Null,
    Missing,
}

/// Adds `content` to rows of the work list.
#[derive(Debug)]
pub(super) struct ContentReader {
    /// Finds the stores; the plan itself holds no live handle.
    pub(super) context: Arc<TaskContext>,
    /// The output's columns.
    pub(super) schema: SchemaRef,
    pub(super) options: BinaryFileOptions,
    /// Those that all partitions of the scan read from.
    pub(super) archives: Arc<OpenArchives>,
    /// One permit a request in flight, shared by all partitions of the scan.
    pub(super) requests: Arc<Semaphore>,
}

/// Rows with their content, and what was read for them.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) batch: RecordBatch,
    pub(super) files: usize,
    pub(super) bytes: usize,
    pub(super) skipped: usize,
    pub(super) retries: usize,
    /// Sum of the times that the requests took.
    pub(super) request_time: Duration,
}

impl ContentReader {
    /// Objects of more bytes than this are not read.
    pub(super) fn longest(&self) -> u64 {
        let limit = self.options.max_length.unwrap_or(MAX_VIEW_LENGTH);
        limit.min(MAX_VIEW_LENGTH)
    }

    /// Reads the objects of `rows`, in order, into batches of at most `most` rows.
    ///
    /// # Errors
    /// When an object cannot be read, is not as long as it was listed, or is too long; it is named.
    pub(super) async fn read(&self, rows: RecordBatch, most: usize) -> Result<Vec<Fetched>> {
        let uris = as_string_array(column(&rows, PATH)?)?;
        let lengths = as_int64_array(column(&rows, LENGTH)?)?;
        let mut contents: Vec<Option<Content>> = vec![];
        let mut objects = vec![];
        let mut members = Members::default();
        for (row, (uri, length)) in uris.iter().zip(lengths.iter()).enumerate() {
            let (Some(uri), Some(length)) = (uri, length) else {
                return internal_err!("the work list has a NULL in {PATH} or {LENGTH}");
            };
            let length = u64::try_from(length)
                .map_err(|_| exec_datafusion_err!("'{uri}' is listed with {length} bytes"))?;
            let declined = self.decline(uri, length)?;
            if declined.is_none()
                && !members
                    .take(&self.archives, &self.context, row, uri, length)
                    .await?
            {
                objects.push(async move {
                    let (content, effort) = self.read_object(uri, length).await?;
                    Ok((row, content, effort))
                });
            }
            contents.push(declined);
        }
        // All at once: the semaphore bounds how many are in flight.
        let (objects, members) =
            try_join(try_join_all(objects), members.read(&self.requests)).await?;
        let mut efforts = vec![];
        for (row, content, effort) in objects {
            contents[row] = Some(content);
            efforts.push(effort);
        }
        for Answer {
            uri,
            rows,
            contents: answer,
            effort,
        } in members
        {
            match answer {
                Ok(answer) => {
                    for (row, bytes) in rows.into_iter().zip(answer) {
                        contents[row] = Some(Content::Bytes(bytes));
                    }
                }
                Err(e) if self.options.ignore_missing_files && is_missing_object(&e) => {
                    rows.into_iter()
                        .for_each(|row| contents[row] = Some(Content::Missing));
                }
                Err(e) => return Err(unreadable(&uri, split_uri(&uri)?.0.as_str(), &e)),
            }
            efforts.push(effort);
        }
        let read: Option<Vec<Content>> = contents.into_iter().collect();
        let contents = read.ok_or_else(|| internal_datafusion_err!("a row was not read"))?;
        let (mut contents, mut efforts) = (contents.into_iter(), efforts.as_slice());
        let mut batches = vec![];
        for start in (0..rows.num_rows()).step_by(most) {
            let rows = rows.slice(start, most.min(rows.num_rows() - start));
            let contents = contents.by_ref().take(rows.num_rows()).collect();
            batches.push(self.assemble(&rows, contents, efforts)?);
            efforts = &[]; // Each request counts once.
        }
        Ok(batches)
    }

    /// What stands for an object of this length if it is not to be read.
    fn decline(&self, uri: &str, listed: u64) -> Result<Option<Content>> {
        if let Some(limit) = self.options.max_length
            && listed > limit
        {
            return match self.options.oversize {
                Oversize::Null => Ok(Some(Content::Null)),
                Oversize::Skip => Ok(Some(Content::Missing)),
                Oversize::Error => exec_err!(
                    "'{uri}' has {listed} bytes, more than the table's maxLength of {limit}; raise \
                     'maxLength', or set 'oversize' to 'skip' or 'null'"
                ),
            };
        }
        if listed > MAX_VIEW_LENGTH {
            return exec_err!(
                "'{uri}' has {listed} bytes; one value can have {MAX_VIEW_LENGTH}. Leave it out \
                 with a predicate on length, or set 'maxLength' and 'oversize'"
            );
        }
        Ok(None)
    }

    async fn read_object(&self, uri: &str, listed: u64) -> Result<(Content, Effort)> {
        let (bucket, path) = split_uri(uri)?;
        let store = self.context.runtime_env().object_store(&bucket)?;
        let _permit = self
            .requests
            .acquire()
            .await
            .map_err(|e| internal_datafusion_err!("{e}"))?;
        let (result, effort) = read(&store, &path, |length| length == listed).await;
        let content = match result {
            Ok(Read::Whole(bytes)) => Content::Bytes(bytes),
            Ok(Read::Declined(length)) => {
                return exec_err!(
                    "'{uri}' has {length} bytes but was listed with {listed}: it was changed while \
                     the query ran; run the query again"
                );
            }
            Ok(Read::BrokenOff(length, _)) => {
                return exec_err!(
                    "the store sent {length} bytes of '{uri}', which has {listed}, even when asked \
                     again; look for a proxy that cuts answers off, or run the query again"
                );
            }
            // A bucket that is gone is no missing file.
            Err(e) if self.options.ignore_missing_files && is_missing_object(&e) => {
                Content::Missing
            }
            Err(e) => return Err(unreadable(uri, bucket.as_str(), &e)),
        };
        Ok((content, effort))
    }

    fn assemble(
        &self,
        rows: &RecordBatch,
        contents: Vec<Content>,
        efforts: &[Effort],
    ) -> Result<Fetched> {
        let present: BooleanArray = contents
            .iter()
            .map(|content| Some(!matches!(content, Content::Missing)))
            .collect();
        let skipped = contents.len() - present.true_count();
        let (mut files, mut bytes) = (0, 0);
        let mut builder = BinaryViewBuilder::with_capacity(contents.len());
        for content in contents {
            match content {
                Content::Missing => {}
                Content::Null => builder.append_null(),
                Content::Bytes(content) => {
                    files += 1;
                    bytes += content.len();
                    append(&mut builder, content)?;
                }
            }
        }
        let content: ArrayRef = Arc::new(builder.finish());
        let rows = if skipped > 0 {
            &filter_record_batch(rows, &present)?
        } else {
            rows
        };
        let columns = self
            .schema
            .fields()
            .iter()
            .map(|field| match field.name().as_str() {
                CONTENT => Ok(Arc::clone(&content)),
                name => Ok(Arc::clone(column(rows, name)?)),
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Fetched {
            batch: RecordBatch::try_new(Arc::clone(&self.schema), columns)?,
            files,
            bytes,
            skipped,
            retries: efforts.iter().map(|effort| effort.retries).sum(),
            request_time: efforts.iter().map(|effort| effort.time).sum(),
        })
    }
}

/// Appends an object, short ones as a copy. What a network store returns in one piece is part of
/// the buffer that the connection was read into, which may be a hundred times as large and would
/// be kept, uncounted, as long as the row.
pub(crate) fn append(builder: &mut BinaryViewBuilder, content: Bytes) -> Result<()> {
    const COPIED: usize = 512 * 1024;
    if content.len() <= COPIED {
        builder.append_value(&content);
        return Ok(());
    }
    let length = u32::try_from(content.len())
        .map_err(|_| internal_datafusion_err!("{} bytes in one value", content.len()))?;
    let block = builder.append_block(Buffer::from(content));
    builder.try_append_view(block, 0, length)?;
    Ok(())
}

fn column<'a>(rows: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    rows.column_by_name(name)
        .ok_or_else(|| internal_datafusion_err!("the work list has no column {name}"))
}

fn unreadable(uri: &str, bucket: &str, error: &object_store::Error) -> DataFusionError {
    let advice = match is_missing_object(error) {
        true => {
            "; it was deleted after it was listed: set the table's option 'ignoreMissingFiles' to \
             'true' to leave such objects out"
        }
        false => "",
    };
    exec_datafusion_err!(
        "could not read '{}': {}{advice}",
        shown(uri),
        told(error, bucket)
    )
}
