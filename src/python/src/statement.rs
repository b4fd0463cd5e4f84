//! One statement, run as the program runs it.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use datafusion::scalar::ScalarValue;
use datafusion::sql::parser::Statement;
use datafusion_featurize::sql;
use futures::TryStreamExt;

/// Rows that are there, or are computed when they are asked for.
#[derive(Clone)]
pub(crate) enum Rows {
    Planned(LogicalPlan),
    There(SchemaRef, Vec<RecordBatch>),
}

/// Plans a query; runs whatever else it is. None is what a statement without rows gives.
pub(crate) async fn run(
    ctx: SessionContext,
    is_local: bool,
    statement: Statement,
    values: Vec<(String, ScalarValue)>,
) -> Result<Option<Rows>> {
    let rows = Box::pin(rows(&ctx, &statement, values)).await;
    let rows = rows.map_err(|e| sql::explained(&ctx, &statement, e))?;
    if is_local && sql::sets_runtime(&statement) {
        sql::runtime_has_changed(&ctx);
    }
    Ok(rows)
}

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
    if !is_run_now(&plan) {
        return Ok(Some(Rows::Planned(plan)));
    }
    let stream = ctx
        .execute_logical_plan(plan)
        .await?
        .execute_stream()
        .await?;
    let schema = stream.schema();
    let batches = stream.try_collect().await?;
    Ok((!schema.fields().is_empty()).then_some(Rows::There(schema, batches)))
}

/// Whether it does something: to be looked at twice must not do it twice.
fn is_run_now(plan: &LogicalPlan) -> bool {
    matches!(
        plan,
        LogicalPlan::Ddl(_)
            | LogicalPlan::Statement(_)
            | LogicalPlan::Dml(_)
            | LogicalPlan::Copy(_)
            | LogicalPlan::Analyze(_)
    )
}
