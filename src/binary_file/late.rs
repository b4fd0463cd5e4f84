//! Content after joins: a job that goes on where it stopped reads nothing of what is done.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{JoinSide, JoinType, Result};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::reassign_expr_columns;
use datafusion::physical_expr::{Partitioning, PhysicalExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::joins::utils::{ColumnIndex, JoinFilter};
use datafusion::physical_plan::joins::{HashJoinExec, HashJoinExecBuilder};
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use datafusion::physical_plan::repartition::RepartitionExec;

use super::fetch::FetchExec;
use super::schema::{CONTENT, LENGTH, PATH};

/// Lets joins that only thin out the rows of a BINARYFILE table (`IN`, `NOT IN`, `EXISTS`) look at the list
/// of its objects, and content be read of those that are left.
///
/// Without it, `WHERE path NOT IN (SELECT path FROM features)` fetches every object, and the join holds
/// those that it has on its building side.
#[derive(Debug, Default)]
pub struct FetchAfterJoins;

impl PhysicalOptimizerRule for FetchAfterJoins {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|plan| {
            let join = plan.downcast_ref::<HashJoinExec>();
            Ok(match join.map(fetched_after).transpose()?.flatten() {
                Some(fetch) => Transformed::yes(fetch),
                None => Transformed::no(plan),
            })
        })
        .data()
    }

    fn name(&self) -> &str {
        "fetch_after_joins"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

type Plan = Arc<dyn ExecutionPlan>;
type Expr = Arc<dyn PhysicalExpr>;

/// The join with the fetch above it; `None` if its rows are not those of a fetch, or it needs content.
fn fetched_after(join: &HashJoinExec) -> Result<Option<Plan>> {
    let kept = match join.join_type() {
        JoinType::LeftSemi | JoinType::LeftAnti => JoinSide::Left,
        JoinType::RightSemi | JoinType::RightAnti => JoinSide::Right,
        _ => return Ok(None),
    };
    if join.projection.is_some() || join.fetch().is_some() {
        return Ok(None);
    }
    let fetched = match kept {
        JoinSide::Left => join.left(),
        _ => join.right(),
    };
    let Some(Unfetched { fetch, list }) = without_fetch(fetched)? else {
        return Ok(None);
    };
    let mut on = join.on().to_vec();
    for (left, right) in &mut on {
        let side = if kept == JoinSide::Left { left } else { right };
        match over_list(side, &list) {
            Some(moved) => *side = moved,
            None => return Ok(None),
        }
    }
    let filter = match join.filter() {
        Some(filter) => match filter_over_list(filter, kept, fetched, &list) {
            Some(filter) => Some(filter),
            None => return Ok(None),
        },
        None => None,
    };
    let (left, right) = match kept {
        JoinSide::Left => (list, Arc::clone(join.right())),
        _ => (Arc::clone(join.left()), list),
    };
    let join = HashJoinExecBuilder::new(left, right, on, *join.join_type())
        .with_filter(filter)
        .with_partition_mode(*join.partition_mode())
        .with_null_equality(join.null_equality())
        .with_null_aware(join.null_aware)
        .build_exec()?;
    let fetch = fetch.over(join, fetched.schema())?;
    Ok(Some(Arc::new(fetch)))
}

/// A plan that makes the rows of a fetch, without content and with what fetching needs.
struct Unfetched<'a> {
    fetch: &'a FetchExec,
    list: Plan,
}

/// The same plan without its fetch, if it is one whose rows are those of a fetch.
fn without_fetch(plan: &Plan) -> Result<Option<Unfetched<'_>>> {
    if let Some(fetch) = plan.downcast_ref::<FetchExec>() {
        let list = Arc::clone(fetch.input());
        return Ok(Some(Unfetched { fetch, list }));
    }
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        return project_list(projection);
    }
    if let Some(gathered) = plan.downcast_ref::<CoalescePartitionsExec>() {
        let below = without_fetch(gathered.input())?;
        return Ok(below.map(|Unfetched { fetch, list }| {
            let list: Plan = Arc::new(CoalescePartitionsExec::new(list));
            Unfetched { fetch, list }
        }));
    }
    let Some(exchange) = plan.downcast_ref::<RepartitionExec>() else {
        return Ok(None);
    };
    let Partitioning::Hash(keys, count) = exchange.partitioning() else {
        return Ok(None);
    };
    let Some(Unfetched { fetch, list }) = without_fetch(exchange.input())? else {
        return Ok(None);
    };
    let keys: Option<Vec<Expr>> = keys.iter().map(|key| over_list(key, &list)).collect();
    let Some(keys) = keys.filter(|_| !exchange.preserve_order()) else {
        return Ok(None);
    };
    let list = RepartitionExec::try_new(list, Partitioning::Hash(keys, *count))?;
    let list: Plan = Arc::new(list);
    Ok(Some(Unfetched { fetch, list }))
}

/// What a projection adds to the rows of a fetch, such as a path that is cast for the join, added to the
/// list; `None` if it computes on content, or gives the columns that fetching needs another meaning.
fn project_list(projection: &ProjectionExec) -> Result<Option<Unfetched<'_>>> {
    let Some(Unfetched { fetch, list }) = without_fetch(projection.input())? else {
        return Ok(None);
    };
    let mut columns = vec![];
    for shown in projection.expr() {
        let column = shown.expr.downcast_ref::<Column>().map(Column::name);
        let is_needed = [PATH, LENGTH, CONTENT].contains(&shown.alias.as_str());
        if is_needed && column != Some(&shown.alias) {
            return Ok(None);
        }
        if column == Some(CONTENT) && is_needed {
            continue;
        }
        match over_list(&shown.expr, &list) {
            Some(expr) => columns.push(ProjectionExpr::new(expr, &shown.alias)),
            None => return Ok(None),
        }
    }
    for needed in [PATH, LENGTH] {
        if columns.iter().all(|column| column.alias != needed) {
            let column = Column::new_with_schema(needed, &list.schema())?;
            columns.push(ProjectionExpr::new(Arc::new(column), needed));
        }
    }
    let list: Plan = Arc::new(ProjectionExec::try_new(columns, list)?);
    Ok(Some(Unfetched { fetch, list }))
}

/// An expression over the rows of a fetch as one over its list, if it does without content.
fn over_list(expression: &Expr, list: &Plan) -> Option<Expr> {
    reassign_expr_columns(Arc::clone(expression), &list.schema()).ok()
}

fn filter_over_list(
    filter: &JoinFilter,
    kept: JoinSide,
    fetched: &Plan,
    list: &Plan,
) -> Option<JoinFilter> {
    let (fetched, list) = (fetched.schema(), list.schema());
    let moved = filter.column_indices().iter().map(|column| {
        let mut column: ColumnIndex = column.clone();
        if column.side == kept {
            let name = fetched.field(column.index).name();
            column.index = list.index_of(name).ok()?;
        }
        Some(column)
    });
    let columns: Option<Vec<ColumnIndex>> = moved.collect();
    let expression = Arc::clone(filter.expression());
    Some(JoinFilter::new(
        expression,
        columns?,
        Arc::clone(filter.schema()),
    ))
}
