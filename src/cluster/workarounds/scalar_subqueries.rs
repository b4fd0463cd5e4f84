//! Scalar subqueries, which are queries of their own first.
//!
//! One that needs nothing of the rows around it has one value. DataFusion computes it when the plan begins to
//! run and keeps it in the memory of the process, where tasks on other machines cannot read it, so that Ballista
//! has joins made of such subqueries instead. So the client runs the subquery and writes its value into the plan.
//!
//! # To be filed upstream
//!
//! > **datafusion 55.2, ballista 55.0: joins are made of some scalar subqueries only, and wrongly**
//! >
//! > With `datafusion.optimizer.enable_physical_uncorrelated_scalar_subquery = false`, which Ballista sets,
//! > `ScalarSubqueryToJoin` (`optimizer/src/scalar_subquery_to_join.rs`) looks into projections and filters only:
//! > a subquery in the arguments of an aggregate, `GROUP BY`, `ORDER BY` or a window stays where it is and cannot
//! > be planned. And a subquery with two rows gives each row around it twice instead of the error "more than one
//! > row". With the setting on, a job fails on Ballista: the value of `ScalarSubqueryExec` is in the memory of one
//! > process. Ballista should run such subqueries first and put their values into the plan.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::config::ConfigOptions;
use datafusion::common::metadata::FieldMetadata;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, ScalarValue, exec_err, not_impl_err};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, LogicalPlan, Subquery};
use datafusion::optimizer::scalar_subquery_to_join::ScalarSubqueryToJoin;
use datafusion::optimizer::{Optimizer, OptimizerContext};

/// Runs a part of a query before the query.
#[async_trait]
pub(in crate::cluster) trait Run: Send + Sync {
    /// The rows of `plan`.
    async fn run(&self, plan: &LogicalPlan) -> Result<Vec<RecordBatch>>;
}

/// `plan` with the value of each scalar subquery in the place of the subquery.
///
/// # Errors
/// When a subquery has more than one row, or needs the rows around it where no join can be made of it.
pub(in crate::cluster) async fn answer_first(
    plan: LogicalPlan,
    runner: &dyn Run,
) -> Result<LogicalPlan> {
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
pub(in crate::cluster) fn explained(
    plan: LogicalPlan,
    options: &ConfigOptions,
) -> Result<LogicalPlan> {
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

#[cfg(test)]
pub(super) mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use datafusion::arrow::util::pretty::pretty_format_batches;
    use datafusion::prelude::SessionContext;

    use super::*;
    use crate::session::enable_featurize;

    /// Runs in one process what a client runs on the cluster, and counts.
    pub(in crate::cluster::workarounds) struct Local {
        pub(in crate::cluster::workarounds) ctx: SessionContext,
        pub(in crate::cluster::workarounds) runs: AtomicUsize,
    }

    #[async_trait]
    impl Run for Local {
        async fn run(&self, plan: &LogicalPlan) -> Result<Vec<RecordBatch>> {
            self.runs.fetch_add(1, Ordering::Relaxed);
            let frame = self.ctx.execute_logical_plan(plan.clone()).await?;
            frame.collect().await
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
    async fn upstream_still_gives_rows_twice() {
        let ctx = numbers().await;
        ctx.sql("SET datafusion.optimizer.enable_physical_uncorrelated_scalar_subquery = false")
            .await
            .unwrap();
        let sql = "SELECT x, (SELECT g FROM t WHERE x < 3) AS y FROM t";
        let rows = ctx.sql(sql).await.unwrap().count().await.unwrap();
        assert_eq!(rows, 10, "mended: this file can go");
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
