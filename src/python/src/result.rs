//! What a statement gives.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::util::display::FormatOptions;
use arrow::util::pretty::pretty_format_batches_with_options;
use datafusion::catalog::MemTable;
use datafusion::common::{Result, plan_err};
use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{SessionContext, ident};
use datafusion_featurize::display::{condensed, condensed_schema, fitted, width};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use pyo3_arrow::{PyRecordBatch, PyRecordBatchReader, PySchema, PyTable};

use crate::errors::raised;
use crate::html;
use crate::matrix::matrix;
use crate::progress::{Bar, LastPlan};
use crate::reader::Reader;
use crate::wait::wait;

/// Rows that are there, or are computed when they are asked for.
#[derive(Clone)]
pub(crate) enum Rows {
    Planned(LogicalPlan),
    There(SchemaRef, Vec<RecordBatch>),
}

/// The rows of a statement, of which each call computes what it needs: as Arrow's stream for pandas, polars,
/// pyarrow, DuckDB and whatever else takes one, as a table to look at, or as a matrix.
#[pyclass(frozen, name = "Result", module = "datafusion_featurize")]
pub(crate) struct QueryResult {
    ctx: SessionContext,
    plan: LastPlan,
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
        let reader = PyRecordBatchReader::new(Box::new(self.reader(py, self.frame())?));
        Py::new(py, reader)?.call_method1(py, "__arrow_c_stream__", (requested_schema,))
    }

    /// A pyarrow.Schema.
    #[getter]
    fn schema(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(PySchema::new(self.arrow_schema()).into_pyarrow(py)?.unbind())
    }

    /// Names of the columns.
    #[getter]
    fn columns(&self) -> Vec<String> {
        let schema = self.arrow_schema();
        schema.fields().iter().map(|field| field.name().clone()).collect()
    }

    /// A pyarrow.Table.
    fn to_arrow(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let table = self.table(py, self.frame())?;
        Ok(table.into_pyarrow(py)?.unbind())
    }

    /// A frame of pandas, by pyarrow.
    fn to_pandas(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.to_arrow(py)?.call_method0(py, "to_pandas")
    }

    /// A frame of polars.
    fn to_polars(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let table = Py::new(py, self.table(py, self.frame())?)?;
        Ok(py.import("polars")?.call_method1("DataFrame", (table,))?.unbind())
    }

    /// A column of vectors as a NumPy matrix, a row each; a column of numbers as an array.
    fn to_numpy(&self, py: Python<'_>, column: &str) -> PyResult<Py<PyAny>> {
        let schema = self.arrow_schema();
        let frame = self.frame().and_then(|frame| match schema.field_with_name(column) {
            Ok(_) => frame.select(vec![ident(column)]),
            Err(_) => plan_err!("there is no column {column}; the columns are {}", self.columns().join(", ")),
        });
        let (batches, schema) = self.table(py, frame)?.into_inner();
        let pieces = batches.into_iter().map(|batch| Arc::clone(batch.column(0)));
        let data_type = schema.field(0).data_type();
        Ok(matrix(py, column, data_type, pieces.collect())?.unbind())
    }

    /// Prints the first rows as a table.
    #[pyo3(signature = (rows=20))]
    fn show(&self, py: Python<'_>, rows: usize) -> PyResult<()> {
        let (batch, more) = self.first(py, rows)?;
        let table = text(&batch).map_err(|e| raised(&e))?;
        let more = if more { format!("\nthe first {rows} rows") } else { String::new() };
        py.import("builtins")?.call_method1("print", (table + &more,))?;
        Ok(())
    }

    /// How many rows there are, which computes them.
    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        let frame = self.frame().map_err(|e| raised(&e))?;
        let mut bar = self.bar();
        wait(py, frame.count(), |py| bar.tick(py))
    }

    /// A query is true however many rows it has: to know that would compute them.
    fn __bool__(&self) -> bool {
        true
    }

    /// Batches of rows, each a pyarrow.RecordBatch, as they are computed.
    fn __iter__(&self, py: Python<'_>) -> PyResult<Batches> {
        Ok(Batches(self.reader(py, self.frame())?))
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
        let (batch, more) = self.first(py, html::ROWS)?;
        py.detach(|| html::table(&batch, more)).map_err(|e| raised(&e))
    }
}

impl QueryResult {
    pub(crate) fn new(ctx: SessionContext, plan: LastPlan, progress: bool, rows: Rows) -> Self {
        Self {
            ctx,
            plan,
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

    fn frame(&self) -> Result<DataFrame> {
        match &self.rows {
            Rows::Planned(plan) => Ok(DataFrame::new(self.ctx.state(), plan.clone())),
            Rows::There(schema, batches) => {
                let table = MemTable::try_new(Arc::clone(schema), vec![batches.clone()])?;
                self.ctx.read_table(Arc::new(table))
            }
        }
    }

    fn bar(&self) -> Bar {
        Bar::new(&self.plan, self.progress)
    }

    fn reader(&self, py: Python<'_>, frame: Result<DataFrame>) -> PyResult<Reader> {
        let frame = frame.map_err(|e| raised(&e))?;
        let mut bar = self.bar();
        let stream = wait(py, frame.execute_stream(), |py| bar.tick(py))?;
        Ok(Reader::new(stream, bar))
    }

    fn table(&self, py: Python<'_>, frame: Result<DataFrame>) -> PyResult<PyTable> {
        let mut reader = self.reader(py, frame)?;
        let mut batches = vec![];
        while let Some(batch) = reader.next_batch(py)? {
            batches.push(batch);
        }
        PyTable::try_new(batches, arrow::array::RecordBatchReader::schema(&reader))
    }

    /// At most so many rows, and whether there are more.
    fn first(&self, py: Python<'_>, rows: usize) -> PyResult<(RecordBatch, bool)> {
        let frame = self.frame().and_then(|frame| frame.limit(0, Some(rows.saturating_add(1))));
        let (batches, schema) = self.table(py, frame)?.into_inner();
        let batch = concat_batches(&schema, &batches).map_err(|e| raised(&e.into()))?;
        let shown = batch.slice(0, batch.num_rows().min(rows));
        Ok((shown, batch.num_rows() > rows))
    }
}

/// A table that fits the screen.
fn text(batch: &RecordBatch) -> Result<String> {
    let options = FormatOptions::default().with_null("NULL");
    let schema: SchemaRef = condensed_schema(&Schema::clone(&batch.schema()));
    let condensed = condensed(batch, &options)?.with_schema(schema)?;
    let table = fitted(&condensed, &options, width(), false)?;
    Ok(pretty_format_batches_with_options(&[table], &options)?.to_string())
}

/// The batches of a result, one after the other.
#[pyclass(module = "datafusion_featurize")]
pub(crate) struct Batches(Reader);

#[pymethods]
impl Batches {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(&mut self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let batch = self.0.next_batch(py)?;
        let batch = batch.map(|batch| PyRecordBatch::new(batch).into_pyarrow(py));
        Ok(batch.transpose()?.map(Bound::unbind))
    }
}
