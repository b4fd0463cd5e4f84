//! A session, and the statements that are run in it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::MemTable;
use datafusion::common::{Result, TableReference};
use datafusion::config::ConfigOptions;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::scalar::ScalarValue;
use datafusion::sql::parser::Statement;
use datafusion_featurize::report::{self, ReportOptions};
use datafusion_featurize::sql::{self, script};
use datafusion_featurize::{SessionStateBuilderFeaturize, enable_url_tables};
use futures::TryStreamExt;
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use pyo3_arrow::input::AnyRecordBatch;

use crate::errors::raised;
use crate::parameters::parameters;
use crate::progress::{Bar, LastPlan};
use crate::report::Report;
use crate::result::{QueryResult, Rows};
use crate::wait::wait;

/// Opens a session in this process, or with remote='df://host:50050' one on a cluster.
///
/// memory_limit is how much memory queries may take, in bytes or as '4G'. Further arguments are settings:
/// weights='seeded' is SET featurize.weights = 'seeded', and **{'datafusion.execution.batch_size': 512}
/// sets one of DataFusion's.
#[pyfunction]
#[pyo3(signature = (memory_limit=None, remote=None, **settings))]
pub(crate) fn connect(
    py: Python<'_>,
    memory_limit: Option<&Bound<'_, PyAny>>,
    remote: Option<String>,
    settings: Option<&Bound<'_, PyDict>>,
) -> PyResult<Connection> {
    let plan = LastPlan::default();
    let config = configured(settings)?;
    let is_local = remote.is_none();
    let ctx = match remote {
        None => local(config, &plan),
        Some(url) => wait(py, cluster(url, config), |_| Ok(()))?,
    };
    enable_url_tables(&ctx);
    let connection = Connection {
        ctx,
        plan,
        is_local,
        progress: AtomicBool::new(true),
    };
    if let Some(limit) = memory_limit {
        let limit = match limit.extract::<u64>() {
            Ok(bytes) => format!("{}K", bytes / 1024),
            Err(_) => limit.str()?.to_string().replace('\'', "''"),
        };
        let set = format!("SET datafusion.runtime.memory_limit = '{limit}'");
        connection.sql(py, &set, None)?;
    }
    Ok(connection)
}

/// Settings of the environment, then those of the call.
fn configured(settings: Option<&Bound<'_, PyDict>>) -> PyResult<SessionConfig> {
    let environment = ConfigOptions::from_env().map_err(|e| raised(&e))?;
    let config = SessionConfig::from(environment).with_information_schema(true);
    let state = SessionStateBuilder::new().with_config(config).with_featurize();
    let mut config = state.build().config().clone();
    for (name, value) in settings.into_iter().flatten() {
        let name: String = name.extract()?;
        let name = match name.contains('.') {
            true => name,
            false => format!("featurize.{name}"),
        };
        let value = match value.extract::<bool>() {
            Ok(value) => value.to_string(),
            Err(_) => value.str()?.to_string(),
        };
        let set = config.options_mut().set(&name, &value);
        set.map_err(|e| raised(&e))?;
    }
    Ok(config)
}

fn local(config: SessionConfig, plan: &LastPlan) -> SessionContext {
    let state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(Arc::new(RuntimeEnv::default()))
        .with_default_features()
        .with_featurize()
        // The last of all rules, or it would not see the plan that is executed.
        .with_physical_optimizer_rule(Arc::new(plan.clone()))
        .build();
    SessionContext::new_with_state(state)
}

#[cfg(feature = "cluster")]
async fn cluster(url: String, config: SessionConfig) -> Result<SessionContext> {
    datafusion_featurize::cluster::remote_session(&url, config, Arc::new(RuntimeEnv::default())).await
}

#[cfg(not(feature = "cluster"))]
async fn cluster(url: String, _config: SessionConfig) -> Result<SessionContext> {
    datafusion::common::exec_err!(
        "this package was built without the feature 'cluster', which remote='{url}' needs: pip install with \
         MATURIN_PEP517_ARGS='--features cluster'"
    )
}

/// A session: tables, settings, stores. Threads may share it.
#[pyclass(frozen, module = "datafusion_featurize")]
pub(crate) struct Connection {
    ctx: SessionContext,
    plan: LastPlan,
    /// Whether queries run in this process.
    is_local: bool,
    progress: AtomicBool,
}

#[pymethods]
impl Connection {
    /// Runs SQL text: one statement, or several with semicolons between them.
    ///
    /// Gives the result of the last one: a query's is computed when it is asked for; COPY and INSERT have
    /// been run, and give the number of rows; other statements give None. Further arguments are the values
    /// of $name in the text.
    #[pyo3(signature = (text, /, **parameters))]
    pub(crate) fn sql(
        &self,
        py: Python<'_>,
        text: &str,
        parameters: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Option<QueryResult>> {
        let values = self::parameters(parameters)?;
        let mut last = None;
        for statement in self.statements(text)? {
            let Some(statement) = sql::parse(&self.ctx, &statement).map_err(|e| raised(&e))? else {
                continue;
            };
            last = self.run(py, statement, values.clone())?;
        }
        Ok(last.map(|rows| {
            let progress = self.progress.load(Ordering::Relaxed);
            QueryResult::new(self.ctx.clone(), self.plan.clone(), progress, rows)
        }))
    }

    /// Makes anything that gives an Arrow stream a table of this name: frames of pandas and polars, tables of
    /// pyarrow, results. Its rows are those of this moment.
    fn register(&self, name: &str, rows: AnyRecordBatch) -> PyResult<()> {
        let (batches, schema) = rows.into_table()?.into_inner();
        let table = MemTable::try_new(schema, vec![batches]).map_err(|e| raised(&e))?;
        let name = TableReference::bare(name.to_owned());
        let old = self.ctx.deregister_table(name.clone());
        old.and_then(|_| self.ctx.register_table(name, Arc::new(table)))
            .map(drop)
            .map_err(|e| raised(&e))
    }

    /// Draws a report on a table of features, the address of Parquet, and writes it to the file `out` if one
    /// is named.
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
        options.points = points.unwrap_or(options.points);
        options.thumbnails = thumbnails.unwrap_or(options.thumbnails);
        (options.model, options.ledger, options.title) = (model, ledger, title);
        (options.path_column, options.label_column) = (path_column, label_column);
        (options.features_column, options.model_column) = (features_column, model_column);
        let ctx = self.ctx.clone();
        let mut bar = self.bar();
        let drawn = async move { Box::pin(report::draw(&ctx, &options)).await };
        let report = wait(py, drawn, |py| bar.tick(py))?;
        if let Some(out) = out {
            std::fs::write(&out, &report.html)
                .map_err(|e| PyOSError::new_err(format!("out '{}': {e}", out.display())))?;
        }
        Ok(Report::new(report))
    }

    /// Whether statements that take long show a bar.
    #[getter]
    fn progress(&self) -> bool {
        self.progress.load(Ordering::Relaxed)
    }

    #[setter]
    fn set_progress(&self, is_shown: bool) {
        self.progress.store(is_shown, Ordering::Relaxed);
    }

    fn __repr__(&self) -> String {
        let place = if self.is_local { "in this process" } else { "on a cluster" };
        format!("<datafusion_featurize.Connection {place}>")
    }
}

impl Connection {
    fn bar(&self) -> Bar {
        Bar::new(&self.plan, self.progress.load(Ordering::Relaxed))
    }

    fn statements(&self, text: &str) -> PyResult<Vec<String>> {
        let dialect = sql::dialect(&self.ctx).map_err(|e| raised(&e))?;
        let text = script::clean(text, dialect.as_ref());
        let statements = script::split(&text, dialect.as_ref());
        Ok(statements.into_iter().map(|cut| cut.sql.to_owned()).collect())
    }

    fn run(
        &self,
        py: Python<'_>,
        statement: Statement,
        values: Vec<(String, ScalarValue)>,
    ) -> PyResult<Option<Rows>> {
        let (ctx, is_local) = (self.ctx.clone(), self.is_local);
        let mut bar = self.bar();
        let work = async move {
            let rows = Box::pin(rows(&ctx, &statement, values)).await;
            if is_local && sql::sets_runtime(&statement) {
                sql::runtime_has_changed(&ctx);
            }
            rows.map_err(|e| sql::explained(&ctx, &statement, e))
        };
        wait(py, work, |py| bar.tick(py))
    }
}

/// Plans a query; runs whatever else it is.
async fn rows(
    ctx: &SessionContext,
    statement: &Statement,
    values: Vec<(String, ScalarValue)>,
) -> Result<Option<Rows>> {
    let Some(prepared) = sql::prepare(ctx, statement).await? else {
        return Ok(None);
    };
    let mut plan = ctx.state().statement_to_plan(prepared).await?;
    if !values.is_empty() {
        plan = plan.with_param_values(values)?;
    }
    let is_run_now = matches!(
        plan,
        LogicalPlan::Ddl(_) | LogicalPlan::Statement(_) | LogicalPlan::Dml(_) | LogicalPlan::Copy(_)
    );
    if !is_run_now {
        return Ok(Some(Rows::Planned(plan)));
    }
    let stream = ctx.execute_logical_plan(plan).await?.execute_stream().await?;
    let schema: SchemaRef = stream.schema();
    let batches = stream.try_collect().await?;
    Ok((!schema.fields().is_empty()).then_some(Rows::There(schema, batches)))
}
