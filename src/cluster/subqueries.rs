//! Queries inside a query that are queries of their own first.
//!
//! A scalar subquery that needs nothing of the rows around it has one value. DataFusion computes it
//! when the plan begins to run and keeps it in the memory of the process, where tasks on other
//! machines cannot read it; Ballista therefore makes joins of such subqueries. These are only made in
//! `SELECT` and `WHERE`, not in arguments of aggregates, `GROUP BY`, `ORDER BY` or windows, and where a
//! subquery has two rows, all rows around it come twice and nobody is told. So the client runs the
//! subquery and writes its value into the plan.
//!
//! A fit that is joined is run first as well. The last step of an aggregate belongs to the stage that
//! consumes it, and where that has a hundred tasks, a hundred tasks would fetch the states of all
//! partitions and decompose the same matrix.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::catalog::MemTable;
use datafusion::common::config::ConfigOptions;
use datafusion::common::metadata::FieldMetadata;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, ScalarValue, exec_err, not_impl_err};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, LogicalPlanBuilder, Subquery};
use datafusion::optimizer::scalar_subquery_to_join::ScalarSubqueryToJoin;
use datafusion::optimizer::{Optimizer, OptimizerContext};

use crate::session::all_default_aggregate_functions;

/// Runs a query.
#[async_trait]
pub(super) trait Run: Send + Sync {
    /// The rows of `plan`.
    async fn run(&self, plan: &LogicalPlan) -> Result<Vec<RecordBatch>>;
}

/// `plan` with the value of each scalar subquery in the place of the subquery.
///
/// # Errors
/// When a subquery has more than one row, or needs the rows around it where no join can be made of it.
pub(super) async fn answer_first(plan: LogicalPlan, runner: &dyn Run) -> Result<LogicalPlan> {
    let mut answers: Vec<(Subquery, Expr)> = vec![];
    for subquery in scalar_subqueries(&plan)? {
        if answers.iter().all(|(other, _)| *other != subquery) {
            let value = value(&subquery, runner.run(&subquery.subquery).await?)?;
            answers.push((subquery, value));
        }
    }
    let answered = plan.transform_down(|node| {
        let names = NamePreserver::new(&node);
        let replaced = node.map_expressions(|expression| {
            let name = names.save(&expression);
            let replaced = expression.transform_down(|e| {
                let Expr::ScalarSubquery(subquery) = &e else {
                    return Ok(Transformed::no(e));
                };
                let found = answers.iter().find(|(other, _)| other == subquery);
                Ok(match found {
                    Some((_, value)) => Transformed::yes(value.clone()),
                    None => Transformed::no(e),
                })
            })?;
            Ok(if replaced.transformed {
                replaced.update_data(|e| name.restore(e))
            } else {
                replaced
            })
        })?;
        if replaced.transformed {
            replaced.map_data(LogicalPlan::recompute_schema)
        } else {
            Ok(replaced)
        }
    })?;
    refuse_subqueries(
        &answered.data,
        "it needs the rows around it; write it as a join",
    )?;
    Ok(answered.data)
}

/// What is explained is not run: there, subqueries become joins.
///
/// # Errors
/// When they cannot.
pub(super) fn explained(plan: LogicalPlan, options: &ConfigOptions) -> Result<LogicalPlan> {
    let mut options = options.clone();
    options
        .optimizer
        .enable_physical_uncorrelated_scalar_subquery = false;
    let context = OptimizerContext::new_with_config_options(Arc::new(options));
    let rules = Optimizer::with_rules(vec![Arc::new(ScalarSubqueryToJoin::new())]);
    let plan = rules.optimize(plan, &context, |_, _| {})?;
    refuse_subqueries(
        &plan,
        "it is run before the query; explain each by itself, with a number in its place, or explain \
         the query without --remote",
    )?;
    Ok(plan)
}

/// Scalar subqueries that need nothing of the rows around them.
fn scalar_subqueries(plan: &LogicalPlan) -> Result<Vec<Subquery>> {
    let mut found = vec![];
    plan.apply(|node| {
        node.apply_expressions(|expression| {
            expression.apply(|e| {
                if let Expr::ScalarSubquery(subquery) = e
                    && subquery.outer_ref_columns.is_empty()
                {
                    found.push(subquery.clone());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(found)
}

/// The one value of a subquery, or NULL if there is none.
fn value(subquery: &Subquery, batches: Vec<RecordBatch>) -> Result<Expr> {
    let (_, field) = subquery.subquery.schema().qualified_field(0);
    let mut batches = batches.into_iter().filter(|batch| batch.num_rows() > 0);
    let value = match (batches.next(), batches.next()) {
        (None, _) => ScalarValue::try_from(field.data_type())?,
        (Some(batch), None) if batch.num_rows() == 1 => {
            let value = ScalarValue::try_from_array(batch.column(0), 0)?;
            value.cast_to(field.data_type())?
        }
        // As the engine of one process says it.
        _ => return exec_err!("Scalar subquery returned more than one row"),
    };
    let metadata = FieldMetadata::new_from_field(field);
    let metadata = Some(metadata).filter(|metadata| !metadata.is_empty());
    Ok(Expr::Literal(value, metadata))
}

/// # Errors
/// When there is a subquery left, which no message can carry.
fn refuse_subqueries(plan: &LogicalPlan, why: &str) -> Result<()> {
    plan.apply(|node| {
        node.apply_expressions(|expression| {
            expression.apply(|e| match e {
                Expr::ScalarSubquery(_)
                | Expr::Exists(_)
                | Expr::InSubquery(_)
                | Expr::SetComparison(_) => not_impl_err!(
                    "on a cluster, the subquery in {expression} cannot stand in {}: {why}",
                    node.display()
                ),
                _ => Ok(TreeNodeRecursion::Continue),
            })
        })
    })?;
    Ok(())
}

/// `plan` with the result of each fit below a join in the place of the fit.
pub(super) async fn fit_first(plan: LogicalPlan, runner: &dyn Run) -> Result<LogicalPlan> {
    let mut fitted: Vec<(Aggregate, LogicalPlan)> = vec![];
    for fit in fits(&plan)? {
        if fitted.iter().any(|(other, _)| *other == fit) {
            continue;
        }
        let batches = runner.run(&LogicalPlan::Aggregate(fit.clone())).await?;
        let schema = match batches.first() {
            Some(batch) => batch.schema(),
            None => Arc::clone(fit.schema.inner()),
        };
        let table = MemTable::try_new(schema, vec![batches])?;
        let source = provider_as_source(Arc::new(table));
        let scan = LogicalPlanBuilder::scan("fit", source, None)?;
        // The names that the query knows the columns by.
        let columns = fit.schema.iter().enumerate().map(|(index, (name, field))| {
            let column = Expr::Column(scan.schema().columns()[index].clone());
            column.alias_qualified(name.cloned(), field.name())
        });
        let columns: Vec<Expr> = columns.collect();
        let scan = scan.project(columns)?.build()?;
        fitted.push((fit, scan));
    }
    let replaced = plan.transform_down_with_subqueries(|node| {
        let LogicalPlan::Aggregate(aggregate) = &node else {
            return Ok(Transformed::no(node));
        };
        let found = fitted.iter().find(|(fit, _)| fit == aggregate);
        Ok(match found {
            Some((_, scan)) => Transformed::new(scan.clone(), true, TreeNodeRecursion::Jump),
            None => Transformed::no(node),
        })
    })?;
    Ok(replaced.data)
}

/// Fits of all rows below joins.
fn fits(plan: &LogicalPlan) -> Result<Vec<Aggregate>> {
    let functions = all_default_aggregate_functions();
    let is_ours = |expression: &Expr| {
        expression.exists(|e| {
            Ok(matches!(e, Expr::AggregateFunction(call)
                if functions.iter().any(|ours| ours.name() == call.func.name())))
        })
    };
    let mut found = vec![];
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Join(join) = node {
            for side in [&join.left, &join.right] {
                side.apply_with_subqueries(|node| {
                    let LogicalPlan::Aggregate(aggregate) = node else {
                        return Ok(TreeNodeRecursion::Continue);
                    };
                    let mut calls = aggregate.aggr_expr.iter().map(is_ours);
                    let fits = calls.try_fold(false, |any, one| one.map(|one| any || one))?;
                    if fits && aggregate.group_expr.is_empty() {
                        found.push(aggregate.clone());
                        return Ok(TreeNodeRecursion::Jump);
                    }
                    Ok(TreeNodeRecursion::Continue)
                })?;
            }
            return Ok(TreeNodeRecursion::Jump);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use datafusion::arrow::util::pretty::pretty_format_batches;
    use datafusion::prelude::{SessionConfig, SessionContext};

    use super::*;
    use crate::session::enable_featurize;

    struct Local {
        ctx: SessionContext,
        runs: AtomicUsize,
    }

    #[async_trait]
    impl Run for Local {
        async fn run(&self, plan: &LogicalPlan) -> Result<Vec<RecordBatch>> {
            self.runs.fetch_add(1, Ordering::Relaxed);
            let frame = self.ctx.execute_logical_plan(plan.clone()).await?;
            frame.collect().await
        }
    }

    #[tokio::test]
    async fn a_fit_in_a_larger_query_is_run_once_and_before_it() {
        // As in a remote session, where subqueries become joins.
        let config = SessionConfig::new().set_bool(
            "datafusion.optimizer.enable_physical_uncorrelated_scalar_subquery",
            false,
        );
        let ctx = SessionContext::new_with_config(config);
        enable_featurize(&ctx).unwrap();
        ctx.sql("CREATE TABLE t AS SELECT [x, y, x * y] AS v FROM (VALUES (1.0, 2.0), (3.0, 1.0), (0.5, 7.0), (2.0, 2.5)) AS r (x, y)")
            .await
            .unwrap();
        for (sql, runs) in [
            (
                "SELECT pca_transform(v, (SELECT pca_fit(v, 2) FROM t)) AS p FROM t",
                1,
            ),
            (
                "SELECT pca_transform(v, (SELECT pca_fit(v, 2) FROM t)) AS p,
                        pca_n_components((SELECT pca_fit(v, 2) FROM t)) AS n FROM t",
                1,
            ),
            ("SELECT pca_n_components(pca_fit(v, 2)) FROM t", 0),
            (
                "SELECT count(*) FROM t JOIN (SELECT count(*) AS n FROM t) ON n > 0",
                0,
            ),
        ] {
            let frame = ctx.sql(sql).await.unwrap();
            let plan = frame.clone().into_optimized_plan().unwrap();
            let local = Local {
                ctx: ctx.clone(),
                runs: AtomicUsize::new(0),
            };
            let rewritten = fit_first(plan, &local).await.unwrap();
            assert_eq!(local.runs.load(Ordering::Relaxed), runs, "{sql}");
            if runs > 0 {
                assert!(fits(&rewritten).unwrap().is_empty(), "{rewritten}");
            }
            let ours = ctx.execute_logical_plan(rewritten).await.unwrap();
            let ours = ours.collect().await.unwrap();
            assert_eq!(ours, frame.collect().await.unwrap(), "{sql}");
        }
    }

    /// A table of numbers, and the same session as a client of a cluster plans in it.
    async fn numbers() -> SessionContext {
        let ctx = SessionContext::new();
        enable_featurize(&ctx).unwrap();
        for sql in [
            "CREATE TABLE t AS SELECT x, x % 3 AS g, [x, x * x % 7] AS v
             FROM (VALUES (1.0), (2.0), (3.0), (4.0), (5.0)) AS r (x)",
            "CREATE TABLE m AS SELECT pca_fit(v, 1) AS p FROM t",
        ] {
            ctx.sql(sql).await.unwrap().collect().await.unwrap();
        }
        ctx
    }

    /// Subqueries in every place of a query, which the tests in `tests/cluster` try on a cluster.
    const PLACES: [&str; 10] = [
        "SELECT x + (SELECT min(x) FROM t) AS y FROM t ORDER BY y",
        "SELECT sum(pca_transform(v, (SELECT p FROM m))[1]) AS s FROM t",
        "SELECT g, sum(x) FILTER (WHERE x > (SELECT avg(x) FROM t)) FROM t GROUP BY g ORDER BY g",
        "SELECT count(*) AS n FROM t GROUP BY x > (SELECT avg(x) FROM t) ORDER BY n",
        "SELECT g, max(x) FROM t GROUP BY g HAVING max(x) > (SELECT avg(x) FROM t) ORDER BY g",
        "SELECT x FROM t WHERE x >= (SELECT avg(x) FROM t) ORDER BY x",
        "SELECT x FROM t ORDER BY abs(x - (SELECT avg(x) + 0.1 FROM t))",
        "SELECT x, sum(x - (SELECT avg(x) FROM t)) OVER (ORDER BY x) FROM t ORDER BY x",
        "SELECT CASE WHEN x > (SELECT avg(x) FROM t) THEN (SELECT max(x) FROM t) ELSE x END AS y
         FROM t ORDER BY y",
        "SELECT sum(x * (SELECT max(x) FROM t WHERE x < (SELECT avg(x) FROM t))) AS s FROM t",
    ];

    #[tokio::test]
    async fn values_stand_in_the_places_of_subqueries() {
        let ctx = numbers().await;
        for sql in PLACES
            .into_iter()
            .chain(["SELECT x, (SELECT max(x) FROM t WHERE x > 9) AS nothing FROM t ORDER BY x"])
        {
            let frame = ctx.sql(sql).await.unwrap();
            let plan = frame.clone().into_optimized_plan().unwrap();
            let schema = Arc::clone(plan.schema());
            let local = Local {
                ctx: ctx.clone(),
                runs: AtomicUsize::new(0),
            };
            let answered = answer_first(plan, &local).await.unwrap();
            assert!(local.runs.load(Ordering::Relaxed) > 0, "{sql}");
            assert!(scalar_subqueries(&answered).unwrap().is_empty(), "{sql}");
            let names = |schema: &datafusion::common::DFSchema| schema.field_names();
            assert_eq!(names(answered.schema()), names(&schema), "{sql}");
            let ours = ctx.execute_logical_plan(answered).await.unwrap();
            let ours = ours.collect().await.unwrap();
            let ours = pretty_format_batches(&ours).unwrap();
            let theirs = frame.collect().await.unwrap();
            let theirs = pretty_format_batches(&theirs).unwrap();
            assert_eq!(ours.to_string(), theirs.to_string(), "{sql}");
        }
    }

    #[tokio::test]
    async fn two_rows_are_no_value() {
        let ctx = numbers().await;
        let frame = ctx
            .sql("SELECT x, (SELECT x FROM t) AS y FROM t")
            .await
            .unwrap();
        let runs = AtomicUsize::new(0);
        let plan = frame.into_optimized_plan().unwrap();
        let error = answer_first(plan, &Local { ctx, runs }).await.unwrap_err();
        assert!(error.to_string().contains("more than one row"), "{error}");
    }

    #[tokio::test]
    async fn what_is_explained_has_joins_or_a_reason() {
        let ctx = numbers().await;
        let options = ctx.copied_config().options().as_ref().clone();
        let plan = async |sql| {
            let frame = ctx.sql(sql).await.unwrap();
            frame.into_optimized_plan().unwrap()
        };
        let [projection, aggregate, ..] = PLACES;
        let joined = explained(plan(projection).await, &options).unwrap();
        assert!(
            joined.display_indent().to_string().contains("Join"),
            "{joined}"
        );
        let error = explained(plan(aggregate).await, &options).unwrap_err();
        assert!(
            error.to_string().contains("explain each by itself"),
            "{error}"
        );
    }
}
