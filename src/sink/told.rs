//! What is said of data that was there where DataFusion's own writer writes.

use std::fmt;
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{StreamExt, stream};
use object_store::{ObjectStore, ObjectStoreExt};

use super::target::Target;
use crate::NOTICE;
use crate::unary::{passes_rows, unary_methods};

/// Passes rows on, and tells before the first what is in the target already.
#[derive(Debug)]
pub(super) struct ToldExec {
    input: Arc<dyn ExecutionPlan>,
    target: Target,
    properties: Arc<PlanProperties>,
}

impl ToldExec {
    pub(super) fn new(input: Arc<dyn ExecutionPlan>, target: Target) -> Self {
        Self {
            properties: Arc::clone(input.properties()),
            input,
            target,
        }
    }

    fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        Ok(Self::new(input, self.target.clone()))
    }
}

impl DisplayAs for ToldExec {
    fn fmt_as(&self, t: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        match t {
            DisplayFormatType::Default | DisplayFormatType::Verbose => {
                write!(f, "ToldExec: target={}", self.target)
            }
            DisplayFormatType::TreeRender => writeln!(f, "target={}", self.target),
        }
    }
}

impl ExecutionPlan for ToldExec {
    unary_methods!("ToldExec");
    passes_rows!();

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, Arc::clone(&context))?;
        if partition > 0 {
            return Ok(input);
        }
        let store = context.runtime_env().object_store(self.target.store())?;
        let (schema, target) = (input.schema(), self.target.clone());
        let told = stream::once(async move {
            tell(store.as_ref(), &target).await;
            input
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            schema,
            told.flatten(),
        )))
    }
}

/// What cannot be seen is not told: the writer meets it too.
async fn tell(store: &dyn ObjectStore, target: &Target) {
    if target.is_file() {
        if store.head(target.path()).await.is_ok() {
            log::warn!(target: NOTICE, "'{target}' was there and is replaced");
        }
        return;
    }
    if let Ok(Some(_)) = target.any_data_file(store).await {
        log::warn!(
            target: NOTICE,
            "'{target}' held data already, and rows are appended to it; to replace what is there, remove \
             it first, or use STORED AS PARQUET or CSV without PARTITIONED BY"
        );
    }
}
