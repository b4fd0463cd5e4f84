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
