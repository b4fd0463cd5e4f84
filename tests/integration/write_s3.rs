//! Writing to the S3 server: the same as in memory and on disk, over the protocol.

use std::sync::Arc;

use object_store::path::Path;

use crate::faulty_store::Fault;
use crate::kill::kill_and_resume;
use crate::scan::s3_server::S3Server;
use crate::write::{a_failed_query_leaves_the_old_data, a_second_overwrite_replaces, one_is_told};
use crate::write_faults::{Before, at_every_step};
use crate::write_place::Place;

/// A bucket, and what `OPTIONS (…)` needs to reach it.
fn on_s3() -> (Place, String) {
    let server = S3Server::on_disk(&["written"]);
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
