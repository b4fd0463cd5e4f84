//! The SQL of the guides runs as it stands there.

use datafusion::common::{DataFusionError, Result};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_featurize::enable_featurize;

/// What stands between "```sql" and "```".
fn blocks(page: &str) -> impl Iterator<Item = &str> {
    page.split("```sql\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
}

async fn run(page: &str) -> Result<()> {
    let config = SessionConfig::new().with_information_schema(true);
    let ctx = SessionContext::new_with_config(config);
    enable_featurize(&ctx)?;
    let mut statements = 0;
    for sql in blocks(page).flat_map(|block| block.split(";\n")) {
        if sql.trim().is_empty() {
            continue;
        }
        let named = |e: DataFusionError| e.context(sql.to_owned());
        let frame = ctx.sql(sql).await.map_err(named)?;
        frame.collect().await.map_err(named)?;
        statements += 1;
    }
    assert!(statements > 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn porting() -> Result<()> {
    run(include_str!("../../src/guide/porting.md")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn tuning() -> Result<()> {
    run(include_str!("../../src/guide/tuning.md")).await
}
