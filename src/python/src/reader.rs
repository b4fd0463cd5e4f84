//! The rows of a result, batch by batch, for whoever takes Arrow streams.

use arrow::array::{RecordBatch, RecordBatchReader};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use datafusion::common::Result;
use datafusion::execution::SendableRecordBatchStream;
use futures::{StreamExt, TryStreamExt};
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;

use crate::progress::Bar;
use crate::wait::wait;

/// Computes each batch when it is asked for. Python's lock is free meanwhile.
pub(crate) struct Reader {
    schema: SchemaRef,
    stream: Option<SendableRecordBatchStream>,
    bar: Option<Bar>,
}

impl Reader {
    pub(crate) fn new(stream: SendableRecordBatchStream, bar: Option<Bar>) -> Self {
        Self {
            schema: stream.schema(),
            stream: Some(stream),
            bar,
        }
    }

    /// The next batch; none at the end, and after an error.
    pub(crate) fn next_batch(&mut self, py: Python<'_>) -> PyResult<Option<RecordBatch>> {
        let Some(mut stream) = self.stream.take() else {
            return Ok(None);
        };
        let next = async move {
            let batch = stream.next().await.transpose()?;
            Ok(batch.map(|batch| (batch, stream)))
        };
        match self.wait(py, next) {
            Ok(Some((batch, stream))) => {
                self.stream = Some(stream);
                Ok(Some(batch))
            }
            end => {
                self.bar = None;
                end.map(|_| None)
            }
        }
    }

    /// All batches that are left.
    pub(crate) fn rest(mut self, py: Python<'_>) -> PyResult<(SchemaRef, Vec<RecordBatch>)> {
        let batches = match self.stream.take() {
            Some(stream) => self.wait(py, async { stream.try_collect().await })?,
            None => vec![],
        };
        Ok((self.schema, batches))
    }

    fn wait<T: Send + 'static>(
        &mut self,
        py: Python<'_>,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> PyResult<T> {
        let bar = &mut self.bar;
        wait(py, work, |py| {
            bar.as_mut().map_or(Ok(()), |bar| bar.tick(py))
        })
    }
}

impl Iterator for Reader {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        Python::attach(|py| {
            let next = self.next_batch(py);
            next.transpose()
                .map(|batch| batch.map_err(|e| passed_on(py, &e)))
        })
    }
}

impl RecordBatchReader for Reader {
    fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.schema)
    }
}

/// Of an error in a stream only the text reaches the reader; an interrupt is therefore raised once more, by the next
/// line of Python. Nothing of Python may come after it here.
fn passed_on(py: Python<'_>, error: &PyErr) -> ArrowError {
    let text = error.value(py).to_string();
    if !error.is_instance_of::<PyKeyboardInterrupt>(py) {
        return ArrowError::ExternalError(text.into());
    }
    let again = py
        .import("_thread")
        .and_then(|thread| thread.call_method0("interrupt_main"));
    if let Err(e) = again {
        log::warn!("the interrupt could not be passed on: {e}");
    }
    ArrowError::ExternalError("the query was interrupted".into())
}
