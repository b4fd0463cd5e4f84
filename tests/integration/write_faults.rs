//! A failure at each step of a write. Whatever happens, a reader finds the old data complete or the
//! new data complete, and the next write clears up.

use std::sync::Arc;

use object_store::{ObjectStore, ObjectStoreExt};

use crate::faulty_store::{FAULTS, Fault, FaultyStore};
use crate::write::{self, MODE};
use crate::write_place::{Place, run};

const OLD: [i64; 3] = [1, 2, 3];
const NEW: [i64; 4] = [10, 20, 30, 40];

/// More changes than any write of these tests makes.
const MANY: usize = 100;

fn values(values: &[i64]) -> String {
    if values.is_empty() {
        return "SELECT 1 AS x WHERE false".to_owned();
    }
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
    /// Written by an overwrite: with `_SUCCESS`.
    Complete,
    /// The same with a manifest, which stays in every write that says so.
    Described,
    /// Written by an append: nothing but parts.
    Plain,
}

impl Before {
    fn overwrite(self) -> &'static str {
        match self {
            Self::Described => "'write_mode' 'overwrite', 'num_files' 2, 'manifest' true",
            Self::Complete | Self::Plain => "'write_mode' 'overwrite', 'num_files' 2",
        }
    }
}

async fn prepare(place: &Place, folder: &str, before: Before) {
    let options = match before {
        Before::Plain => "'write_mode' 'append', 'num_files' 2",
        _ => before.overwrite(),
    };
    place
        .run(&copy(place, folder, &OLD, options))
        .await
        .unwrap();
}

/// What a reader of the manifest and a reader of the listing find.
async fn check(place: &Place, folder: &str, why: &str) {
    let objects = place.objects(folder).await;
    let listed = place.parts(folder).await;
    let by_listing = place.values(folder, &listed).await;
    let Some(manifest) = place.manifest(folder).await else {
        // Then the listing tells all.
        let is_new = by_listing == NEW && objects.contains("_SUCCESS");
        let is_complete = by_listing == OLD || is_new;
        assert!(is_complete, "{why}: {by_listing:?} in {objects:?}");
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
async fn check_clean(place: &Place, folder: &str, before: Before, why: &str) {
    let objects = place.objects(folder).await;
    let parts = place.parts(folder).await;
    assert_eq!(place.values(folder, &parts).await, NEW, "{why}");
    assert!(objects.contains("_SUCCESS"), "{why}: {objects:?}");
    let manifest = place.manifest(folder).await;
    let beside = 1 + usize::from(before == Before::Described);
    assert_eq!(objects.len(), parts.len() + beside, "{why}: {objects:?}");
    match before {
        Before::Described => assert_eq!(manifest.unwrap().rows, Some(4), "{why}"),
        Before::Complete | Before::Plain => assert_eq!(manifest, None, "{why}"),
    }
}

/// Fails at every change of `sql`, one after the other; returns how many there are.
pub(crate) async fn at_every_step(place: &Place, fault: Fault, before: Before) -> usize {
    for step in 1..MANY {
        let folder = format!("{fault:?}-{before:?}-{step}");
        let why = format!("{fault:?} at change {step} of an overwrite of {before:?}");
        prepare(place, &folder, before).await;
        let faulty = FaultyStore::new(Arc::clone(&place.store), fault, step);
        let store: Arc<dyn ObjectStore> = Arc::new(faulty.clone());
        let sql = copy(place, &folder, &NEW, before.overwrite());
        let result = run(&place.session(&store), &sql).await;
        check(place, &folder, &why).await;
        if !faulty.has_failed() {
            result.unwrap();
            check_clean(place, &folder, before, &why).await;
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
        check_clean(place, &folder, before, &why).await;
    }
    unreachable!("more than {MANY} changes");
}

#[tokio::test(flavor = "multi_thread")]
async fn overwrites_leave_old_or_new_data_in_memory() {
    let place = Place::in_memory();
    for fault in FAULTS {
        for before in [Before::Complete, Before::Described, Before::Plain] {
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
        let faults = FAULTS.into_iter();
        let cases = faults.flat_map(|f| [(f, Before::Complete), (f, Before::Described)]);
        for (fault, before) in cases {
            for step in 1..MANY {
                let folder = format!("{fault:?}-{before:?}-{step}");
                let why = format!("{fault:?} at change {step} of an append to {before:?}");
                prepare(&place, &folder, before).await;
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
                let manifest = place.manifest(&folder).await;
                if objects.contains("_SUCCESS") || manifest.is_none() {
                    assert!(found == OLD || found == all, "{why}: {found:?}");
                }
                if !faulty.has_failed() {
                    result.unwrap();
                    assert_eq!(found, all, "{why}");
                    let is_described = before == Before::Described;
                    let rows = manifest.map(|manifest| manifest.rows);
                    assert_eq!(rows, is_described.then_some(Some(7)), "{why}");
                    assert!(objects.contains("_SUCCESS"), "{why}");
                    break;
                }
                // The next run clears up, whatever it writes.
                if step % 2 == 0 {
                    place
                        .run(&copy(&place, &folder, &[], "'write_mode' 'append'"))
                        .await
                        .unwrap_or_else(|e| panic!("{why}, then an append: {e}"));
                    // The folder is called complete again, as it was.
                    let objects = place.objects(&folder).await;
                    assert!(objects.contains("_SUCCESS"), "{why}: {objects:?}");
                }
                place
                    .run(&copy(&place, &folder, &NEW, before.overwrite()))
                    .await
                    .unwrap_or_else(|e| panic!("{why}, then again: {e}"));
                check_clean(&place, &folder, before, &why).await;
            }
        }
    }
}

/// The commit of a run that was killed is finished by the next, but what has come to lie under the
/// name of an old part since then is somebody else's.
#[tokio::test(flavor = "multi_thread")]
async fn what_replaced_an_old_part_after_a_kill_stays() {
    for place in [Place::in_memory(), Place::on_disk()] {
        for step in 1..MANY {
            let folder = format!("replaced-{step}");
            let data = place.path(&folder, "data.parquet");
            place.store.put(&data, "old".into()).await.unwrap();
            let faulty = FaultyStore::new(Arc::clone(&place.store), Fault::KilledAfter, step);
            let store: Arc<dyn ObjectStore> = Arc::new(faulty.clone());
            let overwrite = write::copy(&place, "SELECT 1 AS x", &folder, MODE);
            let result = run(&place.session(&store), &overwrite).await;
            if !faulty.has_failed() {
                result.unwrap();
                break;
            }
            place.store.put(&data, "new".into()).await.unwrap();
            let append = write::copy(&place, "SELECT 2 AS x", &folder, "'write_mode' 'append'");
            place.run(&append).await.unwrap();
            assert_eq!(
                write::text(&place, &data).await,
                "new",
                "killed after change {step}"
            );
        }
    }
}

/// The journal says what is old, whatever format the run that finishes the commit writes.
#[tokio::test(flavor = "multi_thread")]
async fn an_overwrite_in_another_format_after_a_kill_leaves_no_rows_twice() {
    for place in Place::all() {
        for step in 1..MANY {
            let folder = format!("formats-{step}");
            let old = write::copy(&place, "SELECT 1 AS x", &folder, MODE);
            place.run(&old).await.unwrap();
            let faulty = FaultyStore::new(Arc::clone(&place.store), Fault::KilledAfter, step);
            let store: Arc<dyn ObjectStore> = Arc::new(faulty.clone());
            let overwrite = write::copy(&place, "SELECT 2 AS x", &folder, MODE);
            let result = run(&place.session(&store), &overwrite).await;
            if !faulty.has_failed() {
                result.unwrap();
                break;
            }
            let other = write::copy(&place, "SELECT 3 AS x", &folder, MODE);
            let other = other.replace("STORED AS PARQUET", "STORED AS CSV");
            place.run(&other).await.unwrap();
            let mut parts = place.parts(&folder).await;
            parts.retain(|name| name.ends_with(".parquet"));
            let values = place.values(&folder, &parts).await;
            assert_eq!(values.len(), 1, "killed after change {step}: {values:?}");
        }
    }
}
