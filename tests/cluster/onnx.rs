//! An ONNX file travels to the executors by its address, and the settings that go with it.

use crate::processes::{Cluster, create_images, local, run};

#[tokio::test(flavor = "multi_thread")]
async fn a_file_gives_the_same_on_a_cluster() {
    let Ok(library) = std::env::var("ORT_DYLIB_PATH") else {
        println!("skipped: ORT_DYLIB_PATH names no library of ONNX Runtime");
        return;
    };
    let data = format!("{}/udfs/image/tests/data/onnx", env!("CARGO_MANIFEST_DIR"));
    let setting = std::fs::read_to_string(format!("{data}/setting.json")).unwrap();
    let setting = format!("SET featurize.onnx_preprocessing = '{}'", setting.trim());
    let cluster = Cluster::start_with(2, &[("ORT_DYLIB_PATH", &library)]);
    let mut rows = Vec::new();
    for ctx in [cluster.session().await, local()] {
        create_images(&ctx).await;
        let of_file = format!("SELECT path, featurize(content, '{data}/beside.onnx') AS f");
        let beside = run(&ctx, &format!("{of_file} FROM images ORDER BY path")).await;
        run(&ctx, &setting).await;
        let of_setting = format!("SELECT path, featurize(content, '{data}/pixels.onnx') AS f");
        let pixels = run(&ctx, &format!("{of_setting} FROM images ORDER BY path")).await;
        assert_eq!((beside.num_rows(), pixels.num_rows()), (48, 48));
        rows.push((beside, pixels));
    }
    assert_eq!(rows[0], rows[1]);
}
