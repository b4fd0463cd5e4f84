//! The text that Prometheus reads.

use std::fmt::Write;

/// Lines of numbers, each with what it means.
#[derive(Default)]
pub(super) struct Text(String);

impl Text {
    /// Something that goes up and down.
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.line(name, help, "gauge", value);
    }

    /// Something that only goes up.
    pub(super) fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.line(name, help, "counter", value);
    }

    fn line(&mut self, name: &str, help: &str, kind: &str, value: u64) {
        // Writing to a string does not fail.
        let _ = writeln!(
            self.0,
            "# HELP featurize_{name} {help}\n# TYPE featurize_{name} {kind}\nfeaturize_{name} {value}"
        );
    }

    /// With what every process says of itself.
    pub(super) fn finish(mut self) -> String {
        if let Some(bytes) = resident_bytes() {
            let help = "Memory of the process that is in the machine's.";
            self.gauge("resident_memory_bytes", help, bytes);
        }
        self.0
    }
}

/// None where the system does not say it in this way.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_a_name_a_meaning_and_a_kind() {
        let mut text = Text::default();
        text.counter("tasks_total", "Tasks.", 7);
        let text = text.finish();
        let expected = "# HELP featurize_tasks_total Tasks.\n# TYPE featurize_tasks_total counter\n\
                        featurize_tasks_total 7\n";
        assert!(text.starts_with(expected), "{text}");
        #[cfg(target_os = "linux")]
        assert!(
            text.contains("\nfeaturize_resident_memory_bytes "),
            "{text}"
        );
    }
}
