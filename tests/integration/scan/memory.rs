//! The most memory that the program takes for wide rows does not depend on their number.
#![cfg(target_os = "linux")]

use std::process::{Command, Stdio};
use std::time::Duration;

/// Rows of 100,000 bytes, about as many as VGG16's 25,088 features have, of this many files are
/// 1 GB.
const FILES: usize = 10_000;
/// What a few batches on a few threads, and the program, may take.
const MOST: u64 = 500_000_000;

/// The most memory, in bytes, that the program had at any time.
fn peak(folder: &str, sql: &str) -> u64 {
    let create = format!("CREATE EXTERNAL TABLE images STORED AS BINARYFILE LOCATION '{folder}'");
    let mut child = Command::new(env!("CARGO_BIN_EXE_featurize"))
        .args(["-q", "--format", "csv", "-c", &format!("{create}; {sql}")])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        // The kernel keeps the high-water mark; it is gone once the program has ended.
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
        peak = kilobytes.map_or(peak, |kilobytes| kilobytes.parse().unwrap());
        std::thread::sleep(Duration::from_millis(2));
    }
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && text.contains("1000000000"),
        "{text}"
    );
    peak * 1024
}

#[test]
fn wide_rows_stay_bounded_whatever_stands_between_scan_and_function() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..FILES {
        std::fs::write(folder.path().join(format!("{number:05}.jpg")), [1; 100]).unwrap();
    }
    let folder = folder.path().display().to_string();
    let wide = "sum(octet_length(repeat('12345678', length * 125)))";
    for source in [
        // A filter that needs the content gathers rows.
        "images WHERE encode(content, 'hex') <> ''",
        // So does an exchange.
        "(SELECT length, content FROM images i JOIN (VALUES (100), (101)) v ON i.length = v.column1)
         WHERE content IS NOT NULL",
        "(SELECT * FROM images ORDER BY path LIMIT 1000000) WHERE encode(content, 'hex') <> ''",
    ] {
        let peak = peak(&folder, &format!("SELECT {wide} FROM {source}"));
        assert!(peak < MOST, "{source}: {peak} bytes");
    }
}
