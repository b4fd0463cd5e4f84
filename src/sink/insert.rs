//! NULL among the values of an `INSERT`, of which DataFusion says that "Column 'column2' is declared as
//! non-nullable", although nobody has declared a column of that name.

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::AnalyzerRule;

/// Names the column and the row of a NULL that the table of an `INSERT … VALUES` cannot hold.
#[derive(Debug)]
pub struct InsertedNulls;

impl AnalyzerRule for InsertedNulls {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        plan.apply(|node| {
            if let LogicalPlan::Dml(insert) = node
                && let LogicalPlan::Projection(projection) = insert.input.as_ref()
                && let LogicalPlan::Values(values) = projection.input.as_ref()
            {
                for expr in &projection.expr {
                    let columns = expr.column_refs().into_iter();
                    let indices = columns.filter_map(|c| values.schema.maybe_index_of_column(c));
                    for index in indices.filter(|i| !values.schema.field(*i).is_nullable()) {
                        let mut rows = values.values.iter();
                        if let Some(row) = rows.position(|row| row.get(index).is_some_and(is_null)) {
                            return plan_err!(
                                "column '{}' of '{}' cannot be NULL, as no column of PARTITIONED BY \
                                 and none that is declared NOT NULL can, but row {} of VALUES is; give \
                                 it a value, such as 'none'",
                                expr.qualified_name().1,
                                insert.table_name,
                                row + 1
                            );
                        }
                    }
                }
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(plan)
    }

    fn name(&self) -> &'static str {
        "values_of_insert"
    }
}

fn is_null(value: &Expr) -> bool {
    match value {
        Expr::Literal(value, _) => value.is_null(),
        Expr::Cast(cast) => is_null(&cast.expr),
        Expr::Alias(alias) => is_null(&alias.expr),
        _ => false,
    }
}
