//! Symbolic links in and to the folders that are written.

use object_store::ObjectStoreExt;

use crate::write::{MODE, copy, error, one};
use crate::write_place::{Place, run};

/// What lies behind a link in the folder belongs to another folder.
#[tokio::test(flavor = "multi_thread")]
async fn an_overwrite_deletes_nothing_behind_a_link() {
    let place = Place::on_disk();
    let root = tempfile::tempdir().unwrap();
    let precious = root.path().join("precious");
    std::fs::create_dir(&precious).unwrap();
    for name in ["1.parquet", "staged.txt"] {
        std::fs::write(precious.join(name), "dear").unwrap();
    }
    let run_folder = "_temporary/featurize-019e0000-0000-7000-8000-000000000000";
    for (number, link) in ["label=a", "x=1/label=a", "_temporary", run_folder]
        .into_iter()
        .enumerate()
    {
        let folder = format!("linked-{number}");
        let data = place.path(&folder, "old.parquet");
        place.store.put(&data, "old".into()).await.unwrap();
        let path = std::path::PathBuf::from(format!("/{}", place.path(&folder, link)));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(&precious, &path).unwrap();
        let before = place.objects(&folder).await;

        let overwrite = copy(&place, "SELECT 1 AS x", &folder, MODE);
        let message = error(&place, &overwrite).await;
        let expected = format!("'{}' is a link to another place", path.display());
        assert!(message.contains(&expected), "{message}");
        assert_eq!(place.objects(&folder).await, before, "{link}");
        for name in ["1.parquet", "staged.txt"] {
            let kept = std::fs::read_to_string(precious.join(name)).unwrap();
            assert_eq!(kept, "dear", "{link}");
        }
        // An append replaces no data, but clears away what dead runs have left.
        let append = copy(&place, "SELECT 1 AS x", &folder, "'write_mode' 'append'");
        let appended = place.run(&append).await;
        assert_eq!(appended.is_ok(), link.ends_with("label=a"), "{link}");

        std::fs::remove_file(&path).unwrap();
        place.run(&overwrite).await.unwrap();
        let parts = place.parts(&folder).await;
        assert_eq!(place.values(&folder, &parts).await, [1]);
    }
}

/// A folder is the same folder by whatever name.
#[tokio::test(flavor = "multi_thread")]
async fn an_overwrite_of_what_is_read_by_a_link_is_refused() {
    let place = Place::on_disk();
    let link = place.path("link", "con");
    place.store.put(&link, "".into()).await.unwrap();
    place.store.delete(&link).await.unwrap();
    let first = copy(&place, "SELECT 1 AS x", "con", MODE);
    place.run(&first).await.unwrap();
    let con = place.path("con", "part").to_string();
    let con = con.strip_suffix("part").unwrap();
    std::os::unix::fs::symlink(format!("/{con}"), format!("/{link}")).unwrap();

    let ctx = place.session(&place.store);
    for (name, folder) in [("named", "con"), ("linked", "link/con")] {
        let url = place.url(folder);
        let sql = format!("CREATE EXTERNAL TABLE {name} STORED AS PARQUET LOCATION '{url}'");
        run(&ctx, &sql).await.unwrap();
        let values = one(&ctx, &format!("SELECT x FROM {name}")).await;
        assert_eq!(values, ["1"], "{name}");
    }
    for (read, written) in [("linked", "con"), ("named", "link/con")] {
        let query = format!("SELECT x + 1 AS x FROM {read}");
        let message = run(&ctx, &copy(&place, &query, written, MODE)).await;
        let message = message.unwrap_err().to_string();
        assert!(message.contains("which the query reads"), "{message}");
        let parts = place.parts("con").await;
        assert_eq!(place.values("con", &parts).await, [1]);
    }
    // Who writes by one name lists anew by the other.
    let second = copy(&place, "SELECT 2 AS x", "con", MODE);
    run(&ctx, &second).await.unwrap();
    for name in ["named", "linked"] {
        let values = one(&ctx, &format!("SELECT x FROM {name}")).await;
        assert_eq!(values, ["2"], "{name}");
    }
}
