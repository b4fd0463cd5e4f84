//! The machine that a measurement was made on, and the memory of this process.

use std::fs;

use serde::{Deserialize, Serialize};

/// What a figure depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    /// Unknown on systems without `/proc`.
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) system: String,
}

impl Machine {
    /// This one.
    pub(crate) fn current() -> Self {
        let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let processor = value(&cpu, "model name").unwrap_or(std::env::consts::ARCH);
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        Self {
            processor: processor.to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: kilobytes(&memory, "MemTotal"),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        }
    }

    pub(crate) fn describe(&self) -> String {
        let mut text = format!("{}, {} cores", self.processor, self.cores);
        if let Some(bytes) = self.memory_bytes {
            text += &format!(", {:.0} GB of memory", bytes as f64 / 1e9);
        }
        text + ", " + &self.system
    }
}

/// Forgets the peak of the memory so far. False where the system has no such thing.
pub(crate) fn reset_peak() -> bool {
    fs::write("/proc/self/clear_refs", "5").is_ok()
}

/// The most memory (resident) that this process had since the peak was reset.
pub(crate) fn peak_bytes() -> Option<u64> {
    kilobytes(&fs::read_to_string("/proc/self/status").ok()?, "VmHWM")
}

/// What stands behind `key` and a colon.
fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == key).then(|| value.trim())
    })
}

fn kilobytes(text: &str, key: &str) -> Option<u64> {
    let number = value(text, key)?.strip_suffix("kB")?.trim();
    number.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}
