//! A call that is evaluated where it stands: the objects of one batch of rows, and the thread waits.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use arrow::array::{AsArray, StringViewArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use bytes::Bytes;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::utils::take_function_args;
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, exec_err};
use datafusion::execution::object_store::ObjectStoreRegistry;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};
use datafusion_functions_image::cancel;
use futures::{StreamExt, TryStreamExt, stream};

use super::access::BlobCall;
use super::ahead::array;
use super::reader::{Blob, BlobReader};
use crate::config::FeaturizeOptions;
use crate::io_runtime;

/// How often whoever waits looks whether anybody still wants the result.
const POLL: Duration = Duration::from_millis(20);

/// The most bytes of one batch of rows, which all have to be there at the same time.
const MOST_BYTES: u64 = 1 << 30;

thread_local! {
    static STORES: RefCell<Option<Arc<dyn ObjectStoreRegistry>>> = const { RefCell::new(None) };
}

/// Runs `work`, in which calls see the stores of this registry.
pub(crate) fn with_stores<T>(stores: &Arc<dyn ObjectStoreRegistry>, work: impl FnOnce() -> T) -> T {
    /// Restores the outer registry, after a panic too.
    struct Outer(Option<Arc<dyn ObjectStoreRegistry>>);

    impl Drop for Outer {
        fn drop(&mut self) {
            STORES.set(self.0.take());
        }
    }

    let _outer = Outer(STORES.replace(Some(Arc::clone(stores))));
    work()
}

/// # Errors
/// When an object cannot be had and that is an error, or a batch is too large.
pub(super) fn evaluate(call: &BlobCall, args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let name = call.name();
    let [uri] = take_function_args(name, &args.args)?;
    let hidden = call.hidden.clone();
    let hidden = hidden.map(|uri| ColumnarValue::Scalar(ScalarValue::Utf8(Some(uri))));
    let uri = hidden.as_ref().unwrap_or(uri);
    let is_scalar = matches!(uri, ColumnarValue::Scalar(_));
    let uris = uri.to_array(if is_scalar { 1 } else { args.number_rows })?;
    let uris = cast(&uris, &DataType::Utf8View)?.as_string_view().clone();
    let registry = STORES.with_borrow(Clone::clone);
    let Some(registry) = registry.or_else(|| call.registry.clone()) else {
        return exec_err!(
            "{name} has no object stores here; install it with with_featurize or enable_featurize, \
             not with register_all alone"
        );
    };
    let config = &args.config_options;
    let settings = FeaturizeOptions::from_config(config);
    // Every partition may be doing this at the same time.
    let partitions = config.execution.target_partitions.max(1);
    let concurrency = settings.scan_concurrency.div_ceil(partitions);
    let reader = BlobReader::try_new(call, registry, config, concurrency)?;
    let blobs = wait_for(read_all(reader, uris, concurrency))?;
    let column = array(blobs)?;
    Ok(if is_scalar {
        ColumnarValue::Scalar(ScalarValue::try_from_array(&column, 0)?)
    } else {
        ColumnarValue::Array(column)
    })
}

async fn read_all(
    reader: BlobReader,
    uris: StringViewArray,
    concurrency: usize,
) -> Result<Vec<Option<Bytes>>> {
    let (reader, total) = (&reader, &AtomicU64::new(0));
    let blobs = uris.iter().map(|uri| async move {
        let Some(uri) = uri else {
            return Ok(None);
        };
        let mut counted = 0;
        let room = |length: u64| {
            total.fetch_sub(counted, Ordering::Relaxed);
            counted = length;
            total.fetch_add(length, Ordering::Relaxed) + length <= MOST_BYTES
        };
        match reader.read(uri, room).await?.0 {
            Blob::Bytes(bytes) => Ok(Some(bytes)),
            Blob::Null => Ok(None),
            Blob::Larger(_) => exec_err!(
                "read_blob stands where the objects of a whole batch of rows have to be in memory at \
                 once, and these have more than {MOST_BYTES} bytes: read them in the SELECT list of a \
                 subquery, where batches are cut by bytes, or lower datafusion.execution.batch_size"
            ),
        }
    });
    // Collected first: as a stream of borrowing futures it would be too general for a task.
    let blobs: Vec<_> = blobs.collect();
    stream::iter(blobs)
        .buffered(concurrency.max(1))
        .try_collect()
        .await
}

/// Runs `work` on the I/O runtime until it is done or nobody wants it any more.
fn wait_for<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let (sender, done) = sync_channel(1);
    let runtime = io_runtime::handle()?;
    let _entered = runtime.enter();
    let task = SpawnedTask::spawn(async move {
        // Nobody waits any more.
        let _ = sender.send(work.await);
    });
    let token = cancel::current();
    let result = loop {
        match done.recv_timeout(POLL) {
            Ok(result) => break result,
            Err(RecvTimeoutError::Timeout) if !token.is_cancelled() => {}
            Err(RecvTimeoutError::Timeout) => return exec_err!("cancelled"),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(exec_datafusion_err!("reading objects came to a sudden end"));
            }
        }
    };
    drop(task);
    result
}
