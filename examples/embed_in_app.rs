//! The main job inside a Rust program, through the DataFrame API.
//!
//! ```sh
//! cargo run --example embed_in_app
//! ```

use std::error::Error;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Float64Type;
use datafusion::functions::expr_fn::split_part;
use datafusion::prelude::{SessionContext, col, lit};
use datafusion_featurize::expr_fn::{featurize, pca_fit, pca_n_components, pca_transform};
use datafusion_featurize::{BinaryFileOptions, BinaryFileTable, enable_featurize};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let ctx = SessionContext::new();
    enable_featurize(&ctx)?;

    // The table without SQL: 48 images below one folder.
    let options = BinaryFileOptions::default()
        .with_path_glob_filter("*.jpg")?
        .with_recursive_file_lookup(true);
    let images = BinaryFileTable::try_new(&ctx.state(), "examples/fruits/", options).await?;
    ctx.register_table("images", Arc::new(images))?;

    // 512 numbers an image: VGG16's last feature maps, averaged.
    let features = ctx
        .table("images")
        .await?
        .select(vec![
            col("path"),
            split_part(col("path"), lit("/"), lit(-2)).alias("label"),
            featurize(vec![
                col("content"),
                lit("vgg16"),
                lit("seeded"),
                lit("avg"),
            ])
            .alias("features"),
        ])?
        .cache()
        .await?;

    // A fitted model is one value; cached, because every use of a frame runs it again.
    let model = features
        .clone()
        .aggregate(
            vec![],
            vec![pca_fit(vec![col("features"), lit(0.9)]).alias("pca")],
        )?
        .cache()
        .await?;
    let components = model
        .clone()
        .select(vec![pca_n_components(col("pca")).alias("n")])?
        .collect()
        .await?;
    println!(
        "components kept:\n{}",
        arrow::util::pretty::pretty_format_batches(&components)?
    );

    let rows = features
        .join_on(model, datafusion::common::JoinType::Inner, vec![])?
        .select(vec![
            col("label"),
            pca_transform(col("features"), col("pca")).alias("features_pca"),
        ])?
        .sort_by(vec![col("label")])?
        .collect()
        .await?;

    let images: usize = rows.iter().map(|batch| batch.num_rows()).sum();
    assert_eq!(images, 48);
    // Components are centred: their mean over the rows that were fitted is zero.
    let mut first = vec![];
    for batch in &rows {
        for row in batch.column(1).as_list::<i32>().iter().flatten() {
            first.push(row.as_primitive::<Float64Type>().value(0));
        }
    }
    let mean = first.iter().sum::<f64>() / first.len() as f64;
    let spread = first.iter().fold(0.0_f64, |widest, x| widest.max(x.abs()));
    assert!(mean.abs() < 1e-9 * spread, "mean {mean}, spread {spread}");
    println!("{images} images, first component between ±{spread:.3}");
    Ok(())
}

#[test]
fn it_runs() -> Result<(), Box<dyn Error>> {
    main()
}
