//! `examples/resume.sql` in a program that is killed again and again, and `examples/error_ledger.sql`.

use std::path::Path as FilePath;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use datafusion_featurize::sink::SUCCESS;

use crate::counting_store::CountingStore;
use crate::scan::{objects, run, session};
use crate::write_place::Place;

const KILLS: usize = 10;
const MOST_RUNS: usize = 60;
const IMAGES: usize = 48;

fn start(script: &FilePath) -> Child {
    Command::new(env!("CARGO_BIN_EXE_featurize"))
        .args(["-q", "--format", "csv", "-f"])
        .arg(script)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn finish(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{error}");
    String::from_utf8(output.stdout).unwrap()
}

fn example(name: &str, replacements: &[(&str, &str)]) -> tempfile::NamedTempFile {
    let path = FilePath::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples")
        .join(name);
    let mut sql = std::fs::read_to_string(path).unwrap();
    for (from, to) in replacements {
        assert!(sql.contains(from), "{name} has no {from}");
        sql = sql.replace(from, to);
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), sql).unwrap();
    file
}

/// Numbers that look random and are the same in every run (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

/// Kills the job ten times while it runs, each time after it has written nothing to a few parts more;
/// what is there when it has ended in between, and at the end, is every image once.
pub(crate) async fn kill_and_resume(place: &Place, options: &str) {
    let table = format!("LOCATION '{}'{options}", place.url("features"));
    // Little at a time, so that even a fast machine is met in the middle of it.
    let steps = "checkpoint_rows = 1; SET featurize.scan_batch_rows = 2";
    let script = example(
        "resume.sql",
        &[
            ("LOCATION 'target/resume/features/'", &table),
            ("checkpoint_rows = 4", steps),
        ],
    );
    let mut numbers = Numbers(7);
    let (mut killed, mut in_the_middle) = (0, 0);
    // Runs that end before they are killed do not count; they cannot go on for ever.
    for _ in 0..MOST_RUNS {
        if killed == KILLS {
            break;
        }
        let goal = place.parts("features").await.len() + numbers.below(6) as usize;
        let pause = Duration::from_millis(numbers.below(10));
        let mut child = start(script.path());
        let begun = Instant::now();
        while child.try_wait().unwrap().is_none()
            && begun.elapsed() < Duration::from_secs(60)
            && place.parts("features").await.len() <= goal
        {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        tokio::time::sleep(pause).await;
        if child.try_wait().unwrap().is_none() {
            child.kill().unwrap();
            child.wait().unwrap();
            killed += 1;
            let parts = place.parts("features").await.len();
            in_the_middle += usize::from(parts > 0 && parts < IMAGES);
        } else {
            check(place, &finish(child)).await;
            place.clear("features").await;
        }
    }
    assert_eq!(killed, KILLS, "the job always ended before it was killed");
    assert!(in_the_middle > 0, "no kill met the job at its work");

    check(place, &finish(start(script.path()))).await;
    let objects = place.objects("features").await;
    assert!(!objects.contains(SUCCESS));
    // There is nothing left to do.
    let printed = finish(start(script.path()));
    assert!(
        printed.starts_with(&format!("done_before\n{IMAGES}\n")),
        "{printed}"
    );
    assert_eq!(place.objects("features").await, objects);
}

/// The files themselves hold every image once, and nothing else is left.
async fn check(place: &Place, printed: &str) {
    assert!(
        printed.ends_with(&format!("images,paths\n{IMAGES},{IMAGES}\n")),
        "{printed}"
    );
    let objects = place.objects("features").await;
    assert_eq!(objects.len(), IMAGES, "{objects:?}");
}

/// What `NOT IN` leaves out is not read, however often the job is started, and content comes after the
/// join, a few rows at a time.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_is_not_read_again() {
    let ctx = session();
    let store = CountingStore::register(&ctx, objects(300)).await;
    let folder = tempfile::tempdir().unwrap();
    for sql in [
        "CREATE EXTERNAL TABLE images STORED AS BINARYFILE LOCATION 's3://counted/t/'
         OPTIONS ('recursiveFileLookup' 'true')",
        &format!(
            "CREATE EXTERNAL TABLE done (path VARCHAR NOT NULL, hash VARCHAR NOT NULL)
             STORED AS PARQUET LOCATION '{}/'",
            folder.path().display()
        ),
        "INSERT INTO done SELECT path, md5(content) FROM images WHERE path LIKE '%/Kind 3/%'",
    ] {
        run(&ctx, sql).await;
    }
    let done = 43;
    assert_eq!(store.gets(), done);
    let left = "SELECT path, md5(content) FROM images WHERE path NOT IN (SELECT path FROM done)";
    for (sql, gets) in [
        (left.to_owned(), 300 - done),
        (left.replace("path NOT IN", "length > 50 AND path NOT IN"), 294 - (done - 1)),
        ("SELECT content FROM images i WHERE EXISTS (SELECT 1 FROM done d WHERE d.path = i.path)".to_owned(), done),
        ("SELECT content FROM images i LEFT ANTI JOIN done d ON i.path = d.path AND i.length > 5".to_owned(), 300 - done),
        (format!("INSERT INTO done {left}"), 300 - done),
        (format!("INSERT INTO done {left}"), 0),
        ("SELECT path FROM images GROUP BY path, content".to_owned(), 300),
    ] {
        let before = store.gets();
        let found = run(&ctx, &sql).await;
        assert_eq!(store.gets() - before, gets, "{sql}");
        if sql.starts_with("SELECT") {
            let rows: usize = found.iter().map(RecordBatch::num_rows).sum();
            assert_eq!(rows, gets, "{sql}");
        }
    }
    let rows = run(&ctx, "SELECT DISTINCT path FROM done").await;
    let rows: usize = rows.iter().map(RecordBatch::num_rows).sum();
    assert_eq!(rows, 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_job_goes_on_where_it_stopped_on_disk() {
    kill_and_resume(&Place::on_disk(), "").await;
}

#[test]
fn bad_images_are_in_the_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let images = folder.path().join("images");
    std::fs::create_dir(&images).unwrap();
    let good = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("examples/fruits/Plum");
    for entry in std::fs::read_dir(good).unwrap() {
        let file = entry.unwrap().path();
        std::fs::copy(&file, images.join(file.file_name().unwrap())).unwrap();
    }
    std::fs::write(images.join("text.jpg"), "this is no image").unwrap();
    std::fs::write(images.join("empty.jpg"), "").unwrap();
    let location = format!("{}/", images.display());
    let target = format!("{}/", folder.path().join("out").display());
    let script = example(
        "error_ledger.sql",
        &[
            ("examples/fruits/", &location),
            ("target/error_ledger/", &target),
        ],
    );
    for _ in 0..2 {
        let printed = finish(start(script.path()));
        assert!(printed.ends_with("images,good,bad\n8,6,2\n"), "{printed}");
    }
    let ledger = std::fs::read_dir(folder.path().join("out/errors")).unwrap();
    let mut files = ledger.map(|entry| entry.unwrap().path());
    let file = files.find(|file| file.extension().is_some_and(|e| e == "csv"));
    let text = std::fs::read_to_string(file.unwrap()).unwrap();
    assert!(text.starts_with("path,length,reason\n"), "{text}");
    assert!(
        text.contains("text.jpg,16,") && text.contains("empty.jpg,0,"),
        "{text}"
    );
}
