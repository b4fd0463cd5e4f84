//! The SQL of the guides runs as it stands there, and that for who comes from Python gives the numbers of
//! its original.

use datafusion::arrow::json::ArrayWriter;
use datafusion::common::{DataFusionError, Result};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_featurize::enable_featurize;
use serde_json::Value;

/// What stands between "```sql" and "```".
fn blocks(page: &str) -> impl Iterator<Item = &str> {
    page.split("```sql\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
}

async fn run(page: &str) -> Result<SessionContext> {
    let config = SessionConfig::new().with_information_schema(true);
    let ctx = SessionContext::new_with_config(config);
    enable_featurize(&ctx)?;
    let mut statements = 0;
    for sql in blocks(page).flat_map(|block| block.split(";\n")) {
        if sql.trim().is_empty() {
            continue;
        }
        query(&ctx, sql).await?;
        statements += 1;
    }
    assert!(statements > 0);
    Ok(ctx)
}

/// The rows, as JSON has them.
async fn query(ctx: &SessionContext, sql: &str) -> Result<Vec<Value>> {
    let named = |e: DataFusionError| e.context(sql.to_owned());
    let batches = ctx.sql(sql).await.map_err(named)?.collect().await;
    let mut writer = ArrayWriter::new(vec![]);
    for batch in batches.map_err(named)? {
        writer.write(&batch)?;
    }
    writer.finish()?;
    let rows = serde_json::from_slice(&writer.into_inner());
    Ok(rows.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn tuning() -> Result<()> {
    run(include_str!("../../src/guide/tuning.md")).await?;
    Ok(())
}

/// What the Python of the guide gave for the name of each of its variables (`tests/porting.py`) is what
/// the table or view of that name holds.
///
/// The tolerances are those of the features, which are 32-bit floats that differ from one instruction set
/// to another; on the same features the numbers agree to 1e-9 (`udfs/pca/tests/pca/conventions.rs`).
#[tokio::test(flavor = "multi_thread")]
async fn porting() -> Result<()> {
    let page = include_str!("../../src/guide/porting.md");
    let ctx = run(page).await?;
    let golden: Value = serde_json::from_str(include_str!("../porting.json")).unwrap();

    for (name, expected) in golden["models"].as_object().unwrap() {
        let ratio = format!("SELECT pca_explained_variance_ratio(pca) AS v FROM {name}");
        let found = numbers(&query(&ctx, &ratio).await?[0]["v"]);
        assert_close(name, &found, &numbers(&expected["ratio"]), 1e-6);
        let scores = format!(
            "SELECT pca_transform(features, (SELECT pca FROM {name})) AS v FROM features ORDER BY path"
        );
        let scores = query(&ctx, &scores).await?;
        for (found, expected) in scores.iter().zip(expected["scores"].as_array().unwrap()) {
            // A component has no sign in Spark.
            let absolute = |v: &Value| numbers(v).iter().map(|v| v.abs()).collect::<Vec<_>>();
            let expected = absolute(expected);
            let mut found = absolute(&found["v"]);
            found.truncate(expected.len());
            assert_close(name, &found, &expected, 1e-3);
        }
    }
    for (name, expected) in golden["numbers"].as_object().unwrap() {
        let found = query(&ctx, &format!("SELECT k FROM {name}")).await?;
        assert_eq!(&found[0]["k"], expected, "{name}");
    }

    let labels = blocks(page).next().unwrap().split(";\n").nth(1).unwrap();
    let found = query(&ctx, labels).await?;
    let found: Vec<_> = found
        .iter()
        .map(|row| serde_json::json!([row["label"], row["images"], row["bytes"]]))
        .collect();
    assert_eq!(Value::from(found), golden["labels"]);

    let cells = query(&ctx, "SELECT pca FROM read_back ORDER BY path").await?;
    let expected = golden["cells"].as_array().unwrap();
    for (found, expected) in cells.iter().zip(expected) {
        let count = expected.as_array().unwrap().len();
        let (found, expected) = (numbers(&found["pca"]), numbers(expected));
        assert_close(
            "cells",
            &found[..count].iter().map(|v| v.abs()).collect::<Vec<_>>(),
            &expected.iter().map(|v| v.abs()).collect::<Vec<_>>(),
            1e-3,
        );
    }
    Ok(())
}

fn numbers(values: &Value) -> Vec<f64> {
    let values = values.as_array().unwrap();
    values.iter().map(|v| v.as_f64().unwrap()).collect()
}

#[track_caller]
fn assert_close(name: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{name}");
    let unit = expected.iter().fold(0.0_f64, |most, v| most.max(v.abs()));
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!(
            (f - e).abs() <= tolerance * unit,
            "{name}[{i}] = {f}, expected {e}"
        );
    }
}
