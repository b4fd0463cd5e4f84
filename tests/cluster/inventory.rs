//! Images that a table names: an inventory of S3 is read as it comes, and nobody lists the bucket.

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use datafusion::prelude::SessionContext;

use crate::commit::s3_with_fruits;
use crate::processes::{Cluster, fruits, local, run};
use crate::s3_server::{Kind, S3Server};

/// The files of an inventory, as `manifest.json` names them: two of Parquet, two of CSV.
async fn write_inventory(ctx: &SessionContext, server: &S3Server) {
    let images = format!(
        "CREATE EXTERNAL TABLE files STORED AS BINARYFILE LOCATION '{}'
         OPTIONS ('pathGlobFilter' '*.jpg', 'recursiveFileLookup' 'true')",
        fruits()
    );
    run(ctx, &images).await;
    let folder = fruits();
    for (part, rest) in [("a", 0), ("b", 1)] {
        let rows = format!(
            "SELECT 'fruits' AS bucket, 'Training/' || substr(path, strpos(path, '{folder}') + {}) AS key,
                    length AS size
             FROM files WHERE length % 2 = {rest}",
            folder.len()
        );
        // As S3 writes them: in CSV without a header, and with encoded names.
        let encoded = format!(
            "SELECT bucket, replace(replace(key, '/', '%2F'), ' ', '+') AS key, size FROM ({rows})"
        );
        for (rows, file, format) in [
            (&rows, format!("{part}.parquet"), "PARQUET OPTIONS ("),
            (
                &encoded,
                format!("{part}.csv"),
                "CSV OPTIONS ('format.has_header' 'false', ",
            ),
        ] {
            let copy = format!(
                "COPY ({rows}) TO 's3://fruits/lists/all/data/{file}' STORED AS {format}{})",
                server.options()
            );
            run(ctx, &copy).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inventory_is_read_as_it_comes() {
    let server = s3_with_fruits();
    let local = local();
    write_inventory(&local, &server).await;
    let cluster = Cluster::start();
    let remote = cluster.session().await;
    let data = "s3://fruits/lists/all/data";
    for (create, uri) in [
        (
            format!(
                "STORED AS PARQUET LOCATION ('{data}/a.parquet', '{data}/b.parquet') OPTIONS ("
            ),
            "'s3://' || bucket || '/' || key",
        ),
        (
            format!(
                "(bucket VARCHAR, \"key\" VARCHAR, size BIGINT) STORED AS CSV
                 LOCATION ('{data}/a.csv', '{data}/b.csv') OPTIONS ('format.has_header' 'false', "
            ),
            "'s3://' || bucket || '/' || replace(key, '+', '%20')",
        ),
    ] {
        let create = format!(
            "CREATE OR REPLACE EXTERNAL TABLE inventory {create}{})",
            server.options()
        );
        run(&remote, &create).await;
        server.reset_counters();
        let sql = format!(
            "SELECT count(*), sum(octet_length(encode(image, 'hex')) / 2 - size), count(DISTINCT sha256(image))
             FROM (SELECT size, read_blob({uri}) AS image FROM inventory WHERE key LIKE '%.jpg')"
        );
        let found = run(&remote, &sql).await;
        let number = |column: usize| found.column(column).as_primitive::<Int64Type>().value(0);
        assert_eq!((number(0), number(1)), (48, 0));
        assert!(number(2) > 1);
        assert!(server.requests(Kind::Get) >= 48);
        assert_eq!(server.requests(Kind::List), 0, "nobody lists");
    }
}
