//! Where a [`ReadBlobExec`] goes.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::expressions::{
    BinaryExpr, CastExpr, Column, InListExpr, IsNotNullExpr, IsNullExpr, LikeExpr, NegativeExpr,
    NotExpr, TryCastExpr,
};
use datafusion::physical_expr::utils::{collect_columns, conjunction};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr, split_conjunction};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateInputMode, PhysicalGroupBy};
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};
use datafusion::physical_plan::projection::ProjectionExec;

use super::access::BlobCall;
use super::exec::ReadBlobExec;

/// Takes the calls that are made for every row out of projections, filters and aggregates, and lets a
/// [`ReadBlobExec`] below make them. What a filter can tell without them thins the rows out before.
///
/// It comes before projections are pushed into the sources of files, which would make the calls there.
#[derive(Debug, Default)]
pub struct FetchBlobs;

impl PhysicalOptimizerRule for FetchBlobs {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|plan| {
            let fetching = if let Some(projection) = plan.downcast_ref() {
                below_projection(projection)?
            } else if let Some(filter) = plan.downcast_ref() {
                below_filter(filter)?
            } else if let Some(aggregate) = plan.downcast_ref() {
                below_aggregate(aggregate)?
            } else {
                None
            };
            Ok(match fetching {
                Some(fetching) => Transformed::yes(fetching),
                None => Transformed::no(plan),
            })
        })
        .data()
    }

    fn name(&self) -> &str {
        "fetch_blobs"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

type Plan = Arc<dyn ExecutionPlan>;
type Expr = Arc<dyn PhysicalExpr>;

fn below_projection(projection: &ProjectionExec) -> Result<Option<Plan>> {
    let mut below = Below::new(projection.input());
    let mut expressions = projection.expr().to_vec();
    for expression in &mut expressions {
        expression.expr = below.take(&expression.expr)?;
    }
    if !below.has_calls() {
        return Ok(None);
    }
    Ok(Some(Arc::new(ProjectionExec::try_new(
        expressions,
        below.input,
    )?)))
}

fn below_filter(filter: &FilterExec) -> Result<Option<Plan>> {
    // Only what is surely taken out counts as dear.
    let is_dear = |part: &&Expr| -> Result<bool> {
        let mut trial = Below::new(filter.input());
        trial.take(part)?;
        Ok(trial.has_calls())
    };
    let (mut cheap, mut dear) = (vec![], vec![]);
    for part in split_conjunction(filter.predicate()) {
        match is_dear(&part)? {
            true => dear.push(part),
            false => cheap.push(Arc::clone(part)),
        }
    }
    if dear.is_empty() {
        return Ok(None);
    }
    let mut input = Arc::clone(filter.input());
    if !cheap.is_empty() {
        input = Arc::new(FilterExec::try_new(conjunction(cheap), input)?);
    }
    let columns = input.schema().fields().len();
    let mut below = Below::new(&input);
    let parts: Result<Vec<Expr>> = dear.into_iter().map(|part| below.take(part)).collect();
    let mut dear = FilterExecBuilder::from(filter)
        .with_input(below.input)
        .with_predicate(conjunction(parts?));
    if filter.projection().is_none() {
        dear = dear.apply_projection(Some((0..columns).collect()))?;
    }
    Ok(Some(Arc::new(dear.build()?)))
}

fn below_aggregate(aggregate: &AggregateExec) -> Result<Option<Plan>> {
    if aggregate.mode().input_mode() != AggregateInputMode::Raw {
        return Ok(None);
    }
    let mut below = Below::new(aggregate.input());
    let groups = aggregate.group_expr();
    let mut keys = groups.expr().to_vec();
    for (key, _) in &mut keys {
        *key = below.take(key)?;
    }
    let mut filters = aggregate.filter_expr().to_vec();
    for filter in filters.iter_mut().flatten() {
        *filter = below.take(filter)?;
    }
    let mut functions = aggregate.aggr_expr().to_vec();
    for function in &mut functions {
        if let Some(taken) = taken_from(function, &mut below)? {
            *function = Arc::new(taken);
        }
    }
    if !below.has_calls() {
        return Ok(None);
    }
    let groups = PhysicalGroupBy::new(
        keys,
        groups.null_expr().to_vec(),
        groups.groups().to_vec(),
        groups.has_grouping_set(),
    );
    let schema = below.input.schema();
    let above = AggregateExec::try_new(
        *aggregate.mode(),
        groups,
        functions,
        filters,
        below.input,
        schema,
    )?;
    let above = above.with_limit_options(aggregate.limit_options());
    Ok(Some(Arc::new(above)))
}

fn taken_from(
    function: &AggregateFunctionExpr,
    below: &mut Below,
) -> Result<Option<AggregateFunctionExpr>> {
    let all = function.all_expressions();
    let mut take = |expressions: Vec<Expr>| -> Result<Vec<Expr>> {
        expressions.iter().map(|e| below.take(e)).collect()
    };
    let (args, order) = (take(all.args)?, take(all.order_by_exprs)?);
    Ok(function.with_new_expressions(args, order))
}

/// An input with the operators above it that make the calls taken so far.
struct Below {
    input: Plan,
    calls: Vec<(BlobCall, Expr, Column)>,
}

impl Below {
    fn new(input: &Plan) -> Self {
        Self {
            input: Arc::clone(input),
            calls: vec![],
        }
    }

    fn has_calls(&self) -> bool {
        !self.calls.is_empty()
    }

    /// `expression` with columns for the calls in it that are made for every row.
    fn take(&mut self, expression: &Expr) -> Result<Expr> {
        let always = always_evaluated(expression.as_ref());
        let mut children: Vec<Expr> = expression.children().into_iter().cloned().collect();
        let mut has_changed = false;
        for child in children.iter_mut().take(always) {
            let taken = self.take(child)?;
            has_changed |= !Arc::ptr_eq(&taken, child);
            *child = taken;
        }
        let expression = match has_changed {
            true => Arc::clone(expression).with_new_children(children)?,
            false => Arc::clone(expression),
        };
        let function = expression.downcast_ref::<ScalarFunctionExpr>();
        let call = function.and_then(|function| Some((BlobCall::of(function.fun())?, function)));
        let Some((call, function)) = call else {
            return Ok(expression);
        };
        match function.args() {
            [uri] if may_run_in_background(uri)? => {
                let (call, uri) = (call.clone(), Arc::clone(uri));
                Ok(Arc::new(self.column(call, uri)?))
            }
            _ => Ok(expression),
        }
    }

    /// The column of a call, the same for the same call.
    fn column(&mut self, call: BlobCall, uri: Expr) -> Result<Column> {
        let mut taken = self.calls.iter();
        if let Some((_, _, column)) = taken.find(|(other, of, _)| *other == call && of.eq(&uri)) {
            return Ok(column.clone());
        }
        let input = Arc::clone(&self.input);
        let reading = ReadBlobExec::try_new(input, Arc::clone(&uri), call.clone())?;
        let index = reading.column();
        let column = Column::new(reading.schema().field(index).name(), index);
        self.input = Arc::new(reading);
        self.calls.push((call, uri, column.clone()));
        Ok(column)
    }
}

/// How many of its children an expression evaluates for every row, from the first on. Of expressions that
/// are not known here, none.
fn always_evaluated(expression: &dyn PhysicalExpr) -> usize {
    if let Some(function) = expression.downcast_ref::<ScalarFunctionExpr>() {
        return match function.fun().short_circuits() {
            true => 0,
            false => function.args().len(),
        };
    }
    if let Some(binary) = expression.downcast_ref::<BinaryExpr>() {
        return match binary.op() {
            Operator::And | Operator::Or => 1,
            _ => 2,
        };
    }
    let is_plain = expression.is::<CastExpr>()
        || expression.is::<TryCastExpr>()
        || expression.is::<IsNullExpr>()
        || expression.is::<IsNotNullExpr>()
        || expression.is::<NotExpr>()
        || expression.is::<NegativeExpr>()
        || expression.is::<LikeExpr>()
        || expression.is::<InListExpr>();
    if is_plain { usize::MAX } else { 0 }
}

/// Whether an expression has something of the row in it, and nothing that takes long: two threads do all
/// the waiting of a process.
fn may_run_in_background(uri: &Expr) -> Result<bool> {
    let takes_long = uri.exists(|node| {
        let function = node.downcast_ref::<ScalarFunctionExpr>();
        Ok(function.is_some_and(|function| {
            let function = function.fun();
            BlobCall::of(function).is_some()
                || datafusion_functions_image::looks_for_cancellation(function)
        }))
    })?;
    Ok(!takes_long && !collect_columns(uri).is_empty())
}
