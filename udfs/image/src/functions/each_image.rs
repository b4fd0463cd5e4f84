//! What the functions that look at each image by itself have in common.

use arrow::array::ArrayRef;
use datafusion_common::instant::Instant;
use datafusion_common::{Result, ScalarValue};
use datafusion_expr::{ColumnarValue, ScalarFunctionArgs};
use rayon::prelude::*;

use super::images::Images;
use crate::cancel;
use crate::counters;
use crate::decode::DecodeOptions;
use crate::error::Error;
use crate::pool::ComputePool;
use crate::settings::Settings;

/// Calls `work` with the row and the bytes of each image, on the shared pool; NULL where there is none.
/// `is_good` tells, for the counters, whether an image could be decoded.
pub(super) fn each_image<T: Send>(
    function: &str,
    args: &ScalarFunctionArgs,
    work: impl Fn(usize, &[u8], DecodeOptions) -> T + Sync,
    is_good: impl Fn(&T) -> bool,
) -> Result<Vec<Option<T>>> {
    let settings = Settings::try_from_config(&args.config_options)?;
    let Some(content) = args.args.first() else {
        return Ok(Vec::new());
    };
    let content = content.to_array(rows(args))?;
    let images = Images::try_new(&content)?;
    let options = settings.decode_options();
    let pool =
        ComputePool::shared(settings.threads).map_err(|error| error.in_function(function))?;
    let cancel = cancel::current();
    let started = Instant::now();
    let outcomes: Result<Vec<Option<T>>, Error> = pool.run(|| {
        let images = images.rows().into_par_iter().enumerate();
        images
            .map(|(row, image)| {
                cancel.check().map_err(|_| Error::Cancelled)?;
                Ok(image.map(|bytes| work(row, bytes, options)))
            })
            .collect()
    });
    let outcomes = outcomes.map_err(|error| error.in_function(function))?;
    let (good, bad): (Vec<&T>, Vec<&T>) = outcomes.iter().flatten().partition(|&one| is_good(one));
    counters::add_decoded(good.len(), bad.len(), started.elapsed());
    Ok(outcomes)
}

/// Whether every argument is one value for all rows.
fn is_scalar(args: &ScalarFunctionArgs) -> bool {
    let mut args = args.args.iter();
    args.all(|arg| matches!(arg, ColumnarValue::Scalar(_)))
}

/// Rows that are computed: one if all have the same arguments.
pub(super) fn rows(args: &ScalarFunctionArgs) -> usize {
    if is_scalar(args) { 1 } else { args.number_rows }
}

/// The result in the form of the arguments.
pub(super) fn columnar(args: &ScalarFunctionArgs, array: ArrayRef) -> Result<ColumnarValue> {
    Ok(if is_scalar(args) {
        ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?)
    } else {
        ColumnarValue::Array(array)
    })
}
