//! JSON and Arrow are written as Parquet and CSV are: all or nothing, also where a query fails.

use std::sync::Arc;

use object_store::ObjectStore;

use crate::faulty_store::{Fault, FaultyStore};
use crate::write::{MODE, copy, error, one};
use crate::write_place::{Place, run};

/// Each format that files are written in, and a query that fails when a part of its rows is there.
#[tokio::test(flavor = "multi_thread")]
async fn what_fails_leaves_what_was_there_in_every_format() {
    let failing = "SELECT CASE WHEN value > 9000 THEN 1 / (value - 9001) ELSE value END AS v
                   FROM generate_series(1, 9500)";
    for place in Place::all() {
        for format in ["PARQUET", "CSV", "JSON", "ARROW"] {
            let file = place.url(&format!("{format}/one.{}", format.to_lowercase()));
            let file = file.trim_end_matches('/');
            let copy = |query: &str| format!("COPY ({query}) TO '{file}' STORED AS {format}");
            place.run(&copy("SELECT 1 AS v")).await.unwrap();
            let error = error(&place, &copy(failing)).await;
            assert!(error.contains("Divide by zero"), "{format}: {error}");
            let ctx = place.session(&place.store);
            let create = format!("CREATE EXTERNAL TABLE t STORED AS {format} LOCATION '{file}'");
            run(&ctx, &create).await.unwrap();
            let rows = one(&ctx, "SELECT CAST(v AS VARCHAR) FROM t").await;
            assert_eq!(rows, ["1"], "{format}");

            // What was not there does not begin to be.
            let folder = place.url(&format!("{format}/folder"));
            let options = "OPTIONS ('write_mode' 'overwrite')";
            let copy = format!("COPY ({failing}) TO '{folder}' STORED AS {format} {options}");
            place.run(&copy).await.unwrap_err();
            let objects = place.objects(&format!("{format}/folder")).await;
            assert!(objects.is_empty(), "{format}: {objects:?}");
        }
    }
}

/// Also where a part is in the middle of appearing when another partition fails.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_append_tells_what_it_has_written() {
    for place in Place::all() {
        let late: Arc<dyn ObjectStore> =
            Arc::new(FaultyStore::new(Arc::clone(&place.store), Fault::Late, 0));
        for store in [&place.store, &late] {
            let failing =
                "SELECT CASE WHEN value > 9000 THEN 1 / (value - 9001) ELSE value END AS v
                           FROM generate_series(1, 9500)";
            place.clear("appended").await;
            let copy = copy(&place, failing, "appended", "'write_mode' 'append'");
            let ctx = place.session(store);
            let error = run(&ctx, &copy).await.unwrap_err().to_string();
            assert!(
                error.contains("rows of this statement have been appended and stay"),
                "{error}"
            );
            let url = place.url("appended");
            let create = format!("CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '{url}'");
            run(&ctx, &create).await.unwrap();
            let there = one(&ctx, "SELECT CAST(count(*) AS VARCHAR) FROM t").await;
            assert!(
                error.contains(&format!("where {} rows", there[0])),
                "{there:?} rows: {error}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn json_and_arrow_are_overwritten_and_read_back() {
    for place in Place::all() {
        for format in ["JSON", "ARROW"] {
            let url = place.url(format);
            for x in [1, 2] {
                let copy = format!(
                    "COPY (SELECT {x} AS x, [1.5, NULL] AS v) TO '{url}' STORED AS {format} OPTIONS ({MODE})"
                );
                place.run(&copy).await.unwrap();
            }
            let ctx = place.session(&place.store);
            let create = format!("CREATE EXTERNAL TABLE t STORED AS {format} LOCATION '{url}'");
            run(&ctx, &create).await.unwrap();
            let rows = one(
                &ctx,
                "SELECT CAST(x AS VARCHAR) || CAST(v AS VARCHAR) FROM t",
            )
            .await;
            assert_eq!(rows, ["2[1.5, ]"], "{format}");
            // An address in the query may hold secrets, which a folder that others read must not.
            let copy = format!(
                "COPY (SELECT 'https://ann:hush@host/w.h5?sig=hush' AS address) TO '{url}' STORED AS {format}
                 OPTIONS ({MODE}, 'manifest' 'true')"
            );
            place.run(&copy).await.unwrap();
            let query = place.manifest(format).await.unwrap().query;
            assert!(
                query.contains("https://host/w.h5?…") && !query.contains("hush"),
                "{query}"
            );
        }
    }
}
