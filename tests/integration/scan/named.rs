//! A function that fails on an image names its file, where it can be known.

use arrow::util::pretty::pretty_format_batches;
use datafusion::prelude::SessionContext;

use super::{error, run, session};

/// The sample lemons, and two files that are no images, as the table `t`.
async fn table() -> (SessionContext, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let lemons = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/fruits/Lemon");
    for file in std::fs::read_dir(lemons).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
    }
    for name in ["zz bad.jpg", "zzz.jpg"] {
        std::fs::write(folder.path().join(name), "nope").unwrap();
    }
    let ctx = session();
    let sql = format!(
        "CREATE EXTERNAL TABLE t STORED AS BINARYFILE LOCATION '{}/'",
        folder.path().display()
    );
    run(&ctx, &sql).await;
    (ctx, folder)
}

const CALL: &str = "featurize(content, 'mobilenet_v2', 'seeded')";

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_image_is_named_where_its_path_is_beside_it() {
    let (ctx, _folder) = table().await;
    for sql in [
        format!("SELECT path, {CALL} FROM t WHERE path LIKE '%/zz bad.jpg'"),
        format!("SELECT {CALL} AS f, upper(path) FROM t WHERE path NOT LIKE '%/zzz.jpg'"),
        format!(
            "SELECT path FROM t WHERE path NOT LIKE '%/zzz.jpg' AND {CALL}[1] > 0 ORDER BY path"
        ),
        // Only some rows of a batch are computed.
        format!("SELECT path, CASE WHEN path LIKE '%/zz bad.jpg' THEN {CALL} END FROM t"),
        format!(
            "SELECT p, {CALL} FROM (SELECT content, path AS p FROM t WHERE path LIKE '%/zz%d.jpg')"
        ),
        // The query does not ask for the path.
        format!("SELECT {CALL} FROM t WHERE path NOT LIKE '%/zzz.jpg'"),
        format!("SELECT {CALL}[1] + {CALL}[2] FROM t WHERE path LIKE '%/zz bad.jpg' LIMIT 3"),
        format!("SELECT pca_fit({CALL}, 2) FROM t WHERE path NOT LIKE '%/zzz.jpg'"),
        format!(
            "SELECT length, count({CALL}) FILTER (WHERE length > 0) FROM t
             WHERE path NOT LIKE '%/zzz.jpg' GROUP BY length"
        ),
    ] {
        let told = error(&ctx, &sql).await;
        assert!(
            told.contains("featurize: 'file:///") && told.contains("/zz bad.jpg': the content"),
            "{sql}: {told}"
        );
    }
    // Where a path may be another's, no name is better than a wrong one.
    for sql in [
        format!("SELECT {CALL} FROM (SELECT DISTINCT content FROM t)"),
        "SELECT a.path, featurize(b.content, 'mobilenet_v2', 'seeded')
         FROM t a JOIN t b ON a.length = b.length WHERE b.path LIKE '%zz%'"
            .to_owned(),
    ] {
        let told = error(&ctx, &sql).await;
        assert!(told.contains("featurize: the content"), "{sql}: {told}");
    }
    // The plan shows the call as it was written.
    let sql = format!("EXPLAIN SELECT path, {CALL} FROM t");
    let plan = pretty_format_batches(&run(&ctx, &sql).await).unwrap();
    let plan = plan.to_string();
    assert!(plan.contains("featurize(content@"), "{plan}");
    assert!(!plan.contains("NamedCall"), "{plan}");
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_analyze_counts_the_images_that_image_info_decodes() {
    let (ctx, _folder) = table().await;
    let sql = "EXPLAIN ANALYZE SELECT path, image_info(content) FROM t";
    let plan = pretty_format_batches(&run(&ctx, sql).await).unwrap();
    let plan = plan.to_string();
    for metric in [
        "images_decoded=6",
        "images_undecodable=2",
        "images_inferred=0",
    ] {
        assert!(plan.contains(metric), "{metric} in {plan}");
    }
    assert!(!plan.contains("decode_time=1ns"), "{plan}");
}
