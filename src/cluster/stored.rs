//! A table and an operator that take along what DataFusion's encoding of them leaves out.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Constraints, Result};
use datafusion::datasource::listing::ListingTable;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::dml::InsertOp;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};

use super::stores::Stores;
use super::workarounds::without_projections;
use crate::sink::PartWriterExec;
use crate::unary::{passes_rows, unary_methods};

/// A table whose stores are registered by whoever scans it or writes to it. Tables of files are
/// encoded with their patterns and options of writing.
#[derive(Debug)]
pub(super) struct StoredTable {
    pub(super) inner: Arc<dyn TableProvider>,
    pub(super) stores: Stores,
}

impl StoredTable {
    pub(super) fn new(inner: Arc<dyn TableProvider>) -> Self {
        let stores = Stores::default();
        Self { inner, stores }
    }
}

#[async_trait]
impl TableProvider for StoredTable {
    fn schema(&self) -> SchemaRef {
        self.inner.schema()
    }

    fn constraints(&self) -> Option<&Constraints> {
        self.inner.constraints()
    }

    fn table_type(&self) -> TableType {
        self.inner.table_type()
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        self.inner.supports_filters_pushdown(filters)
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.stores.register(session.runtime_env())?;
        let scan = self.inner.scan(session, projection, filters, limit).await?;
        if self.inner.is::<ListingTable>() {
            return with_stores(scan, &self.stores);
        }
        let scan = without_projections(scan)?;
        Ok(Arc::new(WithStoresExec::new(scan, self.stores.clone())))
    }

    async fn insert_into(
        &self,
        session: &dyn Session,
        input: Arc<dyn ExecutionPlan>,
        operation: InsertOp,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.stores.register(session.runtime_env())?;
        let write = self.inner.insert_into(session, input, operation).await?;
        with_stores(write, &self.stores)
    }
}

/// Lets every machine that executes a part of `plan` register `stores`: writing is cut in two
/// between the part writers and the commit.
pub(super) fn with_stores(
    plan: Arc<dyn ExecutionPlan>,
    stores: &Stores,
) -> Result<Arc<dyn ExecutionPlan>> {
    if stores.is_empty() {
        return Ok(plan);
    }
    let wrap =
        |plan| -> Arc<dyn ExecutionPlan> { Arc::new(WithStoresExec::new(plan, stores.clone())) };
    let plan = plan.transform_up(|node| {
        Ok(if node.is::<PartWriterExec>() {
            Transformed::yes(wrap(node))
        } else {
            Transformed::no(node)
        })
    })?;
    Ok(wrap(plan.data))
}

/// Registers stores on the machine that it is executed on, before its input is.
///
/// Limits and projections stay above it, which sources in memory would lose (`workarounds`).
#[derive(Debug)]
pub(super) struct WithStoresExec {
    input: Arc<dyn ExecutionPlan>,
    stores: Stores,
    properties: Arc<PlanProperties>,
}

impl WithStoresExec {
    pub(super) fn new(input: Arc<dyn ExecutionPlan>, stores: Stores) -> Self {
        Self {
            properties: Arc::clone(input.properties()),
            input,
            stores,
        }
    }

    fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        Ok(Self::new(input, self.stores.clone()))
    }

    pub(super) fn stores(&self) -> &Stores {
        &self.stores
    }
}

impl DisplayAs for WithStoresExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let urls: Vec<&str> = self.stores.urls().collect();
        write!(f, "WithStoresExec: stores=[{}]", urls.join(", "))
    }
}

impl ExecutionPlan for WithStoresExec {
    unary_methods!("WithStoresExec");
    passes_rows!();

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        self.stores.register(&context.runtime_env())?;
        self.input.execute(partition, context)
    }
}
