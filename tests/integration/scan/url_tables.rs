//! Tables that a query names by their place, and tables of folders with odd or hidden files.

use std::fs;
use std::path::{Path, PathBuf};

use arrow::util::pretty::pretty_format_batches;
use datafusion::prelude::SessionContext;
use datafusion_featurize::enable_url_tables;

use super::s3_server::S3Server;
use super::{error, run, session};

fn url_session() -> SessionContext {
    let ctx = session();
    enable_url_tables(&ctx);
    ctx
}

/// The text of the first value.
async fn value(ctx: &SessionContext, sql: &str) -> String {
    let rows = pretty_format_batches(&run(ctx, sql).await).unwrap();
    let rows = rows.to_string();
    let line = rows.lines().nth(3).unwrap_or_default();
    line.trim_matches(['|', ' ']).to_owned()
}

fn write(folder: &Path, name: &str, content: &str) -> PathBuf {
    let file = folder.join(name);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, content).unwrap();
    file
}

async fn write_parquet(ctx: &SessionContext, place: &str, x: i64) {
    let sql = format!("COPY (SELECT CAST({x} AS BIGINT) AS a) TO '{place}' STORED AS PARQUET");
    run(ctx, &sql).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_named_is_read_before_what_it_matches() {
    let ctx = url_session();
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().display();
    write(folder.path(), "x[ab].csv", "a\n1\n");
    write(folder.path(), "xa.csv", "a\n2\n");
    write(folder.path(), "y1.csv", "a\n3\n");
    write_parquet(&ctx, &format!("{root}/p [1]/a.parquet"), 4).await;
    write_parquet(&ctx, &format!("{root}/50% #1?/a.parquet"), 5).await;
    for (place, expected) in [
        ("x[ab].csv", "1"),
        ("x[a].csv", "2"),
        ("y?.csv", "3"),
        ("p [1]/a.parquet", "4"),
        ("p [1]/", "4"),
        ("50% #1?/", "5"),
        ("50% #1?/a.parquet", "5"),
    ] {
        for scheme in ["", "file://", "FILE://"] {
            if place.contains('?') && !place.ends_with('/') && !scheme.is_empty() {
                // A URL of the disk is no pattern.
                continue;
            }
            let sql = format!("SELECT a FROM '{scheme}{root}/{place}'");
            if place == "x[a].csv" && !scheme.is_empty() {
                let told = error(&ctx, &sql).await;
                assert!(told.contains("not found"), "{told}");
                continue;
            }
            assert_eq!(value(&ctx, &sql).await, expected, "{sql}");
        }
    }
    let told = error(&ctx, "SELECT * FROM nothing").await;
    assert!(
        told.contains("'datafusion.public.nothing' not found"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_read_by_name_folder_and_pattern() {
    let server = S3Server::in_memory(&["fruits"]);
    server.put("fruits", "t/a.csv", "a\n1\n");
    server.put("fruits", "t/b.csv", "a\n1\n");
    server.put("fruits", "t/_MANIFEST.json", "{");
    server.put("fruits", "t/notes", "hello");
    server.put("fruits", "t/[c].csv", "a\n1\n");
    server.put("fruits", "w/[/d.csv", "a\n7\n");
    server.put("fruits", "done/_SUCCESS", "");
    server.put("fruits", "done/a.csv", "a\n1\n");
    let ctx = url_session();
    let create = format!(
        "CREATE EXTERNAL TABLE images STORED AS BINARYFILE LOCATION 's3://fruits/t/' OPTIONS ({})",
        server.options()
    );
    run(&ctx, &create).await;
    for (place, expected) in [
        ("t/a.csv", "1"),
        ("t/", "3"),
        ("t", "3"),
        ("done", "1"),
        ("t/[c].csv", "1"),
        // No pattern.
        ("w/[/d.csv", "1"),
        ("w/[/", "1"),
        ("t/[ab].csv", "2"),
        ("t/*.csv", "3"),
    ] {
        let sql = format!("SELECT count(a) FROM 's3://fruits/{place}'");
        assert_eq!(value(&ctx, &sql).await, expected, "{sql}");
    }
    let told = error(&ctx, "SELECT * FROM 's3://fruits/t/*.tsv'").await;
    assert!(told.contains("not found"), "{told}");
    let told = error(&ctx, "SELECT * FROM 's3://me:hush@fruits/t/none.csv'").await;
    assert!(!told.contains("hush"), "{told}");
    server.deny("fruits", "");
    let told = error(&ctx, "SELECT * FROM 's3://fruits/u/'").await;
    assert!(
        told.contains("AccessDenied") && told.contains("s3:ListBucket"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_several_formats_is_no_table() {
    let ctx = url_session();
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().display();
    write(folder.path(), "a.csv", "a\n1\n");
    write(folder.path(), "_log.json", "{}");
    write_parquet(&ctx, &format!("{root}/b.parquet"), 7).await;
    for place in [format!("{root}/"), format!("{root}")] {
        let told = error(&ctx, &format!("SELECT a FROM '{place}'")).await;
        for part in ["several formats", "'a.csv'", "'b.parquet'", "/*.csv'"] {
            assert!(told.contains(part), "{told}");
        }
    }
    let sql = format!("SELECT a FROM '{root}/*.parquet'");
    assert_eq!(value(&ctx, &sql).await, "7");
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_are_not_learnt_from_hidden_files() {
    let ctx = url_session();
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().display();
    write_parquet(&ctx, &format!("{root}/t/k=1/part.parquet"), 7).await;
    for name in [
        "._part.parquet",
        "_old.parquet",
        "k=1/.x.parquet",
        "_t/y.parquet",
    ] {
        write(folder.path(), &format!("t/{name}"), "no parquet");
    }
    write(folder.path(), "t/notes.txt", "nor this");
    // As Spark leaves it.
    write(folder.path(), "t/_SUCCESS", "");
    let create = format!("CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '{root}/t/'");
    run(&ctx, &create).await;
    assert_eq!(value(&ctx, "SELECT a FROM t").await, "7");
    assert_eq!(value(&ctx, "SELECT k FROM t").await, "1");
    assert_eq!(
        value(&ctx, &format!("SELECT a FROM '{root}/t/'")).await,
        "7"
    );

    write(folder.path(), "c/_a.csv", "x;y\n1;2\n");
    write(folder.path(), "c/b.csv", "a\n1\n");
    let create = format!("CREATE EXTERNAL TABLE c STORED AS CSV LOCATION '{root}/c/'");
    run(&ctx, &create).await;
    assert_eq!(value(&ctx, "SELECT a FROM c").await, "1");
}

/// A link that leads back and a name that is no text do not keep the other files from being read, nor
/// a folder from being written.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn odd_files_do_not_stop_the_tables_of_a_folder() {
    use std::os::unix::ffi::OsStrExt;

    let ctx = url_session();
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    let place = root.display();
    write_parquet(&ctx, &format!("{place}/a.parquet"), 1).await;
    fs::create_dir(root.join("deep")).unwrap();
    std::os::unix::fs::symlink(&root, root.join("deep/up")).unwrap();
    let odd = root.join(std::ffi::OsStr::from_bytes(b"\xff.parquet"));
    fs::write(&odd, "").unwrap();
    let create = format!("CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '{place}/'");
    run(&ctx, &create).await;
    assert_eq!(value(&ctx, "SELECT a FROM t").await, "1");
    for write_mode in ["append", "overwrite", "overwrite"] {
        let copy = format!(
            "COPY (SELECT CAST(2 AS BIGINT) AS a) TO '{place}/' STORED AS PARQUET
             OPTIONS ('write_mode' '{write_mode}')"
        );
        run(&ctx, &copy).await;
    }
    let sql = format!("SELECT sum(a) FROM '{place}/'");
    assert_eq!(value(&ctx, &sql).await, "2");
    assert!(odd.exists());
}

/// DataFusion cuts large CSV files into ranges at line breaks, also at those within quotes.
#[tokio::test(flavor = "multi_thread")]
async fn cells_with_line_breaks_are_not_cut() {
    let ctx = url_session();
    run(
        &ctx,
        "SET datafusion.optimizer.repartition_file_min_size = 100",
    )
    .await;
    run(&ctx, "SET datafusion.execution.target_partitions = 7").await;
    let folder = tempfile::tempdir().unwrap();
    let rows: String = (0..400).map(|i| format!("{i},\"x\ny, z\"\n")).collect();
    let file = write(folder.path(), "x.csv", &format!("a,b\n{rows}"));
    let file = file.display();
    let create = |name: &str, options: &str| {
        format!(
            "CREATE EXTERNAL TABLE {name} (a VARCHAR, b VARCHAR) STORED AS CSV LOCATION '{file}'
             OPTIONS ('format.has_header' 'true'{options})"
        )
    };
    run(&ctx, &create("whole", "")).await;
    run(
        &ctx,
        &create("cut", ", 'format.newlines_in_values' 'false'"),
    )
    .await;
    let sql = "SELECT count(*) FROM whole WHERE b = E'x\\ny, z'";
    assert_eq!(value(&ctx, sql).await, "400");
    // Who knows that there are none says so, and has the file read by all cores.
    let plan = |table| {
        let ctx = &ctx;
        async move {
            let sql = format!("EXPLAIN SELECT * FROM {table}");
            pretty_format_batches(&run(ctx, &sql).await)
                .unwrap()
                .to_string()
        }
    };
    assert!(plan("cut").await.contains("7 groups"));
    assert!(plan("whole").await.contains("1 group"));
}
