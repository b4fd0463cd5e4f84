//! What happens to a query before it leaves the client, and when it has reached the scheduler.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use ballista_core::config::BallistaConfig;
use ballista_core::planner::{BallistaQueryPlanner, scans_only_information_schema};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::catalog::{MemTable, Session, TableProvider, TableProviderFactory};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, exec_err, not_impl_err};
use datafusion::datasource::listing::ListingTable;
use datafusion::datasource::sink::DataSinkExec;
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::execution::SessionState;
use datafusion::execution::context::QueryPlanner;
use datafusion::logical_expr::{CreateExternalTable, LogicalPlan, TableSource, WriteOp};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};
use datafusion_proto::logical_plan::{AsLogicalPlan, LogicalExtensionCodec};
use datafusion_proto::protobuf::LogicalPlanNode;
use prost::Message;

use super::client::warn_unless_ready;
use super::codec_functions;
use super::codec_logical::FeaturizeLogicalCodec;
use super::errors::mark;
use super::link::Link;
use super::merging::merge_in_trees;
use super::stored::{StoredTable, with_stores};
use super::stores::{StoreOptions, Stores};
use super::workarounds::{
    CancelOnDropExec, CopyFormat, Run, answer_first, explained, fit_first, guard_sorts, no_rows,
};
use crate::binary_file::BinaryFileTable;
use crate::offload::OffloadComputation;

/// The stores of a client's session whose options were given in SQL.
#[derive(Debug, Clone, Default)]
pub(super) struct SessionStores(Arc<Mutex<Stores>>);

impl SessionStores {
    fn note(&self, create: &CreateExternalTable) {
        let mut stores = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for location in &create.locations {
            stores.insert(location, StoreOptions::of(&create.options));
        }
    }

    fn known(&self) -> Stores {
        let stores = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stores.clone()
    }
}

/// A table factory that notes the options of stores.
#[derive(Debug)]
pub(super) struct NotingFactory {
    pub(super) inner: Arc<dyn TableProviderFactory>,
    pub(super) stores: SessionStores,
}

#[async_trait]
impl TableProviderFactory for NotingFactory {
    async fn create(
        &self,
        session: &dyn Session,
        cmd: &CreateExternalTable,
    ) -> Result<Arc<dyn TableProvider>> {
        self.stores.note(cmd);
        self.inner.create(session, cmd).await
    }
}

/// Sends queries to a scheduler.
pub(super) struct ClientPlanner {
    link: Link,
    stores: SessionStores,
    codec: Arc<dyn LogicalExtensionCodec>,
}

impl ClientPlanner {
    pub(super) fn new(link: Link, stores: SessionStores) -> Self {
        Self {
            link,
            stores,
            codec: Arc::<FeaturizeLogicalCodec>::default(),
        }
    }

    /// The plan with everything in it that the scheduler needs.
    fn pack(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        let stores = self.stores.known();
        let packed = plan.transform_down_with_subqueries(|node| match node {
            LogicalPlan::Copy(copy) => {
                let copy = CopyFormat::pack(&copy, &stores)?;
                Ok(Transformed::yes(LogicalPlan::Copy(copy)))
            }
            LogicalPlan::TableScan(mut scan) => match packed_table(&scan.source, &stores) {
                Some(table) => {
                    scan.source = table;
                    Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
                }
                None => Ok(Transformed::no(LogicalPlan::TableScan(scan))),
            },
            LogicalPlan::Dml(mut dml) => match packed_table(&dml.target, &stores) {
                Some(table) => {
                    dml.target = table;
                    Ok(Transformed::yes(LogicalPlan::Dml(dml)))
                }
                None => Ok(Transformed::no(LogicalPlan::Dml(dml))),
            },
            LogicalPlan::EmptyRelation(empty)
                if !empty.produce_one_row && !empty.schema.fields().is_empty() =>
            {
                Ok(Transformed::yes(no_rows(&empty.schema)?))
            }
            LogicalPlan::RecursiveQuery(query) => not_impl_err!(
                "WITH RECURSIVE {} does not run on a cluster, which passes on what a round has found to \
                 no later one; run the statement without --remote",
                query.name
            ),
            node => Ok(Transformed::no(node)),
        });
        codec_functions::with_stores(packed?.data, &stores)
    }

    /// # Errors
    /// When the plan cannot be encoded, or is larger than a message may be.
    fn check(&self, plan: &LogicalPlan, limit: usize) -> Result<()> {
        let plan = match plan {
            LogicalPlan::Analyze(analyze) => analyze.input.as_ref(),
            plan => plan,
        };
        let message = LogicalPlanNode::try_from_logical_plan(plan, self.codec.as_ref())?;
        let bytes = message.encoded_len();
        if bytes > limit {
            return exec_err!(
                "the query takes {bytes} bytes with the in-memory tables that it reads, and a \
                 message to the scheduler has at most {limit}: write the tables to Parquet files \
                 that all machines reach and read those (COPY … TO, CREATE EXTERNAL TABLE), or \
                 raise the limit (SET ballista.client.grpc_max_message_size here, \
                 --grpc-server-max-decoding-message-size of scheduler and executors)"
            );
        }
        Ok(())
    }
}

/// A table with the options of its stores, and with what DataFusion does not encode of it; `None`
/// if it needs neither.
fn packed_table(source: &Arc<dyn TableSource>, known: &Stores) -> Option<Arc<dyn TableSource>> {
    let inner = source_as_provider(source).ok()?;
    let stores = if let Some(table) = inner.downcast_ref::<BinaryFileTable>() {
        known.only(table.stores())
    } else if let Some(table) = inner.downcast_ref::<ListingTable>() {
        let urls: Vec<_> = table
            .table_paths()
            .iter()
            .map(|u| u.object_store())
            .collect();
        known.only(urls.iter())
    } else {
        return None;
    };
    let is_listing = inner.is::<ListingTable>();
    let packed = StoredTable { inner, stores };
    let needed = is_listing || !packed.stores.is_empty();
    needed.then(|| provider_as_source(Arc::new(packed)))
}

impl fmt::Debug for ClientPlanner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientPlanner")
            .field("link", &self.link)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl QueryPlanner for ClientPlanner {
    async fn create_physical_plan(
        &self,
        logical_plan: &LogicalPlan,
        session: &dyn Session,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let extensions = &session.config_options().extensions;
        let config = extensions.get::<BallistaConfig>().cloned();
        let config = config.unwrap_or_default();
        if let LogicalPlan::Dml(dml) = logical_plan
            && let WriteOp::Insert(operation) = dml.op
            && let Ok(table) = source_as_provider(&dml.target)
            && table.is::<MemTable>()
        {
            // The table is here; the rows come from the cluster.
            let rows = self.create_physical_plan(&dml.input, session).await?;
            return table.insert_into(session, rows, operation).await;
        }
        if let LogicalPlan::DescribeTable(_) = logical_plan {
            // Its answer is in the plan.
            let planner = DefaultPhysicalPlanner::default();
            return planner.create_physical_plan(logical_plan, session).await;
        }
        let plan = if scans_only_information_schema(logical_plan)? {
            logical_plan.clone() // Read where it is, which is here.
        } else {
            warn_unless_ready(&self.link).await;
            let runner = OnCluster {
                planner: self,
                session,
            };
            let plan = match logical_plan.clone() {
                plan @ LogicalPlan::Explain(_) => explained(plan, session.config_options())?,
                plan => fit_first(answer_first(plan, &runner).await?, &runner).await?,
            };
            let plan = self.pack(plan)?;
            self.check(&plan, config.grpc_client_max_message_size())?;
            plan
        };
        // Made anew because settings may have changed since the last query.
        let plan = BallistaQueryPlanner::<LogicalPlanNode>::with_extension(
            self.link.url(),
            config,
            Arc::clone(&self.codec),
        )
        .create_physical_plan(&plan, session)
        .await?;
        Ok(CancelOnDropExec::wrap(plan, &self.link))
    }
}

/// Runs parts of a query on the cluster before the query.
struct OnCluster<'a> {
    planner: &'a ClientPlanner,
    session: &'a dyn Session,
}

#[async_trait]
impl Run for OnCluster<'_> {
    async fn run(&self, plan: &LogicalPlan) -> Result<Vec<RecordBatch>> {
        let plan = self
            .planner
            .create_physical_plan(plan, self.session)
            .await?;
        collect(plan, self.session.task_ctx()).await
    }
}

/// Plans on the scheduler: unpacks what [`ClientPlanner`] packed.
#[derive(Debug)]
pub(super) struct SchedulerPlanner;

#[async_trait]
impl QueryPlanner for SchedulerPlanner {
    async fn create_physical_plan(
        &self,
        logical_plan: &LogicalPlan,
        session: &dyn Session,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = plan_on_scheduler(logical_plan, session).await;
        // The client shows it as its own.
        plan.map_err(|e| mark(e, ""))
    }
}

async fn plan_on_scheduler(
    logical_plan: &LogicalPlan,
    session: &dyn Session,
) -> Result<Arc<dyn ExecutionPlan>> {
    let state = session.as_any().downcast_ref::<SessionState>();
    let format = |name: &str| state.and_then(|state| state.get_file_format_factory(name));
    let mut stores = None;
    let unpacked = logical_plan.clone().transform_down_with_subqueries(|node| {
        if let LogicalPlan::Copy(copy) = &node
            && let Some((copy, needed)) = CopyFormat::unpack(copy, format)?
        {
            stores = Some(needed);
            return Ok(Transformed::yes(LogicalPlan::Copy(copy)));
        }
        Ok(Transformed::no(node))
    });
    let stores = stores.filter(|stores: &Stores| !stores.is_empty());
    if let Some(stores) = &stores {
        stores.register(session.runtime_env())?;
    }
    let planner = DefaultPhysicalPlanner::default();
    let plan = planner
        .create_physical_plan(&unpacked?.data, session)
        .await?;
    check_writes(&plan)?;
    let plan = merge_in_trees(guard_sorts(plan)?)?;
    // The adaptive planner leaves the session's own rules out.
    let plan = OffloadComputation.optimize(plan, session.config_options())?;
    match stores {
        Some(stores) => with_stores(plan, &stores),
        None => Ok(plan),
    }
}

/// # Errors
/// When a task of the plan writes files that no commit takes or leaves out.
fn check_writes(plan: &Arc<dyn ExecutionPlan>) -> Result<()> {
    if plan.exists(|node| Ok(node.is::<DataSinkExec>()))? {
        return not_impl_err!(
            "on a cluster, COPY and INSERT write PARQUET and CSV without PARTITIONED BY: of other files, \
             the rows of a task that is run again would be there twice; choose one of these, or run the \
             statement without --remote"
        );
    }
    Ok(())
}
