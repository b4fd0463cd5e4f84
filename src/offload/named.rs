//! Calls that name the file of an image which they refuse.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::rc::Rc;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, FieldRef, Schema};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, assert_eq_or_internal_err};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateInputMode};
use datafusion::physical_plan::execution_plan::ChildrenPropertiesMode;
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::{ExecutionPlan, ReplaceChildrenOptions};
use datafusion_functions_image::origins;

use crate::binary_file::{CONTENT, FetchExec, PATH};
use crate::blobs::ReadBlobExec;
use crate::object_stores::address::shown;

/// A call over the content of files, and the column that says which file the content of a row is.
#[derive(Debug, Eq)]
pub struct NamedCall {
    call: Arc<dyn PhysicalExpr>,
    path: Arc<dyn PhysicalExpr>,
}

impl NamedCall {
    /// Names the rows of `call` by `path`.
    pub fn new(call: Arc<dyn PhysicalExpr>, path: Arc<dyn PhysicalExpr>) -> Self {
        Self { call, path }
    }
}

// Cannot be derived: https://github.com/rust-lang/rust/issues/78808
impl PartialEq for NamedCall {
    fn eq(&self, other: &Self) -> bool {
        self.call.eq(&other.call) && self.path.eq(&other.path)
    }
}

impl Hash for NamedCall {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.call.hash(state);
        self.path.hash(state);
    }
}

/// The call alone: the path is no argument of it.
impl fmt::Display for NamedCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.call.fmt(f)
    }
}

impl PhysicalExpr for NamedCall {
    fn data_type(&self, schema: &Schema) -> Result<DataType> {
        self.call.data_type(schema)
    }

    fn nullable(&self, schema: &Schema) -> Result<bool> {
        self.call.nullable(schema)
    }

    fn return_field(&self, schema: &Schema) -> Result<FieldRef> {
        self.call.return_field(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let paths = self.path.evaluate(batch)?.into_array(batch.num_rows())?;
        let paths = cast(&paths, &DataType::Utf8View)?;
        let name = move |row| {
            let paths = paths.as_string_view_opt()?;
            (row < paths.len() && paths.is_valid(row)).then(|| shown(paths.value(row)))
        };
        origins::scope(Rc::new(name), || self.call.evaluate(batch))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.call, &self.path]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        assert_eq_or_internal_err!(children.len(), 2, "a named call has a call and a path");
        let path = children.swap_remove(1);
        Ok(Arc::new(Self::new(children.swap_remove(0), path)))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.call.fmt_sql(f)
    }
}

/// `plan` with names for the images of its calls, where the paths of the files can be had beside their
/// content.
///
/// # Errors
/// When the operator cannot be built anew.
pub(super) fn with_names(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        let mut expressions = projection.expr().to_vec();
        let arguments = expressions.iter().map(|projected| &projected.expr);
        let input = with_path(projection.input(), arguments)?;
        for expression in &mut expressions {
            expression.expr = named(&expression.expr, &input)?;
        }
        return Ok(Arc::new(ProjectionExec::try_new(expressions, input)?));
    }
    // In later stages the arguments are not about the columns of the input.
    if let Some(aggregate) = plan.downcast_ref::<AggregateExec>()
        && aggregate.mode().input_mode() == AggregateInputMode::Raw
    {
        let arguments = |call: &Arc<AggregateFunctionExpr>| call.expressions();
        let calls = aggregate.aggr_expr().to_vec();
        let all: Vec<_> = calls.iter().flat_map(arguments).collect();
        let input = with_path(aggregate.input(), all.iter())?;
        let named_call = |call: Arc<AggregateFunctionExpr>| {
            let arguments = call.expressions();
            let named: Result<Vec<_>> = arguments.iter().map(|e| named(e, &input)).collect();
            let order = call.order_bys().iter().map(|by| Arc::clone(&by.expr));
            let renewed = call.with_new_expressions(named?, order.collect());
            Ok(renewed.map_or(call, Arc::new))
        };
        let calls: Result<Vec<_>> = calls.into_iter().map(named_call).collect();
        let aggregate: Arc<dyn ExecutionPlan> = Arc::new(aggregate.with_new_aggr_exprs(calls?));
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        return aggregate.replace_children(vec![input], options);
    }
    if let Some(filter) = plan.downcast_ref::<FilterExec>() {
        let predicate = named(filter.predicate(), filter.input())?;
        let filter = FilterExecBuilder::from(filter).with_predicate(predicate);
        return Ok(Arc::new(filter.build()?));
    }
    Ok(plan)
}

/// `input` with the paths of the files that the calls among `expressions` are about, if it lacks them, as
/// its last column.
fn with_path<'a>(
    input: &Arc<dyn ExecutionPlan>,
    mut expressions: impl Iterator<Item = &'a Arc<dyn PhysicalExpr>>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let is_unnamed = |node: &Arc<dyn PhysicalExpr>| {
        let is_of_file = || {
            let content = content_of(node.as_ref())?;
            let (_, column) = origin(input.as_ref(), content)?;
            Some(column == CONTENT)
        };
        Ok(is_of_file() == Some(true) && path_of(node.as_ref(), input).is_none())
    };
    match expressions.any(|expression| expression.exists(is_unnamed).unwrap_or(false)) {
        true => Ok(widened(input)?.unwrap_or_else(|| Arc::clone(input))),
        false => Ok(Arc::clone(input)),
    }
}

/// A plan that ends in the paths of the files whose rows it has otherwise unchanged, if it can be had.
fn widened(plan: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if let Some(fetch) = plan.downcast_ref::<FetchExec>() {
        let path = fetch.input().schema().field_with_name(PATH)?.clone();
        let schema = fetch.schema();
        let fields = schema.fields().iter().cloned().chain([Arc::new(path)]);
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let fetch = fetch.over(Arc::clone(fetch.input()), schema)?;
        return Ok(Some(Arc::new(fetch)));
    }
    let children = plan.children();
    let [child] = *children.as_slice() else {
        return Ok(None);
    };
    if child.schema() != plan.schema() {
        return Ok(None);
    }
    let Some(child) = widened(child)? else {
        return Ok(None);
    };
    let expected = child.schema();
    let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
    let plan = Arc::clone(plan).replace_children(vec![child], options)?;
    // Not below what names its columns one by one, such as an aggregation.
    Ok(Some(plan).filter(|plan| plan.schema() == expected))
}

fn named(
    expression: &Arc<dyn PhysicalExpr>,
    input: &Arc<dyn ExecutionPlan>,
) -> Result<Arc<dyn PhysicalExpr>> {
    let expression = Arc::clone(expression);
    let named = expression.transform_down(|node| {
        if node.is::<NamedCall>() {
            return Ok(Transformed::new(node, false, TreeNodeRecursion::Jump));
        }
        let Some(path) = path_of(node.as_ref(), input) else {
            return Ok(Transformed::no(node));
        };
        let named: Arc<dyn PhysicalExpr> = Arc::new(NamedCall::new(node, path));
        Ok(Transformed::new(named, true, TreeNodeRecursion::Jump))
    });
    named.data()
}

/// What names, over `input`, the file whose content a call is about.
fn path_of(
    node: &dyn PhysicalExpr,
    input: &Arc<dyn ExecutionPlan>,
) -> Option<Arc<dyn PhysicalExpr>> {
    let content = content_of(node)?;
    if let Some(uri) = uri_of(input.as_ref(), content) {
        return Some(uri);
    }
    let (fetch, column) = origin(input.as_ref(), content)?;
    if column != CONTENT {
        return None;
    }
    let schema = input.schema();
    let mut columns = schema.fields().iter().enumerate();
    columns.find_map(|(index, field)| {
        let (other, column) = origin(input.as_ref(), index)?;
        let is_path = std::ptr::eq(fetch, other) && column == PATH;
        is_path.then(|| Arc::new(Column::new(field.name(), index)) as _)
    })
}

/// The column of images that a call of a network is about.
fn content_of(node: &dyn PhysicalExpr) -> Option<usize> {
    let call = node.downcast_ref::<ScalarFunctionExpr>()?;
    if !datafusion_functions_image::looks_for_cancellation(call.fun()) {
        return None;
    }
    Some(call.args().first()?.downcast_ref::<Column>()?.index())
}

/// What names the objects that a column of `plan` has, which was read just below.
fn uri_of(plan: &dyn ExecutionPlan, index: usize) -> Option<Arc<dyn PhysicalExpr>> {
    let reading = plan.downcast_ref::<ReadBlobExec>()?;
    match index == reading.column() {
        // It keeps the columns of its input in their places.
        true => Some(Arc::clone(reading.uri())),
        false => uri_of(reading.input().as_ref(), index),
    }
}

/// The scan that a column of `plan` comes from, row by row, and its name there. Operators that may put
/// columns of different rows side by side are not looked through.
fn origin(plan: &dyn ExecutionPlan, index: usize) -> Option<(&FetchExec, String)> {
    if let Some(fetch) = plan.downcast_ref::<FetchExec>() {
        let name = fetch.schema().fields().get(index)?.name().clone();
        return Some((fetch, name));
    }
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        let column = projection
            .expr()
            .get(index)?
            .expr
            .downcast_ref::<Column>()?;
        return origin(projection.input().as_ref(), column.index());
    }
    if let Some(filter) = plan.downcast_ref::<FilterExec>() {
        let index = match filter.projection() {
            Some(columns) => *columns.get(index)?,
            None => index,
        };
        return origin(filter.input().as_ref(), index);
    }
    let children = plan.children();
    match *children.as_slice() {
        [child] if child.schema() == plan.schema() => origin(child.as_ref(), index),
        _ => None,
    }
}
