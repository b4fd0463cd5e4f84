//! `CAST(features AS VARCHAR)` for lists of a fixed size, as Lance, polars and NumPy write them.
//!
//! Arrow 59 casts a list to text, but not one of a fixed size; here it becomes a list first.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::{Cast, TryCast};
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::analyzer::function_rewrite::ApplyFunctionRewrites;

/// Makes lists of a fixed size that are cast to text lists before.
#[derive(Debug)]
pub(crate) struct FixedSizeListsAsText;

impl AnalyzerRule for FixedSizeListsAsText {
    fn analyze(&self, plan: LogicalPlan, config: &ConfigOptions) -> Result<LogicalPlan> {
        ApplyFunctionRewrites::new(vec![Arc::new(Self)]).analyze(plan, config)
    }

    fn name(&self) -> &'static str {
        "fixed_size_lists_as_text"
    }
}

impl FunctionRewrite for FixedSizeListsAsText {
    fn name(&self) -> &'static str {
        "fixed_size_lists_as_text"
    }

    fn rewrite(
        &self,
        mut expr: Expr,
        schema: &DFSchema,
        _config: &ConfigOptions,
    ) -> Result<Transformed<Expr>> {
        let (Expr::Cast(Cast { expr: inner, field })
        | Expr::TryCast(TryCast { expr: inner, field })) = &mut expr
        else {
            return Ok(Transformed::no(expr));
        };
        let list = match field.data_type().is_string() {
            // What has no type yet is somebody else's to report.
            true => inner.get_type(schema).ok().and_then(|t| of_any_size(&t)),
            false => None,
        };
        let Some(list) = list else {
            return Ok(Transformed::no(expr));
        };
        let fixed = std::mem::take(&mut **inner);
        **inner = Expr::Cast(Cast::new(Box::new(fixed), list));
        Ok(Transformed::yes(expr))
    }
}

/// The type with lists for the lists of a fixed size, if there are any in it.
fn of_any_size(data_type: &DataType) -> Option<DataType> {
    let (item, is_fixed) = match data_type {
        DataType::FixedSizeList(item, _) => (item, true),
        DataType::List(item) => (item, false),
        _ => return None,
    };
    let inner = of_any_size(item.data_type());
    if inner.is_none() && !is_fixed {
        return None;
    }
    let inner = inner.unwrap_or_else(|| item.data_type().clone());
    let item = item.as_ref().clone().with_data_type(inner);
    Some(DataType::List(Arc::new(item)))
}
