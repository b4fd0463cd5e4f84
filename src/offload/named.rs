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
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};
use datafusion::physical_plan::projection::ProjectionExec;
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

/// `plan` with names for the images of its calls, where it has the paths of the files beside their
/// content.
///
/// # Errors
/// When the operator cannot be built anew.
pub(super) fn with_names(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        let mut expressions = projection.expr().to_vec();
        for expression in &mut expressions {
            expression.expr = named(&expression.expr, projection.input())?;
        }
        let input = Arc::clone(projection.input());
        return Ok(Arc::new(ProjectionExec::try_new(expressions, input)?));
    }
    if let Some(filter) = plan.downcast_ref::<FilterExec>() {
        let predicate = named(filter.predicate(), filter.input())?;
        let filter = FilterExecBuilder::from(filter).with_predicate(predicate);
        return Ok(Arc::new(filter.build()?));
    }
    Ok(plan)
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
    let call = node.downcast_ref::<ScalarFunctionExpr>()?;
    if !datafusion_functions_image::looks_for_cancellation(call.fun()) {
        return None;
    }
    let content = call.args().first()?.downcast_ref::<Column>()?;
    if let Some(uri) = uri_of(input.as_ref(), content.index()) {
        return Some(uri);
    }
    let (fetch, column) = origin(input.as_ref(), content.index())?;
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
