//! A failure at each step of a write. Whatever happens, a reader finds the old data complete or the
//! new data complete, and the next write clears up.

use std::sync::Arc;

use object_store::{ObjectStore, ObjectStoreExt};

use crate::faulty_store::{FAULTS, Fault, FaultyStore};
use crate::write_place::{Place, run};

const OLD: [i64; 3] = [1, 2, 3];
const NEW: [i64; 4] = [10, 20, 30, 40];

/// More changes than any write of these tests makes.
const MANY: usize = 100;

fn values(values: &[i64]) -> String {
    let rows: Vec<String> = values.iter().map(|value| format!("({value})")).collect();
    format!("SELECT column1 AS x FROM (VALUES {})", rows.join(", "))
}

fn copy(place: &Place, folder: &str, rows: &[i64], options: &str) -> String {
    format!(
        "COPY ({}) TO '{}' STORED AS PARQUET OPTIONS ({options})",
        values(rows),
        place.url(folder)
    )
}

/// What was there before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Before {
    /// Written by an overwrite: with a manifest and `_SUCCESS`.
    Complete,
    /// Written by an append: nothing but parts.
    Plain,
}

async fn prepare(place: &Place, folder: &str, before: Before) {
    let mode = match before {
        Before::Complete => "overwrite",
        Before::Plain => "append",
    };
    let options = format!("'write_mode' '{mode}', 'num_files' 2");
    place
        .run(&copy(place, folder, &OLD, &options))
        .await
        .unwrap();
}

/// What a reader of the manifest and a reader of the listing find.
async fn check(place: &Place, folder: &str, why: &str) {
    let objects = place.objects(folder).await;
    let listed = place.parts(folder).await;
    let by_listing = place.values(folder, &listed).await;
    let Some(manifest) = place.manifest(folder).await else {
        assert!(!objects.contains("_SUCCESS"), "{why}: {objects:?}");
        assert_eq!(by_listing, OLD, "{why}: {objects:?}");
        return;
    };
    let names: Vec<String> = manifest
        .parts
        .iter()
        .map(|part| part.path.clone())
        .collect();
    for part in &manifest.parts {
        let found = place.store.head(&place.path(folder, &part.path)).await;
        assert_eq!(found.unwrap().size, part.bytes, "{why}: {objects:?}");
    }
    let by_manifest = place.values(folder, &names).await;
    assert!(
        by_manifest == OLD || by_manifest == NEW,
        "{why}: {by_manifest:?} in {objects:?}"
    );
    if objects.contains("_SUCCESS") {
        assert_eq!(by_listing, by_manifest, "{why}: {objects:?}");
    }
}

/// Nothing is left but the parts and what belongs to them.
async fn check_clean(place: &Place, folder: &str, why: &str) {
    let objects = place.objects(folder).await;
    let parts = place.parts(folder).await;
    assert_eq!(place.values(folder, &parts).await, NEW, "{why}");
    assert_eq!(objects.len(), parts.len() + 2, "{why}: {objects:?}");
    assert!(objects.contains("_SUCCESS"), "{why}: {objects:?}");
    let manifest = place.manifest(folder).await.unwrap();
    assert_eq!(manifest.rows, Some(NEW.len() as u64), "{why}");
}

/// Fails at every change of `sql`, one after the other; returns how many there are.
pub(crate) async fn at_every_step(place: &Place, fault: Fault, before: Before) -> usize {
    for step in 1..MANY {
        let folder = format!("{fault:?}-{before:?}-{step}");
        let why = format!("{fault:?} at change {step} of an overwrite of {before:?}");
        prepare(place, &folder, before).await;
        let faulty = FaultyStore::new(Arc::clone(&place.store), fault, step);
        let store: Arc<dyn ObjectStore> = Arc::new(faulty.clone());
        let sql = copy(
            place,
            &folder,
            &NEW,
            "'write_mode' 'overwrite', 'num_files' 2",
        );
        let result = run(&place.session(&store), &sql).await;
        check(place, &folder, &why).await;
        if !faulty.has_failed() {
            result.unwrap();
            check_clean(place, &folder, &why).await;
            return step - 1;
        }
        match result {
            // Only clearing up has failed, which the next run does as well.
            Ok(_) => {
                let parts = place.parts(&folder).await;
                assert_eq!(place.values(&folder, &parts).await, NEW, "{why}");
            }
            Err(e) if fault == Fault::Refused => {
                let error = e.to_string();
                let name = place.path(&folder, "").to_string();
                assert!(error.contains(&name), "{why}: {error}");
            }
            Err(_) => {}
        }
        let again = place.run(&sql).await;
        assert!(again.is_ok(), "{why}, then again: {again:?}");
        check_clean(place, &folder, &why).await;
    }
    unreachable!("more than {MANY} changes");
}

#[tokio::test(flavor = "multi_thread")]
async fn overwrites_leave_old_or_new_data_in_memory() {
    let place = Place::in_memory();
    for fault in FAULTS {
        for before in [Before::Complete, Before::Plain] {
            let steps = at_every_step(&place, fault, before).await;
            // Lock, 2 parts, journal, 2 copies, manifest, 2 deletions, _SUCCESS, and clearing up.
            assert!(steps >= 14, "{steps} changes");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn overwrites_leave_old_or_new_data_on_disk() {
    let place = Place::on_disk();
    for fault in FAULTS {
        at_every_step(&place, fault, Before::Complete).await;
    }
}

/// An append shows its parts one by one, so that what there is stays when it fails.
#[tokio::test(flavor = "multi_thread")]
async fn appends_keep_the_old_data_and_show_each_row_once() {
    for place in [Place::in_memory(), Place::on_disk()] {
        for fault in FAULTS {
            for step in 1..MANY {
                let folder = format!("{fault:?}-{step}");
                let why = format!("{fault:?} at change {step} of an append");
                prepare(&place, &folder, Before::Complete).await;
                let faulty = FaultyStore::new(Arc::clone(&place.store), fault, step);
                let store: Arc<dyn ObjectStore> = Arc::new(faulty.clone());
                let ctx = place.session(&store);
                run(&ctx, "SET featurize.checkpoint_rows = 2")
                    .await
                    .unwrap();
                let sql = copy(&place, &folder, &NEW, "'write_mode' 'append'");
                let result = run(&ctx, &sql).await;
                let mut all: Vec<i64> = OLD.iter().chain(&NEW).copied().collect();
                all.sort_unstable();

                let objects = place.objects(&folder).await;
                let parts = place.parts(&folder).await;
                let found = place.values(&folder, &parts).await;
                assert!(found.starts_with(&OLD), "{why}: {found:?}");
                assert!(found.iter().all(|x| all.contains(x)), "{why}: {found:?}");
                let mut once = found.clone();
                once.dedup();
                assert_eq!(once, found, "{why}");
                if objects.contains("_SUCCESS") {
                    assert!(found == OLD || found == all, "{why}: {found:?}");
                }
                if !faulty.has_failed() {
                    result.unwrap();
                    assert_eq!(found, all, "{why}");
                    let manifest = place.manifest(&folder).await.unwrap();
                    assert_eq!(manifest.rows, Some(7), "{why}");
                    assert!(objects.contains("_SUCCESS"), "{why}");
                    break;
                }
                // The next run clears up, whatever it writes.
                place
                    .run(&copy(&place, &folder, &NEW, "'write_mode' 'overwrite'"))
                    .await
                    .unwrap_or_else(|e| panic!("{why}, then again: {e}"));
                check_clean(&place, &folder, &why).await;
            }
        }
    }
}
