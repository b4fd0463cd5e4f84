//! Writing to the S3 server: the same as in memory and on disk, over the protocol.

use std::sync::Arc;

use datafusion::execution::SessionStateBuilder;
use datafusion::prelude::SessionContext;
use datafusion_featurize::SessionStateBuilderFeaturize;
use object_store::path::Path;

use crate::faulty_store::Fault;
use crate::kill::kill_and_resume;
use crate::scan::s3_server::{Kind, Part, S3Server};
use crate::write::{
    a_failed_query_leaves_the_old_data, a_second_overwrite_replaces, one_is_told,
    racing_writers_leave_the_data_of_one,
};
use crate::write_faults::{Before, at_every_step};
use crate::write_place::{Place, run};

/// A bucket, and what `OPTIONS (…)` needs to reach it.
fn on_s3() -> (Place, String) {
    on_s3_without(&[])
}

/// The same on a server that answers with a status to what needs some parts of S3.
fn on_s3_without(unknown: &[(Part, u16)]) -> (Place, String) {
    let server = S3Server::on_disk(&["written"]);
    for (part, status) in unknown {
        server.forget(*part, *status);
    }
    let options = server.options();
    let store = Arc::new(server.store("written").build().unwrap());
    let place = Place::new(store, "s3://written/", Path::from("data"), server);
    (place, options)
}

#[tokio::test(flavor = "multi_thread")]
async fn overwrites_leave_old_or_new_data_on_s3() {
    let (place, _) = on_s3();
    for fault in [Fault::Refused, Fault::KilledAfter] {
        at_every_step(&place, fault, Before::Complete).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn writing_to_s3_is_as_to_other_stores() {
    let (place, _) = on_s3();
    a_second_overwrite_replaces(&place).await;
    a_failed_query_leaves_the_old_data(&place).await;
    one_is_told(&place).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_job_goes_on_where_it_stopped_on_s3() {
    let (place, options) = on_s3();
    kill_and_resume(&place, &format!(" OPTIONS ({options})")).await;
}

/// R2 refuses uploads whose parts, but for the last, differ in length.
#[tokio::test(flavor = "multi_thread")]
async fn parts_of_an_upload_are_equally_long() {
    let server = S3Server::on_disk(&["written"]);
    let ctx = crate::scan::session();
    let sql = format!(
        "COPY (SELECT repeat(md5(CAST(value AS VARCHAR)), 40) AS x FROM generate_series(1, 30000))
         TO 's3://written/big/' STORED AS CSV OPTIONS ('num_files' '1', {})",
        server.options()
    );
    crate::scan::run(&ctx, &sql).await;
    let uploads = server.uploads();
    assert!(uploads.iter().any(|parts| parts.len() > 2), "{uploads:?}");
    for parts in uploads {
        let (last, others) = parts.split_last().unwrap();
        assert!(others.iter().all(|part| part == &others[0]), "{parts:?}");
        assert!(
            others.first().is_none_or(|first| last <= first),
            "{parts:?}"
        );
    }
}

/// The session of the README, in one program that knows the bucket by the statement's options alone.
#[tokio::test(flavor = "multi_thread")]
async fn the_program_copies_to_a_bucket_that_only_the_statement_names() {
    let (place, options) = on_s3();
    let target = place.url("copied");
    let copy = format!(
        "COPY (SELECT 1 AS x, [0.5, NULL] AS list) TO '{target}' STORED AS CSV
         OPTIONS ('write_mode' 'overwrite', {options})"
    );
    for _ in 0..2 {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_featurize"))
            .args(["-q", "-c", &copy])
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
        // As datafusion-cli prints it.
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(
            printed.contains("| count |\n+-------+\n| 1     |"),
            "{printed}"
        );
    }
    let parts = place.parts("copied").await;
    assert_eq!(parts.len(), 1, "{parts:?}");
    assert!(place.objects("copied").await.contains("_SUCCESS"));
}

/// Some servers that speak S3 know neither conditional writes nor the deletion of several objects.
/// The program makes its stores itself, and writes there as elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_may_lack_conditional_writes_and_bulk_deletion() {
    for unknown in [
        [(Part::ConditionalPut, 501), (Part::BulkDelete, 501)].as_slice(),
        &[(Part::ConditionalPut, 400), (Part::BulkDelete, 400)],
        &[(Part::BulkDelete, 501)],
    ] {
        let (place, options) = on_s3_without(unknown);
        let state = SessionStateBuilder::new().with_default_features();
        let ctx = SessionContext::new_with_state(state.with_featurize().build());
        let url = place.url("Apple #1 %20");
        for (x, mode) in [(1, "overwrite"), (2, "overwrite"), (3, "append")] {
            let copy = format!(
                "COPY (SELECT CAST({x} AS BIGINT) AS x) TO '{url}' STORED AS PARQUET
                 OPTIONS ('write_mode' '{mode}', {options})"
            );
            assert_eq!(run(&ctx, &copy).await.unwrap(), 1, "{unknown:?}");
        }
        let objects = place.objects("Apple #1 %20").await;
        let parts = place.parts("Apple #1 %20").await;
        // Neither lock nor staged parts nor the part of the first overwrite.
        assert_eq!(objects.len(), 3, "{unknown:?}: {objects:?}");
        assert_eq!(parts.len(), 2, "{unknown:?}: {objects:?}");
        let create = format!("CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '{url}'");
        run(&ctx, &create).await.unwrap();
        let rows = ctx.sql("SELECT x FROM t WHERE x IN (2, 3)").await.unwrap();
        assert_eq!(rows.count().await.unwrap(), 2, "{unknown:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_racing_writers_one_wins_without_conditional_writes() {
    let (place, _) = on_s3_without(&[(Part::ConditionalPut, 400)]);
    racing_writers_leave_the_data_of_one(place).await;
}

/// A store that the embedding program has made: `object_store` has no other deletion.
#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_can_be_deleted_nothing_is_written() {
    let server = S3Server::on_disk(&["written"]);
    server.forget(Part::BulkDelete, 400);
    let store = Arc::new(server.store("written").build().unwrap());
    server.reset_counters();
    let place = Place::new(store, "s3://written/", Path::from("data"), ());
    for mode in ["append", "overwrite"] {
        let url = place.url("undeletable");
        let copy = format!(
            "COPY (SELECT 1 AS x) TO '{url}' STORED AS PARQUET OPTIONS ('write_mode' '{mode}')"
        );
        let error = place.run(&copy).await.unwrap_err().to_string();
        assert!(error.contains("cannot delete objects"), "{error}");
        assert!(error.contains("nothing has been written"), "{error}");
    }
    assert_eq!(place.objects("undeletable").await.len(), 0);
    assert_eq!(server.requests(Kind::Put), 0);
}
