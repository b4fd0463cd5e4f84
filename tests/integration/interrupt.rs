//! A program that is told to end leaves nothing behind.

#![cfg(unix)]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// For whatever takes seconds on a machine that has nothing else to do.
const PATIENCE: Duration = Duration::from_secs(120);

fn files(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    entries
        .map(|entry| match entry.path().is_dir() {
            true => files(&entry.path()),
            false => 1,
        })
        .sum()
}

/// Rows of a fit go to disk for as long as it takes until a signal comes.
#[test]
fn a_signal_ends_a_script_and_its_temporary_files() {
    let endless = "SET featurize.pca_memory_limit = '40M';
        SELECT pca_fit(array_resize([value::FLOAT], 3000, (value % 7)::FLOAT), 1)
        FROM generate_series(1, 1000000000)";
    for (signal, status) in [("INT", 130), ("TERM", 143)] {
        let temporary = tempfile::tempdir().unwrap();
        let mut program = Command::new(env!("CARGO_BIN_EXE_featurize"))
            .args(["-q", "-c", endless])
            .env("TMPDIR", temporary.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while files(temporary.path()) == 0 {
            assert!(begun.elapsed() < PATIENCE, "no rows on disk");
            let ended = program.try_wait().unwrap();
            assert!(ended.is_none(), "{:?}", program.wait_with_output());
            std::thread::sleep(Duration::from_millis(10));
        }
        let told = Command::new("kill")
            .args([&format!("-{signal}"), &program.id().to_string()])
            .status();
        assert!(told.unwrap().success());
        let output = program.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "Interrupted\n");
        assert_eq!(files(temporary.path()), 0);
    }
}
