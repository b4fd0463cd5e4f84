//! Starts a process for each target, and again after one has ended early.

use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::arguments::Arguments;
use crate::worker::Files;

/// Processes that may end early before a target is given up.
const MOST_DEATHS: usize = 20;

/// Runs the targets one after the other; true if no fault is known of any.
pub(crate) fn supervise(arguments: &Arguments) -> bool {
    let mut is_good = true;
    let mut total = 0;
    for &target in &arguments.targets {
        let start = Instant::now();
        let inputs = run(arguments, target);
        total += inputs;
        let faults = Files::of(target).faults();
        let rate = inputs as f64 / start.elapsed().as_secs_f64();
        println!(
            "{target}: {inputs} inputs, {rate:.0} a second, {} faults",
            faults.len()
        );
        for (what, file) in &faults {
            println!("  {}\n    {}", what.replace('\n', ": "), file.display());
        }
        is_good &= faults.is_empty();
    }
    println!("{total} inputs");
    is_good
}

/// Runs a target; returns the number of its inputs.
fn run(arguments: &Arguments, target: &str) -> u64 {
    let files = Files::of(target);
    files.try_faults_again();
    let start = Instant::now();
    let mut inputs = 0;
    for death in 0..MOST_DEATHS {
        let Some(left) = arguments.time.checked_sub(start.elapsed()) else {
            break;
        };
        if left.as_secs() == 0 || inputs >= arguments.inputs {
            break;
        }
        let seed = arguments.seed.wrapping_add(death as u64);
        let status = Command::new(std::env::current_exe().unwrap())
            // Candle's errors would each take one, and more memory than the work.
            .env("RUST_BACKTRACE", "0")
            .args(["--worker", target, "--seed", &seed.to_string()])
            .args(["--seconds", &left.as_secs().to_string()])
            .args(["--inputs", &(arguments.inputs - inputs).to_string()])
            .stdout(Stdio::null())
            .stderr(File::create(files.last_words()).unwrap())
            .status()
            .unwrap();
        let (count, input) = current(&files);
        inputs += count;
        if status.success() {
            break;
        }
        let words = fs::read(files.last_words()).unwrap_or_default();
        let words = String::from_utf8_lossy(&words);
        let last = words.trim().lines().last().unwrap_or_default();
        files.fault(&format!("the process ended: {status}: {last}"), &input);
        files.forget(&input);
    }
    inputs
}

/// How many inputs the process has run, and the last of them.
fn current(files: &Files) -> (u64, Vec<u8>) {
    let text = fs::read(files.current()).unwrap_or_default();
    let number = |at: usize| {
        let word = text.get(at..at + 8)?.try_into().ok()?;
        Some(u64::from_le_bytes(word))
    };
    let length = number(8).unwrap_or_default() as usize;
    let input = text.get(16..16 + length).unwrap_or_default();
    (number(0).unwrap_or_default(), input.to_vec())
}
