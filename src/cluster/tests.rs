//! Plans there and back again, without a cluster.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, TableReference};
use datafusion::datasource::listing::ListingTable;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use datafusion::physical_plan::{ExecutionPlan, displayable};
use datafusion::prelude::SessionContext;
use datafusion_proto::logical_plan::{AsLogicalPlan, LogicalExtensionCodec};
use datafusion_proto::physical_plan::AsExecutionPlan;
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use prost::Message;

use super::stored::StoredTable;
use super::stores::{StoreOptions, Stores};
use super::{
    CLUSTER_MESSAGE_BYTES, FeaturizeLogicalCodec, FeaturizePhysicalCodec, scheduler_state,
    session_config,
};
use crate::sink::WriteFormat;
use crate::{BinaryFileOptions, BinaryFileTable};

/// A session as the scheduler has it, with `files` objects in `mem://bucket/`.
async fn session(files: usize) -> SessionContext {
    let ctx = SessionContext::new_with_state(scheduler_state(session_config()).unwrap());
    let store = InMemory::new();
    for file in 0..files {
        let path = Path::from(format!("Training/Apple Red {}/{file}_100.jpg", file % 131));
        let bytes = if files > 10_000 { 1 } else { 10_000 };
        store.put(&path, vec![0; bytes].into()).await.unwrap();
    }
    let url = ObjectStoreUrl::parse("mem://bucket").unwrap();
    ctx.register_object_store(url.as_ref(), Arc::new(store));
    let options = BinaryFileOptions::default()
        .with_recursive_file_lookup(true)
        .with_path_glob_filter("*.jpg")
        .unwrap();
    let table = BinaryFileTable::try_new(&ctx.state(), "mem://bucket/", options).await;
    let table = StoredTable::new(Arc::new(table.unwrap()));
    ctx.register_table("images", Arc::new(table)).unwrap();
    ctx
}

fn shown(plan: &Arc<dyn ExecutionPlan>) -> String {
    displayable(plan.as_ref()).indent(true).to_string()
}

fn encode(plan: &Arc<dyn ExecutionPlan>) -> Vec<u8> {
    let codec = FeaturizePhysicalCodec::default();
    let node = PhysicalPlanNode::try_from_physical_plan(Arc::clone(plan), &codec).unwrap();
    node.encode_to_vec()
}

fn decode(ctx: &SessionContext, bytes: &[u8]) -> Result<Arc<dyn ExecutionPlan>> {
    let node = PhysicalPlanNode::decode(bytes).unwrap();
    node.try_into_physical_plan(&ctx.task_ctx(), &FeaturizePhysicalCodec::default())
}

#[tokio::test]
async fn physical_plans_survive() {
    let ctx = session(20).await;
    for sql in [
        "SELECT * FROM images",
        "SELECT content, length FROM images WHERE length > 2 AND path LIKE '%Apple%'",
        "SELECT path FROM images",
        "SELECT length, try_read_blob(upper(path)) FROM images WHERE read_blob(path) IS NOT NULL",
        "SELECT CASE WHEN length > 1 THEN read_blob(path) END FROM images",
        "SELECT count(featurize(content, 'vgg16', 'seeded')) FROM images
         WHERE path NOT IN (SELECT path FROM images WHERE length = 1)",
        "SELECT pca_fit(featurize(content, 'vgg16', 'seeded'), 0.9) FROM images",
        "SELECT upper(path), count(content) FROM images GROUP BY 1",
        // Ordered by a column that the projection moves.
        "SELECT length, path FROM images ORDER BY path",
        "SELECT length, path FROM images LIMIT 3",
        "SELECT length FROM images UNION ALL SELECT length + 1 FROM images ORDER BY length DESC",
    ] {
        let plan = ctx.sql(sql).await.unwrap();
        let plan = plan.create_physical_plan().await.unwrap();
        let again = decode(&ctx, &encode(&plan)).unwrap();
        assert_eq!(shown(&again), shown(&plan), "{sql}");
        assert_eq!(again.schema(), plan.schema(), "{sql}");
    }
}

#[tokio::test]
async fn logical_plans_survive() {
    let ctx = session(20).await;
    ctx.sql("CREATE TABLE numbers AS VALUES (1, 'a'), (2, NULL)")
        .await
        .unwrap();
    for sql in [
        "SELECT path, content FROM images WHERE length > 2",
        "SELECT column1 + 1, column2 FROM numbers ORDER BY 1",
    ] {
        let plan = ctx.sql(sql).await.unwrap().into_optimized_plan().unwrap();
        let codec = FeaturizeLogicalCodec::default();
        let node = LogicalPlanNode::try_from_logical_plan(&plan, &codec).unwrap();
        let bytes = node.encode_to_vec();
        let node = LogicalPlanNode::decode(bytes.as_slice()).unwrap();
        let again = node.try_into_logical_plan(&ctx.task_ctx(), &codec).unwrap();
        assert_eq!(
            again.display_indent().to_string(),
            plan.display_indent().to_string()
        );
        let rows = |plan| async { ctx.execute_logical_plan(plan).await?.count().await };
        assert_eq!(
            rows(again).await.unwrap(),
            rows(plan).await.unwrap(),
            "{sql}"
        );
    }
}

#[tokio::test]
async fn calls_of_read_blob_take_the_stores_of_the_session_along() {
    let ctx = session(1).await;
    let options = HashMap::from([("aws.secret_access_key".to_owned(), "hush".to_owned())]);
    let mut stores = Stores::default();
    stores.insert("s3://bucket/", StoreOptions::of(&options));
    let sql = "SELECT try_read_blob(path) FROM images";
    let plan = ctx.sql(sql).await.unwrap().into_optimized_plan().unwrap();
    let plan = super::codec_functions::with_stores(plan, &stores).unwrap();
    let codec = FeaturizeLogicalCodec::default();
    let node = LogicalPlanNode::try_from_logical_plan(&plan, &codec).unwrap();
    let plan = node.try_into_logical_plan(&ctx.task_ctx(), &codec).unwrap();
    assert!(!format!("{plan:?}").contains("hush"));
    let plan = ctx.state().create_physical_plan(&plan).await.unwrap();
    let plan = decode(&ctx, &encode(&plan)).unwrap();
    let mut found = None;
    let mut left = vec![Arc::clone(&plan)];
    while let Some(node) = left.pop() {
        if let Some(reading) = node.downcast_ref::<crate::blobs::ReadBlobExec>() {
            found = Some(reading.call().stores.clone());
        }
        left.extend(node.children().into_iter().cloned());
    }
    assert_eq!(found, Some(stores), "{}", shown(&plan));
    assert!(!format!("{plan:?}").contains("hush"));
}

/// With or without stores beside it.
#[tokio::test]
async fn calls_of_read_blob_take_the_address_along_that_plans_do_not_show() {
    let ctx = session(1).await;
    let options = HashMap::from([("aws.region".to_owned(), "x".to_owned())]);
    let mut some = Stores::default();
    some.insert("s3://bucket/", StoreOptions::of(&options));
    let sql = "SELECT read_blob('https://host/a.jpg?sig=hush') FROM images";
    for stores in [Stores::default(), some] {
        let plan = ctx.sql(sql).await.unwrap().into_optimized_plan().unwrap();
        let plan = super::codec_functions::with_stores(plan, &stores).unwrap();
        let codec = FeaturizeLogicalCodec::default();
        let node = LogicalPlanNode::try_from_logical_plan(&plan, &codec).unwrap();
        let plan = node.try_into_logical_plan(&ctx.task_ctx(), &codec).unwrap();
        assert!(!format!("{plan:?}").contains("hush"));
        let mut found = vec![];
        plan.apply_expressions(|expression| {
            expression.apply(|node| {
                if let Expr::ScalarFunction(call) = node
                    && let Some(call) = crate::blobs::BlobCall::of(&call.func)
                {
                    found.push((call.hidden.clone(), call.stores.clone()));
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
        .unwrap();
        let hidden = Some("https://host/a.jpg?sig=hush".to_owned());
        assert_eq!(found, [(hidden, stores)]);
    }
}

#[tokio::test]
async fn stores_travel_with_any_table_and_are_not_shown() {
    let ctx = session(3).await;
    let options = HashMap::from([("aws.secret_access_key".to_owned(), "hush".to_owned())]);
    let mut stores = Stores::default();
    stores.insert("s3://bucket/", StoreOptions::of(&options));
    let inner = ctx.table_provider("images").await.unwrap();
    let inner = Arc::clone(&inner.downcast_ref::<StoredTable>().unwrap().inner);
    let table = StoredTable { inner, stores };
    ctx.register_table("stored", Arc::new(table)).unwrap();
    let plan = ctx.sql("SELECT path FROM stored").await.unwrap();
    let plan = plan.into_optimized_plan().unwrap();
    let codec = FeaturizeLogicalCodec::default();
    let node = LogicalPlanNode::try_from_logical_plan(&plan, &codec).unwrap();
    let again = node.try_into_logical_plan(&ctx.task_ctx(), &codec).unwrap();
    for plan in [&plan, &again] {
        assert!(!format!("{plan:?}").contains("hush"));
    }
    let datafusion::logical_expr::LogicalPlan::TableScan(scan) = &again else {
        panic!("{again}");
    };
    let table = datafusion::datasource::source_as_provider(&scan.source).unwrap();
    let table = table.downcast_ref::<StoredTable>().unwrap();
    assert_eq!(table.stores.urls().collect::<Vec<_>>(), ["s3://bucket"]);
    assert!(table.inner.downcast_ref::<BinaryFileTable>().is_some());
}

/// End to end but for the network: listed, planned, encoded whole and decoded.
#[tokio::test]
async fn a_million_files_are_planned_and_sent() {
    const FILES: usize = 1_000_000;
    let ctx = session(FILES).await;
    ctx.sql("SET datafusion.execution.target_partitions = 16")
        .await
        .unwrap();
    let plan = ctx.sql("SELECT path, content FROM images").await.unwrap();
    let plan = plan.create_physical_plan().await.unwrap();
    assert_eq!(plan.properties().partitioning.partition_count(), 16);
    let bytes = encode(&plan);
    // What all tasks of a query take at once, if one executor gets all of them; and one task.
    assert!(bytes.len() < CLUSTER_MESSAGE_BYTES as usize);
    assert!(bytes.len() / 16 < 16 * 1024 * 1024, "{} bytes", bytes.len());
    let again = decode(&ctx, &bytes).unwrap();
    let statistics = StatisticsContext::new().compute(again.as_ref(), &StatisticsArgs::new());
    assert_eq!(statistics.unwrap().num_rows, Precision::Exact(FILES));
}

/// A million files are a thousand times as many as here.
#[tokio::test]
async fn a_task_takes_about_a_hundred_bytes_a_file() {
    let ctx = session(1000).await;
    let plan = ctx.sql("SELECT path, content FROM images").await.unwrap();
    let plan = plan.create_physical_plan().await.unwrap();
    let empty = session(0)
        .await
        .sql("SELECT path, content FROM images")
        .await
        .unwrap();
    let empty = empty.create_physical_plan().await.unwrap();
    let bytes = encode(&plan).len() - encode(&empty).len();
    assert!(bytes < 1000 * 150, "{} bytes a file", bytes / 1000);
}

/// Without statistics the whole outer table would be collected in one task.
#[tokio::test]
async fn a_scalar_subquery_collects_the_model_and_not_the_images() {
    let ctx = session(20).await;
    ctx.sql(
        "CREATE TABLE model AS SELECT arrow_cast(column1, 'BinaryView') AS pca FROM (VALUES ('m'))",
    )
    .await
    .unwrap();
    let sql = "SELECT path, sha256(content), sha256((SELECT pca FROM model)) FROM images";
    let plan = ctx
        .sql(sql)
        .await
        .unwrap()
        .create_physical_plan()
        .await
        .unwrap();
    let text = shown(&plan);
    let lines: Vec<&str> = text.lines().collect();
    let join = lines
        .iter()
        .position(|line| line.contains("JoinExec"))
        .expect(&text);
    let indent = |line: &str| line.len() - line.trim_start().len();
    let build = lines[join + 1..]
        .iter()
        .skip(1)
        .take_while(|line| indent(line) > indent(lines[join + 1]))
        .chain([&lines[join + 1]]);
    for line in build {
        assert!(!line.contains("FetchExec"), "{text}");
    }
    assert!(
        !text.contains("CoalescePartitionsExec\n    FetchExec"),
        "{text}"
    );
    assert!(
        plan.properties().partitioning.partition_count() > 1,
        "{text}"
    );
}

/// Ballista cuts a source in memory into tasks, and forgets its limit.
#[tokio::test]
async fn sources_in_memory_have_no_limits() {
    let ctx = session(20).await;
    for sql in [
        "SELECT path FROM images LIMIT 3",
        "SELECT content FROM images LIMIT 3",
        "SELECT * FROM (SELECT path FROM images LIMIT 2) UNION ALL (SELECT path FROM images LIMIT 3)",
    ] {
        let plan = ctx.sql(sql).await.unwrap();
        let plan = plan.create_physical_plan().await.unwrap();
        for line in shown(&plan).lines() {
            assert!(
                !(line.contains("DataSourceExec") && line.contains("fetch=")),
                "{line}"
            );
        }
        let text = shown(&plan);
        assert!(
            text.contains("LimitExec") || text.contains("fetch="),
            "{text}"
        );
    }
}

#[tokio::test]
async fn tables_of_files_keep_their_patterns_and_how_they_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let location = folder.path().display();
    std::fs::write(folder.path().join("a1.csv"), "x\n1\n").unwrap();
    std::fs::write(folder.path().join("b1.csv"), "x\n1\n").unwrap();
    let ctx = session(0).await;
    let create = format!(
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '{location}/a*.csv';
         CREATE EXTERNAL TABLE u (x INT) STORED AS PARQUET LOCATION '{location}/u/'
         OPTIONS ('write_mode' 'overwrite', 'num_files' '3')"
    );
    for sql in create.split(';') {
        ctx.sql(sql).await.unwrap();
    }
    let codec = FeaturizeLogicalCodec::default();
    for name in ["t", "u"] {
        let provider = ctx.table_provider(name).await.unwrap();
        let table = Arc::new(StoredTable::new(Arc::clone(&provider)));
        let mut bytes = vec![];
        let reference = TableReference::bare(name);
        codec
            .try_encode_table_provider(&reference, table, &mut bytes)
            .unwrap();
        let again = codec
            .try_decode_table_provider(&bytes, &reference, provider.schema(), &ctx.task_ctx())
            .unwrap();
        let again = &again.downcast_ref::<StoredTable>().unwrap().inner;
        let again = again.downcast_ref::<ListingTable>().unwrap();
        let table = provider.downcast_ref::<ListingTable>().unwrap();
        let paths = |table: &ListingTable| -> Vec<_> {
            let paths = table.table_paths().iter();
            paths
                .map(|path| (path.to_string(), path.get_glob().clone()))
                .collect()
        };
        assert_eq!(paths(again), paths(table));
        assert!(paths(again).iter().all(|(_, pattern)| pattern.is_some()));
        assert_eq!(again.schema(), table.schema());
        let options = |table: &ListingTable| {
            let format = table.options().format.downcast_ref::<WriteFormat>();
            *format.unwrap().options()
        };
        assert_eq!(options(again), options(table));
    }
}
