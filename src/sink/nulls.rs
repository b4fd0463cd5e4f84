//! NULL in columns of `PARTITIONED BY`, which DataFusion's own writer and reader lose.
//!
//! The writer looks at the values of an array without asking which of them are NULL, and makes the
//! folder `column=`, which is read as the empty text. The reader takes
//! `column=__HIVE_DEFAULT_PARTITION__`, which is NULL where Hive or Spark have written, for that text.
//! Both are errors here, and so is this text where it is to be written: everybody else reads it as NULL.

use std::fmt;
use std::sync::Arc;

use crate::unary::{passes_rows, unary_methods};
use arrow::array::{Array, ArrayRef, RecordBatch, StringViewArray};
use arrow::compute::cast;
use arrow::compute::kernels::cmp::eq;
use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::TryStreamExt;

/// What Hive and Spark call the folder of NULL.
const NULL_PARTITION: &str = "__HIVE_DEFAULT_PARTITION__";

/// # Errors
/// When a file that is read lies in a folder of NULL.
pub(super) fn refuse_null_partitions(scan: &FileScanConfig) -> Result<()> {
    let is_null = |value: &ScalarValue| value.try_as_str().flatten() == Some(NULL_PARTITION);
    let mut files = scan.file_groups.iter().flat_map(|group| group.files());
    let Some(file) = files.find(|file| file.partition_values.iter().any(is_null)) else {
        return Ok(());
    };
    plan_err!(
        "'{}' lies in a folder of {NULL_PARTITION}, which is NULL, but would be read as this text. \
         Read the other rows with WHERE <column> <> '{NULL_PARTITION}', and these from a table of \
         their own, with that folder as its LOCATION",
        file.object_meta.location
    )
}

/// Passes rows on, and fails at the first that has NULL in one of some columns.
#[derive(Debug)]
pub(crate) struct NotNullExec {
    input: Arc<dyn ExecutionPlan>,
    columns: Vec<String>,
    properties: Arc<PlanProperties>,
}

impl NotNullExec {
    /// `input` itself if its schema says already that none of the columns holds NULL, or what is read
    /// as NULL.
    ///
    /// # Errors
    /// When there is no such column.
    pub(super) fn wrap(
        input: Arc<dyn ExecutionPlan>,
        mut columns: Vec<String>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = input.schema();
        for name in &columns {
            schema.field_with_name(name)?;
        }
        columns.retain(|name| {
            let field = schema.field_with_name(name);
            field.is_ok_and(|field| field.is_nullable() || field.data_type().is_string())
        });
        Ok(match columns.is_empty() {
            true => input,
            false => Arc::new(Self::new(input, columns)),
        })
    }

    pub(crate) fn new(input: Arc<dyn ExecutionPlan>, columns: Vec<String>) -> Self {
        Self {
            properties: Arc::clone(input.properties()),
            input,
            columns,
        }
    }

    fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        Ok(Self::new(input, self.columns.clone()))
    }

    #[cfg(feature = "cluster")]
    pub(crate) fn columns(&self) -> &[String] {
        &self.columns
    }
}

fn check(batch: &RecordBatch, columns: &[String]) -> Result<()> {
    for name in columns {
        let Some(column) = batch.column_by_name(name) else {
            continue;
        };
        if column.data_type().is_string() && has_text(column, NULL_PARTITION)? {
            return exec_err!(
                "column '{name}', which the target is PARTITIONED BY, holds the text \
                 '{NULL_PARTITION}', which readers of such folders take for NULL; give these rows \
                 another value, or leave them out (rows that came before may have been written)"
            );
        }
        let nulls = column.logical_null_count();
        if nulls > 0 {
            return exec_err!(
                "column '{name}' is NULL in {nulls} of {} rows, but the target is PARTITIONED BY it: \
                 they would be written to the folder '{name}=', which is read as the empty text. \
                 Give them a value, as by coalesce({name}, 'none'), or leave them out (rows that came \
                 before may have been written)",
                batch.num_rows()
            );
        }
    }
    Ok(())
}

fn has_text(column: &ArrayRef, text: &str) -> Result<bool> {
    let text = StringViewArray::new_scalar(text);
    let equal = eq(&cast(column, &DataType::Utf8View)?, &text)?;
    Ok(equal.true_count() > 0)
}

impl DisplayAs for NotNullExec {
    fn fmt_as(&self, t: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let columns = self.columns.join(", ");
        match t {
            DisplayFormatType::Default | DisplayFormatType::Verbose => {
                write!(f, "NotNullExec: columns=[{columns}]")
            }
            DisplayFormatType::TreeRender => writeln!(f, "columns=[{columns}]"),
        }
    }
}

impl ExecutionPlan for NotNullExec {
    unary_methods!("NotNullExec");
    passes_rows!();

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        let schema = input.schema();
        let columns = self.columns.clone();
        let checked = input.and_then(move |batch| {
            let result = check(&batch, &columns).map(|()| batch);
            futures::future::ready(result)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, checked)))
    }
}
