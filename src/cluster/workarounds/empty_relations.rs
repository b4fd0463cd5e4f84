//! The columns of a relation without rows.
//!
//! # To be filed upstream
//!
//! > **datafusion-proto 55.2: an `EmptyRelation` loses its schema**
//! >
//! > `EmptyRelationNode` has `produce_one_row` only (`proto/src/logical_plan/mod.rs`), so that
//! > `SELECT a FROM t WHERE false`, which the optimizer turns into an `EmptyRelation` with the column `a`, is
//! > decoded as a relation without columns, and what is above it fails to find them. The message should carry
//! > the schema, as that of `EmptyExec` does.

use std::sync::Arc;

use datafusion::arrow::datatypes::Schema;
use datafusion::catalog::MemTable;
use datafusion::common::{DFSchema, Result};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, UNNAMED_TABLE};
use datafusion::prelude::ident;

/// No rows of these columns, as a table in memory.
pub(in crate::cluster) fn no_rows(schema: &DFSchema) -> Result<LogicalPlan> {
    // Several may have the same name, of different tables.
    let name = |i: usize| format!("c{i}");
    let fields = schema.fields().iter().enumerate();
    let fields = fields.map(|(i, field)| field.as_ref().clone().with_name(name(i)));
    let table = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let table = MemTable::try_new(table, vec![vec![]])?;
    let columns = schema.iter().enumerate().map(|(i, (qualifier, field))| {
        ident(name(i)).alias_qualified(qualifier.cloned(), field.name())
    });
    LogicalPlanBuilder::scan(UNNAMED_TABLE, provider_as_source(Arc::new(table)), None)?
        .project(columns)?
        .build()
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::{DataType, Field};
    use datafusion::execution::TaskContext;
    use datafusion::logical_expr::EmptyRelation;
    use datafusion_proto::logical_plan::AsLogicalPlan;
    use datafusion_proto::protobuf::LogicalPlanNode;

    use super::*;
    use crate::cluster::FeaturizeLogicalCodec;

    fn columns_after(plan: &LogicalPlan) -> usize {
        let codec = FeaturizeLogicalCodec::default();
        let node = LogicalPlanNode::try_from_logical_plan(plan, &codec).unwrap();
        let again = node.try_into_logical_plan(&TaskContext::default(), &codec);
        again.unwrap().schema().fields().len()
    }

    #[test]
    fn upstream_still_loses_them() {
        let schema = Schema::new(vec![Field::new("a", DataType::Int64, true)]);
        let schema = Arc::new(DFSchema::try_from(schema).unwrap());
        assert_eq!(columns_after(&no_rows(&schema).unwrap()), 1);
        let empty = LogicalPlan::EmptyRelation(EmptyRelation {
            produce_one_row: false,
            schema,
        });
        assert_eq!(columns_after(&empty), 0, "mended: this file can go");
    }
}
