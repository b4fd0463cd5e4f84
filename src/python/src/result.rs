//! What a statement gives.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::{Column, Result};
use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::physical_plan::memory::MemoryStream;
use datafusion::prelude::SessionContext;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use pyo3_arrow::{PyRecordBatch, PyRecordBatchReader, PySchema, PyTable};

use crate::errors::{StatementError, raised};
use crate::html;
use crate::matrix::matrix;
use crate::progress::{Bar, Watched};
use crate::reader::Reader;
use crate::statement::Rows;
use crate::table;
use crate::wait::wait;

/// The rows of a statement, as Arrow's stream for pandas, polars, pyarrow, DuckDB and whatever else takes one, as
/// a table to look at, or as a matrix.
///
/// Each call computes the rows that it needs. Without ORDER BY they come in any order, each time in another:
/// collect() first what is asked for twice, such as features and labels.
#[pyclass(frozen, name = "Result", module = "datafusion_featurize")]
pub(crate) struct QueryResult {
    ctx: SessionContext,
    watched: Watched,
    progress: bool,
    rows: Rows,
}

#[pymethods]
impl QueryResult {
    /// The rows as a stream of the Arrow C data interface, batch by batch.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__(
        &self,
        py: Python<'_>,
        requested_schema: Option<Bound<'_, PyCapsule>>,
    ) -> PyResult<Py<PyAny>> {
        let reader = PyRecordBatchReader::new(Box::new(self.reader(py, &Part::All)?));
        Py::new(py, reader)?.call_method1(py, "__arrow_c_stream__", (requested_schema,))
    }

    /// A pyarrow.Schema.
    #[getter]
    fn schema(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(PySchema::new(self.arrow_schema())
            .into_pyarrow(py)?
            .unbind())
    }

    /// Names of the columns.
    #[getter]
    fn columns(&self) -> Vec<String> {
        let schema = self.arrow_schema();
        schema
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect()
    }

    /// The same rows, computed now and kept in memory: whatever is asked of them comes in one order.
    fn collect(&self, py: Python<'_>) -> PyResult<Self> {
        let (schema, batches) = self.reader(py, &Part::All)?.rest(py)?;
        let rows = Rows::There(schema, batches);
        Ok(Self::new(
            self.ctx.clone(),
            self.watched.clone(),
            self.progress,
            rows,
        ))
    }

    /// A pyarrow.Table.
    fn to_arrow(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(self.table(py)?.into_pyarrow(py)?.unbind())
    }

    /// A frame of pandas, by pyarrow.
    fn to_pandas(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.to_arrow(py)?.call_method0(py, "to_pandas")
    }

    /// A frame of polars.
    fn to_polars(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let polars = py.import("polars")?;
        let table = Py::new(py, self.table(py)?)?;
        Ok(polars.call_method1("DataFrame", (table,))?.unbind())
    }

    /// A column of vectors as a NumPy matrix, a row each; a column of floats as an array.
    ///
    /// >>> features = con.sql("SELECT path, features FROM 'features.parquet'").collect()
    /// >>> features.to_numpy("features").shape
    /// (48, 1280)
    ///
    /// Raises ExecutionError where a vector is NULL, has a NULL in it, or another length than those before.
    fn to_numpy(&self, py: Python<'_>, column: &str) -> PyResult<Py<PyAny>> {
        // Without it the result could be no matrix.
        py.import("numpy")?;
        let schema = self.arrow_schema();
        let index = schema.index_of(column).map_err(|_| {
            let columns = self.columns().join(", ");
            StatementError::new_err(format!(
                "there is no column {column}; the columns are {columns}"
            ))
        })?;
        let (_, batches) = self.reader(py, &Part::Column(index))?.rest(py)?;
        let pieces = batches.into_iter().map(|batch| Arc::clone(batch.column(0)));
        matrix(py, schema.field(index), pieces.collect())
    }

    /// Prints the first rows as a table that fits the screen.
    #[pyo3(signature = (rows=20))]
    fn show(&self, py: Python<'_>, rows: usize) -> PyResult<()> {
        let mut reader = self.reader(py, &Part::First(rows.saturating_add(1)))?;
        let mut table = table::Table::new(&self.arrow_schema(), rows);
        while let Some(batch) = reader.next_batch(py)? {
            table.add(&batch).map_err(|e| raised(&e))?;
        }
        let table = table.text().map_err(|e| raised(&e))?;
        py.import("builtins")?.call_method1("print", (table,))?;
        Ok(())
    }

    /// How many rows there are. To know that, columns are not computed.
    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        match &self.rows {
            Rows::There(_, batches) => Ok(batches.iter().map(RecordBatch::num_rows).sum()),
            Rows::Planned(plan) => {
                let frame = DataFrame::new(self.ctx.state(), plan.clone());
                let mut bar = Bar::new(&self.watched, self.progress);
                wait(py, Box::pin(frame.count()), |py| bar.tick(py))
            }
        }
    }

    /// A result is true however many rows it has.
    fn __bool__(&self) -> bool {
        true
    }

    /// Batches of rows, each a pyarrow.RecordBatch, as they are computed.
    fn __iter__(&self, py: Python<'_>) -> PyResult<Batches> {
        Ok(Batches(Mutex::new(self.reader(py, &Part::All)?)))
    }

    fn __repr__(&self) -> String {
        let schema = self.arrow_schema();
        let columns = schema.fields().iter();
        let columns = columns.map(|field| format!("{}: {}", field.name(), field.data_type()));
        let columns = columns.collect::<Vec<_>>().join(", ");
        format!("<datafusion_featurize.Result {columns}; .show() prints rows>")
    }

    /// The first rows, with small pictures of images.
    fn _repr_html_(&self, py: Python<'_>) -> PyResult<String> {
        let (schema, batches) = self.reader(py, &Part::First(html::ROWS + 1))?.rest(py)?;
        let html = py.detach(|| html::table(&schema, &batches));
        html.map_err(|e| raised(&e))
    }
}

/// What of a result is asked for.
enum Part {
    All,
    Column(usize),
    First(usize),
}

impl QueryResult {
    pub(crate) fn new(ctx: SessionContext, watched: Watched, progress: bool, rows: Rows) -> Self {
        Self {
            ctx,
            watched,
            progress,
            rows,
        }
    }

    fn arrow_schema(&self) -> SchemaRef {
        match &self.rows {
            Rows::Planned(plan) => Arc::clone(plan.schema().inner()),
            Rows::There(schema, _) => Arc::clone(schema),
        }
    }

    fn reader(&self, py: Python<'_>, part: &Part) -> PyResult<Reader> {
        match &self.rows {
            Rows::Planned(plan) => {
                let frame = frame(&self.ctx, plan, part).map_err(|e| raised(&e))?;
                let mut bar = Bar::new(&self.watched, self.progress);
                let stream = wait(py, Box::pin(frame.execute_stream()), |py| bar.tick(py))?;
                Ok(Reader::new(stream, Some(bar)))
            }
            // Not as a table in memory, of which several partitions would read parts at once.
            Rows::There(schema, batches) => {
                let columns = match part {
                    Part::Column(index) => Some(vec![*index]),
                    _ => None,
                };
                let stream = MemoryStream::try_new(batches.clone(), Arc::clone(schema), columns);
                let stream = stream.map_err(|e| raised(&e))?;
                let stream = match part {
                    Part::First(rows) => stream.with_fetch(Some(*rows)),
                    _ => stream,
                };
                Ok(Reader::new(Box::pin(stream), None))
            }
        }
    }

    fn table(&self, py: Python<'_>) -> PyResult<PyTable> {
        let (schema, batches) = self.reader(py, &Part::All)?.rest(py)?;
        PyTable::try_new(batches, schema)
    }
}

fn frame(ctx: &SessionContext, plan: &LogicalPlan, part: &Part) -> Result<DataFrame> {
    let frame = DataFrame::new(ctx.state(), plan.clone());
    match part {
        Part::All => Ok(frame),
        Part::Column(index) => {
            let column = Column::from(plan.schema().qualified_field(*index));
            frame.select(vec![Expr::Column(column)])
        }
        Part::First(rows) => frame.limit(0, Some(*rows)),
    }
}

/// The batches of a result, one after the other.
#[pyclass(module = "datafusion_featurize")]
pub(crate) struct Batches(Mutex<Reader>);

#[pymethods]
impl Batches {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(&mut self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let reader = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        let batch = reader.next_batch(py)?;
        let batch = batch.map(|batch| PyRecordBatch::new(batch).into_pyarrow(py));
        Ok(batch.transpose()?.map(Bound::unbind))
    }
}
