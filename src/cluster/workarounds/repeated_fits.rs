//! A fit that is joined, which is run first.
//!
//! # To be filed upstream
//!
//! > **ballista-scheduler 55.0: the last step of an aggregate runs in every task of the stage that joins it**
//! >
//! > A final `AggregateExec` without groups belongs to the stage of what consumes it. In
//! > `SELECT f(v, (SELECT agg(v) FROM t)) FROM t` this is the cross join with the table, and where that has a
//! > hundred tasks, a hundred tasks fetch the partial states of all partitions and evaluate the same aggregate:
//! > here, decompose the same matrix. `DefaultDistributedPlanner::plan_query_stages_internal` (`planner.rs`) should
//! > end a stage above the build side of a `CrossJoinExec` and a `NestedLoopJoinExec`, and broadcast its result, as
//! > it does for a `HashJoinExec` that collects its left side.

use std::sync::Arc;

use datafusion::catalog::MemTable;
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, LogicalPlanBuilder};

use super::scalar_subqueries::Run;
use crate::session::all_default_aggregate_functions;

/// `plan` with the result of each fit below a join in the place of the fit.
pub(in crate::cluster) async fn fit_first(
    plan: LogicalPlan,
    runner: &dyn Run,
) -> Result<LogicalPlan> {
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

    use datafusion::prelude::{SessionConfig, SessionContext};

    use super::super::scalar_subqueries::tests::Local;
    use super::*;
    use crate::session::enable_featurize;

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
}
