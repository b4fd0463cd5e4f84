//! ONNX files in SQL; without `ORT_DYLIB_PATH`, there is nothing to run them.

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::Float32Type;
use datafusion::arrow;
use datafusion::prelude::SessionContext;
use datafusion_featurize::enable_featurize;

fn data(name: &str) -> String {
    format!(
        "{}/udfs/image/tests/data/onnx/{name}",
        env!("CARGO_MANIFEST_DIR")
    )
}

async fn run(ctx: &SessionContext, sql: &str) -> RecordBatch {
    let batches = ctx.sql(sql).await.unwrap().collect().await.unwrap();
    concat_batches(&batches[0].schema(), &batches).unwrap()
}

async fn error(ctx: &SessionContext, sql: &str) -> String {
    let frame = match ctx.sql(sql).await {
        Ok(frame) => frame,
        Err(error) => return error.to_string(),
    };
    frame.collect().await.unwrap_err().to_string()
}

async fn images() -> SessionContext {
    let ctx = SessionContext::new();
    enable_featurize(&ctx).unwrap();
    let sql = "CREATE EXTERNAL TABLE images STORED AS BINARYFILE LOCATION 'examples/fruits/Lemon/'";
    ctx.sql(sql).await.unwrap();
    ctx
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_a_model() {
    if std::env::var_os("ORT_DYLIB_PATH").is_none() {
        println!("skipped: ORT_DYLIB_PATH names no library of ONNX Runtime");
        return;
    }
    let (ctx, free) = (images().await, data("free.onnx"));
    let rows = run(
        &ctx,
        &format!("SELECT featurize(content, '{free}') AS f FROM images"),
    )
    .await;
    assert_eq!(rows.num_rows(), 6);
    let lists = rows.column(0).as_list::<i32>();
    assert!(lists.iter().all(|list| list.unwrap().len() == 5));
    let schema = rows.schema();
    let metadata = schema.field(0).metadata();
    assert_eq!(metadata["featurize.model"], free);
    // Another output, by the argument and by the setting.
    let map = format!("featurize(content, '{free}', weights => NULL, pooling => 'map') AS f");
    let rows = run(&ctx, &format!("SELECT {map} FROM images")).await;
    let lists = rows.column(0).as_list::<i32>();
    assert!(lists.iter().all(|list| list.unwrap().len() == 8 * 16 * 16));
    assert_eq!(
        rows.schema().field(0).metadata()["featurize.pooling"],
        "map"
    );
    run_all(&ctx, &[&format!("SET featurize.model = '{free}'")]).await;
    let rows = run(
        &ctx,
        "SELECT featurize(content, NULL, NULL, 'map') AS f FROM images",
    )
    .await;
    assert_eq!(
        rows.column(0),
        &(std::sync::Arc::new(lists.clone()) as arrow::array::ArrayRef)
    );
    // What is no image.
    let junk = "SELECT try_featurize(arrow_cast('junk', 'Binary')) AS f";
    assert!(run(&ctx, junk).await.column(0).is_null(0));
    let nothing = "SELECT featurize(arrow_cast(NULL, 'Binary')) AS f";
    assert!(run(&ctx, nothing).await.column(0).is_null(0));
    // What it is.
    let info = run(&ctx, &format!("SELECT featurize_model_info('{free}') AS i")).await;
    let info = info.column(0).as_struct();
    assert_eq!(info.column(0).as_string::<i32>().value(0), free);
    let text = info.column_by_name("preprocessing").unwrap();
    assert!(
        text.as_string::<i32>()
            .value(0)
            .starts_with("bilinear, shortest edge to 40")
    );
    // The setting goes before the file beside it.
    let setting = std::fs::read_to_string(data("setting.json")).unwrap();
    let setting = format!("SET featurize.onnx_preprocessing = '{}'", setting.trim());
    run_all(&ctx, &[&setting]).await;
    let pixels = format!("featurize(content, '{}')", data("pixels.onnx"));
    let rows = run(&ctx, &format!("SELECT {pixels} AS f FROM images")).await;
    let first = rows.column(0).as_list::<i32>().value(0);
    assert!(
        first
            .as_primitive::<Float32Type>()
            .values()
            .iter()
            .all(|v| v.is_finite())
    );
    let refused = format!("SELECT featurize(content, '{free}', 'seeded') FROM images");
    assert!(
        error(&ctx, &refused)
            .await
            .contains("has no weights 'seeded', but its own")
    );
}

async fn run_all(ctx: &SessionContext, statements: &[&str]) {
    for sql in statements {
        ctx.sql(sql).await.unwrap().collect().await.unwrap();
    }
}

#[tokio::test]
async fn poolings_of_other_models_are_still_checked() {
    let ctx = images().await;
    // At once where the model is said, and as soon as it is known where a setting says it.
    for sql in [
        "SELECT featurize(content, 'vgg16', 'seeded', 'average') FROM images",
        "SELECT featurize(content, NULL, 'seeded', 'average') FROM images",
    ] {
        let error = error(&ctx, sql).await;
        assert!(error.contains("unknown pooling 'average'"), "{error}");
    }
}
