//! A session, and the statements that are run in it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::RecordBatch;
use datafusion::catalog::MemTable;
use datafusion::common::TableReference;
use datafusion::prelude::SessionContext;
use datafusion_featurize::report::{self, ReportOptions};
use datafusion_featurize::sql::{self, script};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use pyo3_arrow::input::AnyRecordBatch;

use crate::errors::{ExecutionError, StatementError, raised};
use crate::parameters::parameters;
use crate::progress::{Bar, Watched};
use crate::report::Report;
use crate::result::QueryResult;
use crate::statement::run;
use crate::wait::{is_of_this_process, wait};

/// Most points and thumbnails of a report, as for the program.
const MOST_POINTS: u16 = 10_000;

/// A session: tables, settings, stores. connect() opens one. Threads may share it.
///
/// Its attribute progress says whether statements that take longer than a second show a bar.
#[pyclass(frozen, module = "datafusion_featurize")]
pub(crate) struct Connection {
    ctx: SessionContext,
    watched: Watched,
    /// Whether queries run in this process.
    is_local: bool,
    progress: AtomicBool,
}

impl Connection {
    pub(crate) fn new(ctx: SessionContext, watched: Watched, is_local: bool) -> Self {
        Self {
            ctx,
            watched,
            is_local,
            progress: AtomicBool::new(true),
        }
    }

    fn bar(&self) -> Bar {
        Bar::new(&self.watched, self.progress.load(Ordering::Relaxed))
    }

    /// Each statement of a text.
    fn statements(&self, text: &str) -> PyResult<Vec<String>> {
        let dialect = sql::dialect(&self.ctx).map_err(|e| raised(&e))?;
        let text = script::clean(text, dialect.as_ref());
        let statements = script::split(&text, dialect.as_ref());
        Ok(statements
            .into_iter()
            .map(|cut| cut.sql.to_owned())
            .collect())
    }
}

#[pymethods]
impl Connection {
    /// Runs SQL text: one statement, or several with semicolons between them.
    ///
    /// Gives the result of the last one: a query's is computed when it is asked for; COPY and INSERT have
    /// been run, and give the number of rows; other statements give None. Further arguments are the values
    /// of $name in the text: None, bool, int, float, str, bytes, or a sequence of numbers for a vector.
    ///
    /// >>> con.sql("SELECT path FROM images WHERE length > $least", least=10_000).to_pandas()
    ///
    /// Raises StatementError for what cannot be run, and ExecutionError or ResourcesError for what fails.
    #[pyo3(signature = (text, /, **parameters))]
    pub(crate) fn sql(
        &self,
        py: Python<'_>,
        text: &str,
        parameters: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Option<QueryResult>> {
        is_of_this_process()?;
        let values = self::parameters(parameters)?;
        let mut last = None;
        for statement in self.statements(text)? {
            let Some(statement) = sql::parse(&self.ctx, &statement).map_err(|e| raised(&e))? else {
                continue;
            };
            let mut bar = self.bar();
            let work = run(self.ctx.clone(), self.is_local, statement, values.clone());
            last = wait(py, work, |py| bar.tick(py))?;
        }
        Ok(last.map(|rows| {
            let progress = self.progress.load(Ordering::Relaxed);
            QueryResult::new(self.ctx.clone(), self.watched.clone(), progress, rows)
        }))
    }

    /// Makes anything that gives an Arrow stream a table of this name, in the place of one that is there:
    /// frames of pandas and polars, tables of pyarrow, results. Its rows are those of this moment.
    ///
    /// >>> con.register("labels", pandas.DataFrame({"path": paths, "label": labels}))
    fn register(&self, name: &str, rows: AnyRecordBatch) -> PyResult<()> {
        is_of_this_process()?;
        let (batches, schema) = rows.into_table()?.into_inner();
        let most = self.ctx.copied_config().batch_size();
        let batches = batches
            .iter()
            .flat_map(|batch| slices(batch, most))
            .collect();
        let table = MemTable::try_new(schema, vec![batches]).map_err(|e| raised(&e))?;
        let name = TableReference::parse_str(name);
        let old = self.ctx.deregister_table(name.clone());
        old.and_then(|_| self.ctx.register_table(name, Arc::new(table)))
            .map(drop)
            .map_err(|e| raised(&e))
    }

    /// Draws a report on a table of features, the address of Parquet, and writes it to the file `out` if one
    /// is named. A notebook shows it.
    ///
    /// model is the address of the value of pca_fit (without it a model is fitted), ledger that of the images
    /// that could not be read, with columns path and reason. points and thumbnails are the most that are shown.
    ///
    /// >>> con.report("s3://fruits/Features/", "report.html", title="Fruits")
    #[pyo3(signature = (features, out=None, *, model=None, ledger=None, title=None, points=None,
        thumbnails=None, path_column=None, label_column=None, features_column=None, model_column=None))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn report(
        &self,
        py: Python<'_>,
        features: String,
        out: Option<PathBuf>,
        model: Option<String>,
        ledger: Option<String>,
        title: Option<String>,
        points: Option<u16>,
        thumbnails: Option<u16>,
        path_column: Option<String>,
        label_column: Option<String>,
        features_column: Option<String>,
        model_column: Option<String>,
    ) -> PyResult<Report> {
        let mut options = ReportOptions::new(features);
        options.points = within("points", 1, points.unwrap_or(options.points))?;
        options.thumbnails = within("thumbnails", 0, thumbnails.unwrap_or(options.thumbnails))?;
        (options.model, options.ledger, options.title) = (model, ledger, title);
        (options.path_column, options.label_column) = (path_column, label_column);
        (options.features_column, options.model_column) = (features_column, model_column);
        let ctx = self.ctx.clone();
        let mut bar = self.bar();
        let drawn = async move { Box::pin(report::draw(&ctx, &options)).await };
        let report = wait(py, drawn, |py| bar.tick(py))?;
        if let Some(out) = out {
            std::fs::write(&out, &report.html)
                .map_err(|e| ExecutionError::new_err(format!("out '{}': {e}", out.display())))?;
        }
        Ok(Report::new(report))
    }

    /// Whether statements that take longer than a second show a bar: tqdm's, or a line on stderr.
    #[getter]
    fn progress(&self) -> bool {
        self.progress.load(Ordering::Relaxed)
    }

    #[setter]
    fn set_progress(&self, is_shown: bool) {
        self.progress.store(is_shown, Ordering::Relaxed);
    }

    fn __repr__(&self) -> String {
        let place = if self.is_local {
            "in this process"
        } else {
            "on a cluster"
        };
        format!("<datafusion_featurize.Connection {place}>")
    }
}

/// Operators hold what they make of a batch at once: images of a frame come a few at a time, too.
fn slices(batch: &RecordBatch, most: usize) -> impl Iterator<Item = RecordBatch> {
    let most = most.max(1);
    let starts = (0..batch.num_rows()).step_by(most);
    starts.map(move |start| batch.slice(start, most.min(batch.num_rows() - start)))
}

fn within(name: &str, least: u16, value: u16) -> PyResult<u16> {
    match (least..=MOST_POINTS).contains(&value) {
        true => Ok(value),
        false => Err(StatementError::new_err(format!(
            "{name}: expected {least} to {MOST_POINTS}, found {value}"
        ))),
    }
}
