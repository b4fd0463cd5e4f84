//! What `COPY … TO` and `INSERT INTO` leave behind on several stores.

use std::sync::Arc;

use arrow::array::AsArray;
use datafusion::prelude::SessionContext;
use object_store::ObjectStoreExt;
use object_store::path::Path;

use crate::write_place::{Place, run};

pub(crate) const MODE: &str = "'write_mode' 'overwrite'";

pub(crate) fn copy(place: &Place, query: &str, folder: &str, options: &str) -> String {
    let url = place.url(folder);
    format!("COPY ({query}) TO '{url}' STORED AS PARQUET OPTIONS ({options})")
}

pub(crate) async fn error(place: &Place, sql: &str) -> String {
    place.run(sql).await.unwrap_err().to_string()
}

pub(crate) async fn text(place: &Place, path: &Path) -> String {
    let bytes = place.store.get(path).await.unwrap().bytes().await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_overwrite_replaces_the_first() {
    for place in Place::all() {
        a_second_overwrite_replaces(&place).await;
    }
}

pub(crate) async fn a_second_overwrite_replaces(place: &Place) {
    for (query, expected) in [
        ("SELECT 1 AS x UNION ALL SELECT 2", vec![1, 2]),
        ("SELECT 3 AS x", vec![3]),
    ] {
        let sql = copy(place, query, "twice", &format!("{MODE}, 'manifest' true"));
        assert_eq!(place.run(&sql).await.unwrap(), expected.len() as u64);
        let parts = place.parts("twice").await;
        assert_eq!(place.values("twice", &parts).await, expected);
        let objects = place.objects("twice").await;
        assert_eq!(objects.len(), parts.len() + 2, "{objects:?}");
        for part in parts {
            let is_named = part.starts_with("part-") && part.ends_with("-c000.parquet");
            assert!(is_named, "{part}");
        }
        let manifest = place.manifest("twice").await.unwrap();
        assert_eq!(manifest.rows, Some(expected.len() as u64));
        assert_eq!(manifest.schema[0].name, "x");
        assert_eq!(manifest.schema[0].data_type, "Int64");
        assert!(!manifest.query.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_files_as_asked_for_also_empty_ones() {
    let place = Place::on_disk();
    for format in ["PARQUET", "CSV"] {
        for (number, rows) in [(1, 0), (3, 2), (7, 1000), (20, 3)] {
            let folder = format!("{format}-{number}");
            let url = place.url(&folder);
            let sql = format!(
                "COPY (SELECT value AS x FROM generate_series(1, {rows}) WHERE value > 0) TO \
                 '{url}' STORED AS {format} OPTIONS ('num_files' {number}, 'manifest' true, {MODE})"
            );
            assert_eq!(place.run(&sql).await.unwrap(), rows);
            let parts = place.parts(&folder).await;
            assert_eq!(parts.len(), number, "{parts:?}");
            let manifest = place.manifest(&folder).await.unwrap();
            assert_eq!(manifest.rows, Some(rows));
            let counts = manifest.parts.iter().filter_map(|part| part.rows);
            let (least, most) = counts.fold((u64::MAX, 0), |(a, b), n| (a.min(n), b.max(n)));
            assert!(most - least <= 1 + rows / number as u64, "{least} {most}");
            if format == "CSV" {
                for part in parts {
                    let text = text(&place, &place.path(&folder, &part)).await;
                    assert_eq!(text.lines().next(), Some("x"), "one header a part");
                    assert_eq!(text.matches('x').count(), 1);
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_result_keeps_its_columns() {
    let place = Place::in_memory();
    let nothing = "SELECT 1 AS x, 'a' AS y WHERE false";
    place
        .run(&copy(&place, nothing, "empty", MODE))
        .await
        .unwrap();
    assert_eq!(place.parts("empty").await.len(), 1);
    let ctx = place.session(&place.store);
    let url = place.url("empty");
    run(
        &ctx,
        &format!("CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '{url}'"),
    )
    .await
    .unwrap();
    let rows = ctx.sql("SELECT x, y FROM t").await.unwrap();
    assert_eq!(rows.count().await.unwrap(), 0);

    // An append adds no empty part.
    place
        .run(&copy(&place, nothing, "nothing", "'write_mode' 'append'"))
        .await
        .unwrap();
    assert_eq!(place.objects("nothing").await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn appends_are_stock_but_for_their_steps() {
    for place in [Place::in_memory(), Place::on_disk()] {
        let ctx = place.session(&place.store);
        run(&ctx, "SET featurize.checkpoint_rows = 10")
            .await
            .unwrap();
        let url = place.url("steps");
        let sql = format!(
            "COPY (SELECT value AS x FROM generate_series(1, 25)) TO '{url}' STORED AS PARQUET"
        );
        run(&ctx, &sql).await.unwrap();
        let parts = place.parts("steps").await;
        assert_eq!(parts.len(), 3, "{parts:?}");
        let objects = place.objects("steps").await;
        assert_eq!(
            objects.len(),
            3,
            "no _SUCCESS unless asked for: {objects:?}"
        );
        run(&ctx, &sql).await.unwrap();
        let parts = place.parts("steps").await;
        assert_eq!(place.values("steps", &parts).await.len(), 50);

        run(&ctx, "SET featurize.checkpoint_rows = 0")
            .await
            .unwrap();
        let sql = sql.replace("steps", "whole");
        run(&ctx, &format!("{sql} OPTIONS ('success_file' 'true')"))
            .await
            .unwrap();
        assert_eq!(place.parts("whole").await.len(), 1);
        assert!(place.objects("whole").await.contains("_SUCCESS"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_put_there_stays() {
    for place in [Place::in_memory(), Place::on_disk()] {
        let keep = [
            "notes.txt",
            "picture.jpg",
            "sub/other.parquet",
            "_temporary/0/x",
        ];
        for name in keep.iter().chain(&["old.snappy.parquet", "k=v/a.parquet"]) {
            let path = place.path("mixed", name);
            place.store.put(&path, "1".into()).await.unwrap();
        }
        place
            .run(&copy(&place, "SELECT 1 AS x", "mixed", MODE))
            .await
            .unwrap();
        let objects = place.objects("mixed").await;
        for name in keep {
            assert!(objects.contains(name), "{name} is gone: {objects:?}");
        }
        assert!(!objects.contains("old.snappy.parquet"), "{objects:?}");
        assert!(!objects.contains("k=v/a.parquet"), "{objects:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_name_the_target_and_the_option() {
    let place = Place::in_memory();
    place
        .run(&copy(&place, "SELECT 1 AS x", "full", MODE))
        .await
        .unwrap();

    let again = copy(
        &place,
        "SELECT 1 AS x",
        "full",
        "'write_mode' 'error_if_exists'",
    );
    let message = error(&place, &again).await;
    assert!(message.contains("s3://memory/data/full/"), "{message}");
    assert!(message.contains("('write_mode' 'overwrite')"), "{message}");
    // Nothing of the refused run is left, not even its lock.
    assert_eq!(place.objects("full").await.len(), 2);

    let root = "COPY (SELECT 1 AS x) TO 's3://memory/' STORED AS PARQUET OPTIONS ('write_mode' \
                'overwrite')";
    let message = error(&place, root).await;
    assert!(message.contains("'s3://memory/', the root"), "{message}");
    assert!(message.contains("'write_mode' 'overwrite'"), "{message}");

    let ctx = place.session(&place.store);
    let url = place.url("full");
    run(
        &ctx,
        &format!("CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '{url}'"),
    )
    .await
    .unwrap();
    let own = copy(&place, "SELECT x + 1 AS x FROM t", "full", MODE);
    let message = run(&ctx, &own).await.unwrap_err().to_string();
    assert!(message.contains("which the query reads"), "{message}");
    assert!(message.contains("s3://memory/data/full/"), "{message}");
    let parts = place.parts("full").await;
    assert_eq!(place.values("full", &parts).await, [1]);

    for (to, options, expected) in [
        (
            "full/a.parquet",
            "'num_files' 2",
            "is one file, but 'num_files' is 2",
        ),
        ("full/a.parquet", "'success_file' true", "name a folder"),
        (
            "full/a.parquet",
            "'manifest' true",
            "'manifest' is written to",
        ),
    ] {
        let sql = format!(
            "COPY (SELECT 1 AS x) TO 's3://memory/data/{to}' STORED AS PARQUET OPTIONS ({options})"
        );
        let message = error(&place, &sql).await;
        assert!(message.contains(expected), "{message}");
        assert!(
            message.contains("s3://memory/data/full/a.parquet"),
            "{message}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_file_is_replaced_only_as_said() {
    for place in [Place::in_memory(), Place::on_disk()] {
        let file = format!("{}one.parquet", place.url("single"));
        let sql = |x: i64, options: &str| {
            format!("COPY (SELECT {x} AS x) TO '{file}' STORED AS PARQUET {options}")
        };
        let parts = ["one.parquet".to_owned()];
        // As DataFusion does it: the file is the result.
        for x in [1, 2] {
            place.run(&sql(x, "")).await.unwrap();
            assert_eq!(place.values("single", &parts).await, [x]);
        }
        for mode in ["append", "error_if_exists"] {
            let options = format!("OPTIONS ('write_mode' '{mode}')");
            let message = error(&place, &sql(3, &options)).await;
            assert!(message.contains("one.parquet' "), "{message}");
            assert!(message.contains("('write_mode' 'overwrite')"), "{message}");
        }
        place
            .run(&sql(4, "OPTIONS ('write_mode' 'overwrite')"))
            .await
            .unwrap();
        assert_eq!(place.values("single", &parts).await, [4]);
        assert_eq!(place.objects("single").await.len(), 1);

        // A query that fails leaves the file as it was.
        let bad = sql(5, "").replace(
            "SELECT 5 AS x",
            "SELECT 1 / (value - 9000) AS x FROM generate_series(1, 10000)",
        );
        assert!(error(&place, &bad).await.contains("ivide by zero"));
        assert_eq!(place.values("single", &parts).await, [4]);
        assert_eq!(place.objects("single").await.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_fails_leaves_the_old_data() {
    for place in Place::all() {
        a_failed_query_leaves_the_old_data(&place).await;
    }
}

pub(crate) async fn a_failed_query_leaves_the_old_data(place: &Place) {
    place
        .run(&copy(place, "SELECT 1 AS x", "kept", MODE))
        .await
        .unwrap();
    let before = place.objects("kept").await;
    for options in [MODE.to_owned(), format!("{MODE}, 'num_files' 3")] {
        let bad = "SELECT 1 / (value - 9000) AS x FROM generate_series(1, 10000)";
        let message = error(place, &copy(place, bad, "kept", &options)).await;
        assert!(message.contains("ivide by zero"), "{message}");
        assert!(message.contains("kept"), "{message}");
        assert_eq!(place.objects("kept").await, before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_writers_one_waits_or_is_told() {
    for place in Place::all() {
        one_is_told(&place).await;
    }
}

pub(crate) async fn one_is_told(place: &Place) {
    let lock = place.path("busy", "_temporary/_LOCK");
    let other =
        r#"{"run": "019e0000-0000-7000-8000-000000000000", "since": "today", "process": null}"#;
    place.store.put(&lock, other.into()).await.unwrap();
    for options in [MODE, "'write_mode' 'append'"] {
        let message = error(place, &copy(place, "SELECT 1 AS x", "busy", options)).await;
        let expected = "is being written by another run (run 019e0000-0000-7000-8000-000000000000, since today";
        assert!(message.contains(expected), "{message}");
        assert!(message.contains("_temporary/_LOCK"), "{message}");
    }
    assert_eq!(place.objects("busy").await.len(), 1);
    assert_eq!(text(place, &lock).await, other);
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_that_race_leave_the_data_of_one() {
    for place in [Place::in_memory(), Place::on_disk()] {
        racing_writers_leave_the_data_of_one(place).await;
    }
}

pub(crate) async fn racing_writers_leave_the_data_of_one(place: Place) {
    let place = Arc::new(place);
    let runs = (1..=4).map(|x| {
        let place = Arc::clone(&place);
        let sql = copy(&place, &format!("SELECT {x} AS x"), "race", MODE);
        async move { place.run(&sql).await }
    });
    let results = futures::future::join_all(runs).await;
    assert!(results.iter().any(Result::is_ok), "{results:?}");
    for failed in results.into_iter().filter_map(Result::err) {
        let message = failed.to_string();
        assert!(
            message.contains("another run") || message.contains("compete"),
            "{message}"
        );
    }
    let parts = place.parts("race").await;
    assert_eq!(place.values("race", &parts).await.len(), 1);
    assert_eq!(place.objects("race").await.len(), parts.len() + 1);
}

/// What another program has put under the names of ours is not ours to replace.
#[tokio::test(flavor = "multi_thread")]
async fn manifests_and_locks_of_others_are_refused() {
    for place in [Place::in_memory(), Place::on_disk()] {
        for name in ["_MANIFEST.json", "_temporary/_LOCK"] {
            let path = place.path("foreign", name);
            place.store.put(&path, "entries: []".into()).await.unwrap();
            for options in [MODE, "'write_mode' 'append'", "'num_files' 1"] {
                let sql = copy(&place, "SELECT 1 AS x", "foreign", options);
                let message = error(&place, &sql).await;
                let expected = "was not written by this program";
                assert!(message.contains(expected), "{message}");
                assert!(message.contains(name), "{message}");
                assert_eq!(place.objects("foreign").await.len(), 1, "{options}");
                assert_eq!(text(&place, &path).await, "entries: []");
            }
            place.clear("foreign").await;
        }
    }
}

/// An append knows nothing of the data that another program has called complete.
#[tokio::test(flavor = "multi_thread")]
async fn an_append_leaves_the_success_of_others_alone() {
    for place in [Place::in_memory(), Place::on_disk()] {
        let path = place.path("spark", "_SUCCESS");
        place.store.put(&path, "{}".into()).await.unwrap();
        for options in ["'write_mode' 'append'", "'num_files' 2"] {
            place
                .run(&copy(&place, "SELECT 1 AS x", "spark", options))
                .await
                .unwrap();
            assert_eq!(text(&place, &path).await, "{}", "{options}");
            assert!(place.manifest("spark").await.is_none(), "{options}");
        }
        // A query that fails does not call a folder complete.
        let failing = "SELECT 1 / (value - 9000) AS x FROM generate_series(1, 10000)";
        for options in ["'write_mode' 'append'", "'num_files' 2"] {
            error(&place, &copy(&place, failing, "failed", options)).await;
            let objects = place.objects("failed").await;
            assert!(!objects.contains("_SUCCESS"), "{options}: {objects:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_is_dropped_can_be_run_again() {
    for place in [Place::in_memory(), Place::on_disk()] {
        let ctx = place.session(&place.store);
        let endless = "SELECT value AS x FROM generate_series(1, 1000000000000)";
        let sql = copy(&place, endless, "dropped", MODE);
        {
            let writing = run(&ctx, &sql);
            let pause = tokio::time::sleep(std::time::Duration::from_millis(300));
            tokio::select! {
                _ = writing => panic!("it has no end"),
                () = pause => {}
            }
        }
        // Its tasks are told to stop, which takes them a moment.
        let mut result = run(&ctx, &copy(&place, "SELECT 1 AS x", "dropped", MODE)).await;
        for _ in 0..100 {
            if result.is_ok() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            result = run(&ctx, &copy(&place, "SELECT 1 AS x", "dropped", MODE)).await;
        }
        result.unwrap();
        let parts = place.parts("dropped").await;
        assert_eq!(place.values("dropped", &parts).await, [1]);
        assert_eq!(place.objects("dropped").await.len(), parts.len() + 1);
    }
}

/// A table of the session lists its folder anew after it has been written to.
#[tokio::test(flavor = "multi_thread")]
async fn tables_see_what_copy_has_written() {
    for place in Place::all() {
        let ctx = place.session(&place.store);
        let url = place.url("seen");
        for x in 1..=3 {
            run(
                &ctx,
                &copy(&place, &format!("SELECT {x} AS x"), "seen", MODE),
            )
            .await
            .unwrap();
            let create =
                format!("CREATE EXTERNAL TABLE IF NOT EXISTS t STORED AS PARQUET LOCATION '{url}'");
            run(&ctx, &create).await.unwrap();
            assert_eq!(
                one(&ctx, "SELECT CAST(x AS VARCHAR) FROM t").await,
                [x.to_string()]
            );
        }
        run(&ctx, "INSERT INTO t VALUES (4)").await.unwrap();
        let rows = one(&ctx, "SELECT CAST(x AS VARCHAR) AS v FROM t ORDER BY v").await;
        assert_eq!(rows, ["3", "4"]);
        // The folder had _SUCCESS, and has it again, beside both parts.
        let objects = place.objects("seen").await;
        assert_eq!(objects.len(), 3, "{objects:?}");
        assert!(objects.contains("_SUCCESS"));
        run(&ctx, "INSERT OVERWRITE t VALUES (5)").await.unwrap();
        assert_eq!(one(&ctx, "SELECT CAST(x AS VARCHAR) FROM t").await, ["5"]);
    }
}

pub(crate) async fn one(ctx: &SessionContext, sql: &str) -> Vec<String> {
    let batches = ctx.sql(sql).await.unwrap().collect().await.unwrap();
    batches
        .iter()
        .flat_map(|batch| {
            let column = arrow::compute::cast(batch.column(0), &arrow::datatypes::DataType::Utf8);
            let column = column.unwrap();
            let texts: Vec<String> = column
                .as_string::<i32>()
                .iter()
                .map(|text| text.unwrap_or("NULL").to_owned())
                .collect();
            texts
        })
        .collect()
}
