//! The operator that cuts batches, so that what is computed on them comes out piece by piece.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{StreamExt, TryStreamExt, stream};

use crate::binary_file::ahead::bytes_of_rows;
use crate::config::FeaturizeOptions;
use crate::unary::{passes_rows, unary_methods};

/// Cuts batches of its input to `featurize.scan_batch_rows` rows, or `featurize.checkpoint_rows` if that
/// is less, and to `featurize.scan_batch_bytes` bytes.
///
/// Operators such as joins gather a batch of hundreds of rows, and a projection computes on all of it
/// before anybody sees the first: neither progress, nor a limit, nor a checkpoint.
#[derive(Debug)]
pub struct SmallBatchesExec {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl SmallBatchesExec {
    /// Cuts the batches of `input`.
    pub fn new(input: Arc<dyn ExecutionPlan>) -> Self {
        Self {
            properties: Arc::clone(input.properties()),
            input,
        }
    }

    fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        Ok(Self::new(input))
    }
}

impl DisplayAs for SmallBatchesExec {
    fn fmt_as(&self, t: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        match t {
            DisplayFormatType::Default | DisplayFormatType::Verbose => {
                write!(f, "SmallBatchesExec")
            }
            // The operator's name stands above.
            DisplayFormatType::TreeRender => Ok(()),
        }
    }
}

impl ExecutionPlan for SmallBatchesExec {
    unary_methods!("SmallBatchesExec");
    passes_rows!();

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let settings = FeaturizeOptions::from_config(context.session_config().options());
        let (max_rows, max_bytes) = (settings.batch_rows(), settings.scan_batch_bytes);
        let batches = self.input.execute(partition, context)?;
        let pieces = batches
            .map_ok(move |batch| stream::iter(cut(&batch, max_rows, max_bytes)).map(Ok))
            .try_flatten();
        let stream = RecordBatchStreamAdapter::new(self.schema(), pieces);
        Ok(Box::pin(stream))
    }

    fn supports_limit_pushdown(&self) -> bool {
        true
    }
}

/// Pieces of about the same size; a row that is larger than a piece may be is one of its own.
fn cut(batch: &RecordBatch, max_rows: usize, max_bytes: usize) -> Vec<RecordBatch> {
    let rows = batch.num_rows();
    let bytes = bytes_of_rows(batch);
    let pieces = rows
        .div_ceil(max_rows.max(1))
        .max(bytes.div_ceil(max_bytes.max(1)));
    let size = rows.div_ceil(pieces.max(1)).max(1);
    (0..rows)
        .step_by(size)
        .map(|start| batch.slice(start, size.min(rows - start)))
        .collect()
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array};

    use super::*;

    proptest::proptest! {
        #[test]
        fn nothing_is_lost_and_every_bound_holds(
            rows in 0_i64..500,
            max_rows in 1_usize..100,
            max_bytes in 1_usize..5000,
        ) {
            let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
            let all = RecordBatch::try_from_iter([("x", column)]).unwrap();
            let pieces = cut(&all, max_rows, max_bytes);
            let joined = arrow::compute::concat_batches(&all.schema(), &pieces).unwrap();
            proptest::prop_assert_eq!(joined, all);
            for piece in pieces {
                let rows = piece.num_rows();
                proptest::prop_assert!(rows <= max_rows);
                proptest::prop_assert!(rows == 1 || rows * 8 <= max_bytes + 8);
            }
        }
    }
}
